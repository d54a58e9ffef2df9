"""Every key of the configuration, read off the models: a key that is added there is a key here."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from crmbridge import registry
from crmbridge.config.load import options_model
from crmbridge.config.models import ConfigModel, DestinationModel, IncludeModel, SourceModel
from crmbridge.config.rule_models import RuleModel
from crmbridge.contract import Options
from crmbridge.hooks import Way


class Mark(Enum):
    """What no document holds."""

    FIRST = "a step into the first entry of a mapping by names, or of a list"
    ABSENT = "the value of a key that is not written"


FIRST, ABSENT = Mark.FIRST, Mark.ABSENT


@dataclass(frozen=True)
class Key:
    """One key by its dotted name, and the way to it in a document."""

    name: str
    way: tuple[Any, ...]
    model: type[Options] | None = None
    """The model whose attribute it is; None for what chooses a model."""
    attribute: str = ""
    holds: bool = False
    """It is always a mapping and says nothing by itself: what proves the keys below it proves it."""


@cache
def every_key() -> dict[str, Key]:
    """By name. A discriminator of a union stands once; keys of one of its models are named after it, like `auth.basic.username`."""
    found = [*_below(ConfigModel, "", ()), Key("include.rules", ("include", "rules"), IncludeModel, "rules")]
    assert list(IncludeModel.model_fields) == ["rules"]
    found += _below(RuleModel, "rules.", ("rules", FIRST))
    for kind, common in (("sources", SourceModel), ("destinations", DestinationModel)):
        found += _below(common, f"{kind}.", (kind, FIRST))
        found.append(Key(f"{kind}.type", (kind, FIRST)))  # another type is another mapping
        for name in registry.names(kind):
            model = options_model(registry.load(kind, name), common)
            found += _below(model, f"{kind}.{name}.", (kind, FIRST), without={*common.model_fields, "type"})
    names = [one.name for one in found]
    assert len(set(names)) == len(names)
    return {one.name: one for one in found}


def _below(model: type[BaseModel], prefix: str, way: tuple[Any, ...], without: set[str] | frozenset[str] = frozenset()) -> Iterator[Key]:
    for attribute, info in model.model_fields.items():
        if attribute in without or (model is ConfigModel and attribute in ("sources", "destinations")):
            continue
        word = info.alias or attribute
        name, at = f"{prefix}{word}", (*way, word)
        inner, further = _models(info.annotation), (*at, *([FIRST] if _many(info) else []))
        yield Key(
            name,
            at,
            model,
            attribute,
            bool(inner) and not {str, Way, type(None)} & {*_plain(info.annotation)} - ({str} if _many(info) else set()),
        )
        chosen_by = info.discriminator
        if isinstance(chosen_by, str):
            yield Key(f"{name}.{chosen_by}", at)
        for one in inner:
            if isinstance(chosen_by, str):
                (value,) = get_args(one.model_fields[chosen_by].annotation)
                yield from _below(one, f"{name}.{value}.", further, {chosen_by})
            else:
                yield from _below(one, f"{name}.", further)


def _models(annotation: Any) -> list[type[Options]]:
    if isinstance(annotation, type) and issubclass(annotation, Options):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _plain(annotation: Any) -> Iterator[Any]:
    """What may stand there: the members of a union, without what is annotated to them."""
    for part in get_args(annotation):
        yield from (part, *_plain(part)) if get_origin(part) is Annotated else (part,)


def _many(info: FieldInfo) -> bool:
    return get_origin(info.annotation) in (dict, list)


def put(document: Any, way: tuple[Any, ...], value: Any) -> None:
    """Write `value` at `way`, or take away what stands there."""
    *before, last = way
    for step in before:
        document = document[_entry(document, step)] if step is FIRST or isinstance(document, list) else document.setdefault(step, {})
    last = _entry(document, last)
    if value is not ABSENT:
        if isinstance(document, list) and last == len(document):
            document.append(value)
        document[last] = value
    elif isinstance(document, dict):
        document.pop(last, None)


def _entry(document: Any, step: Any) -> Any:
    if step is not FIRST:
        return step
    return 0 if isinstance(document, list) else next(iter(document))
