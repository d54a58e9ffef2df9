"""Values that several parts of the configuration have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, StringConstraints, WithJsonSchema, WrapValidator
from pydantic_core import PydanticCustomError

from crmbridge.contract import Duration, Options

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
Words = Annotated[str, StringConstraints(min_length=1, max_length=64 * 1024)]


def as_list(raw: Any) -> Any:
    """One text for a list of one."""
    return [raw] if isinstance(raw, str) else raw


Names = Annotated[list[Identifier], BeforeValidator(as_list)]


class SurgeModel(Options):
    """What counts as a flood."""

    over: int = Field(description="More messages than this.", ge=1, le=100_000)
    per: Duration = Field(description="Within this time.")


def _surge(raw: Any, validate: Callable[[Any], Any]) -> Any:
    if raw == "off" or isinstance(raw, (Mapping, SurgeModel)):
        return raw if raw == "off" else validate(raw)
    raise PydanticCustomError("surge", "write {over: 20, per: 1m}, or off")


SurgeOption = Annotated[
    SurgeModel,
    WrapValidator(_surge),
    PlainSerializer(lambda value: value if value == "off" else value.model_dump()),
    WithJsonSchema(
        {
            "oneOf": [
                {"const": "off"},
                {
                    "type": "object",
                    "properties": {"over": {"type": "integer", "minimum": 1}, "per": {"type": "string", "pattern": "^[1-9][0-9]*[smhd]$"}},
                    "required": ["over", "per"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
