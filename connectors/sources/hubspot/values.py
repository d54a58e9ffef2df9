"""HubSpot's property values, which are all texts, as fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from crmbridge.contract import FieldInfo
from crmbridge.model import Choice, FieldSpec, FieldType, FieldValue, Reading, clean, parse_instant

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_TYPES: Final = {
    "number": FieldType.NUMBER,
    "bool": FieldType.BOOLEAN,
    "date": FieldType.DATE,
    "datetime": FieldType.DATETIME,
    "string": FieldType.TEXT,
    "phone_number": FieldType.TEXT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """One property of a record type."""

    name: str
    label: str
    type: FieldType
    """ANY for a picklist."""
    choices: Mapping[str, str] = field(default_factory=dict)
    """Labels by value; empty for what is no picklist, and for owners."""
    staged: bool = False
    """Pipelines or stages: a picklist too where its labels may not be read."""
    several: bool = False
    """A picklist of which several may be ticked."""
    rich: bool = False
    """Rich text: it holds HTML."""
    reading: Reading = field(default_factory=Reading)

    def info(self) -> FieldInfo:
        return FieldInfo(name=self.name, label=self.label, type=FieldType.HTML if self.rich else self.type, choices=self.choices)

    def value(self, raw: Any, spec: FieldSpec) -> FieldValue:
        """`raw` as a field; the configured type is stronger than HubSpot's. Empty is None."""
        if raw is None or raw == "":
            return None
        wanted = self.type if spec.type is FieldType.ANY else spec.type
        if wanted is FieldType.ANY and (self.choices or self.staged):
            if self.several:
                return tuple(self._choice(one) for one in str(raw).split(";") if one)
            return self._choice(str(raw))
        if wanted in (FieldType.DATE, FieldType.DATETIME):
            raw = _written(raw)
        return self.reading.value(raw, wanted, spec.separator)

    def _choice(self, value: str) -> Choice:
        return Choice(clean(value), clean(self.choices.get(value, value)))

    def knows(self, raw: str) -> bool:
        """Whether all labels of a value are known."""
        return not self.choices or all(one in self.choices for one in (raw.split(";") if self.several else [raw]) if one)


def properties(raw: list[Any], stages: Mapping[str, Mapping[str, str]], reading: Reading) -> dict[str, Property]:
    """What GET properties lists, by name; `stages` are labels of pipelines and stages, by property."""
    found = {}
    for one in raw:
        name = clean(str(one.get("name") or ""))
        options = one.get("options")
        choices = {
            str(option["value"]): str(option.get("label") or option["value"])
            for option in (options if isinstance(options, list) else ())
            if isinstance(option, dict) and option.get("value") is not None
        }
        found[name] = Property(
            name=name,
            label=clean(str(one.get("label") or name)),
            type=_TYPES.get(str(one.get("type")), FieldType.ANY),
            choices={**choices, **stages.get(name, {})},
            staged=name in stages,
            several=one.get("fieldType") == "checkbox",
            rich=one.get("fieldType") == "html",
            reading=reading,
        )
    return found


def milliseconds(raw: Any) -> int | None:
    """A stamp in milliseconds since 1970: HubSpot writes ISO 8601 in answers, and numbers in events and older ones."""
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    text = str(raw or "")
    if text.isascii() and text.isdigit() and len(text) <= 15:
        return int(text)
    moment = parse_instant(text)
    return (moment - _EPOCH) // timedelta(milliseconds=1) if moment else None


def moment(stamp: int) -> datetime:
    """The instant of a stamp. Raises ValueError beyond the years that Python knows."""
    try:
        return _EPOCH + timedelta(milliseconds=stamp)
    except OverflowError:
        raise ValueError(f"{stamp} is no instant") from None


def version(stamp: int) -> str:
    """A stamp as text, the same from a poll, a webhook and a reading."""
    return moment(stamp).isoformat(timespec="milliseconds")


def _written(raw: Any) -> Any:
    """A date as text: some answers and all events give milliseconds."""
    digits = str(raw).removeprefix("-")
    if digits.isascii() and digits.isdigit() and 8 < len(digits) <= 15:
        return moment(int(str(raw))).isoformat()
    return raw
