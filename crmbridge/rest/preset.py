"""A CRM whose reading is data: `preset.yaml` in its folder makes a source type of its own, with only its own options.

The file is read strictly, when the connector is used: an unknown key, and a template that names an option which there is not, are errors.
What it says becomes options of the engine, as somebody would write them for `type: rest`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from crmbridge.contract import Connector, Document, DurationOrOff, Options, Secret, Setting
from crmbridge.model import nearest
from crmbridge.rest.build import build
from crmbridge.rest.called_options import CalledOptions, Calling
from crmbridge.rest.options import Quota, Resource, RestOptions
from crmbridge.rest.source import RestSource
from crmbridge.rest.values import Shape

Build = Callable[[RestOptions, Setting, Shape | None, Any], RestSource]
"""Makes a source of what the engine is told; the last is what the user wrote."""
_HOLES: Final = re.compile(r"\{([a-z_]+)\}")
_TYPE: Final = "type"
"""What templates call the record type."""
_OWN: Final = {"url": frozenset({"id"}), "path": frozenset({"id"}), "template": frozenset({"since"}), "body": frozenset({"since"})}
"""What the engine fills in later, by the key of a type in which it stands."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Asked(_Strict):
    """An option that a preset asks its user for."""

    about: str = Field(pattern=r"\.$")
    secret: bool = False
    default: str | None = None
    pattern: str | None = None
    choices: list[str] | None = None


class Named(_Strict):
    """Names that no preset can list: of record types and fields of people's own making."""

    named: str
    """What they look like: a regular expression."""
    words: str
    """How they are named, for people."""


class Calls(_Strict):
    """How it calls when something changed."""

    sender: str
    """Whose webhooks these are, of `crmbridge.hooks.senders`."""
    types: dict[str, str] = Field(default_factory=dict)
    """What it calls the record types in webhooks, where that is another word."""


class Page(_Strict):
    """A page of the vendor that something here is taken from, and when it was read."""

    url: str = Field(pattern=r"^https://")
    read: date
    says: str


class Preset(_Strict):
    """What `preset.yaml` says."""

    summary: str
    options: dict[str, Asked]
    address: str
    """Of the API, over the options."""
    auth: dict[str, str]
    headers: dict[str, str] = Field(default_factory=dict)
    quota: Quota | None = None
    most: int = Field(ge=1, le=5_000)
    """Records of one page, at most."""
    least: int = Field(1, ge=1)
    """And at least."""
    overlap: int = Field(60, ge=0, le=86_400)
    deletes_every: str = "1h"
    """Where what was deleted is found by listing everything: how often, unless somebody says it."""
    each: dict[str, Any] = Field(default_factory=dict)
    """What all types have, unless they say it otherwise: mappings are joined key by key, and a null takes away what stands here."""
    types: dict[str, dict[str, Any]] = Field(min_length=1)
    others: Named | None = None
    """Record types that the CRM has by its own people's making."""
    called: Calls | None = None
    """What it sends by itself when something changed, if it can."""
    fields: Named | None = None
    """What names of fields look like, where a configuration writes them."""
    documents: list[Page] = Field(min_length=1)

    def resource(self, name: str, values: Mapping[str, str], size: int, deletes_every: Any = None) -> Resource:
        """A record type as the engine is told of it. Raises ValidationError."""
        said = {"size": size, **self._said(name)}
        if deletes_every is not None:
            said["deletes_every"] = deletes_every
        if isinstance(said.get("deletions"), dict):
            said["deletions"] = {"size": size, **said["deletions"]}
        return Resource.model_validate(_filled(said, {**values, _TYPE: name}))

    def _said(self, name: str) -> dict[str, Any]:
        return _joined(self.each, self.types.get(name, {}))

    def fault(self, options: Any, name: str) -> str:
        """Why this record type cannot be read, with the vendor's page; empty if it may be. Without `options` only by its name."""
        if not self._may_be(name):
            others = f"; {self.others.words}" if self.others else ""
            return f"there is no such record type; there are {', '.join(self.types)}{others}: see {self.page}"
        for option in dict.fromkeys(_holes(self._said(name))):
            if options is not None and option in self.options and getattr(options, option) == "":
                return f"{name} needs the option `{option}`: {self.options[option].about} See {self.page}"
        return ""

    def field_fault(self, field: str) -> str:
        """Why there can be no field of this name, with the vendor's page; empty if there may be."""
        if self.fields is None or re.fullmatch(self.fields.named, field):
            return ""
        return f"no field has such a name: {self.fields.words}: see {self.page}"

    @property
    def page(self) -> str:
        """The document that says most of what may be asked for."""
        return self.documents[0].url

    def _may_be(self, name: str) -> bool:
        return name in self.types or (self.others is not None and re.fullmatch(self.others.named, name) is not None)

    @property
    def stamped(self) -> bool:
        """Whether records have stamps, so that it matters how far back one looks."""
        return self.resource(next(iter(self.types)), {}, 1).changed is not None

    @property
    def walks(self) -> bool:
        """Whether what is deleted is found by listing everything."""
        one = self.resource(next(iter(self.types)), {}, 1)
        return one.deletions is None and one.deleted is None


def preset(module: str, *, shape: Shape | None = None, make: Build = build, more: type[Options] = Options) -> Connector:
    """The connector of the folder in which `module` stands, by the `preset.yaml` beside it.

    `shape` reads the fields of a record where no path says where they are; `make` builds a source that does more than the engine;
    `more` has the options that it needs for that.
    Raises ValueError, naming the file and the place.
    """
    folder = Path(module).parent
    found = read(folder / "preset.yaml")
    inside = folder.parts[-3:-1] == ("connectors", "sources")
    options = _model(folder.name, f"connectors.sources.{folder.name}" if inside else folder.name, found, more)
    return Connector(
        name=folder.name,
        summary=found.summary,
        options=options,
        build=Built(found, shape, make),
        record_fault=found.fault,
        documents=tuple(Document(url=one.url, read=one.read, says=one.says) for one in found.documents),
        field_fault=lambda _options, _record, field: found.field_fault(field),
    )


def read(path: Path) -> Preset:
    """A preset from its file. Raises ValueError, naming the file and the place."""
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: it is no YAML: {error}") from None
    if not isinstance(said, dict):
        raise ValueError(f"{path}: write keys with values, like `summary: ...`")
    try:
        found = Preset.model_validate(said)
    except ValidationError as error:
        raise ValueError(f"{path}: {_words(Preset, error)}") from None
    for name in (*found.types, "Other") if found.others else found.types:
        try:
            found.resource(name, {}, 1)
        except ValidationError as error:
            whose = partial(_whose, found.types.get(name, {}), name)
            raise ValueError(f"{path}: {_words(Resource, error, whose)}") from None
    if faults := list(_faults(found)):
        raise ValueError(f"{path}: {'; '.join(faults)}")
    return found


def _words(model: type[BaseModel], error: ValidationError, before: Callable[[Sequence[Any]], tuple[str, ...]] = lambda _: ()) -> str:
    """Each fault with its place; of a key that there is not, which may be meant."""
    return "; ".join(
        f"{'.'.join(map(str, (*before(one['loc']), *one['loc'])))}: "
        + (_meant(str(one["loc"][-1]), _keys(model, one["loc"][:-1])) if one["type"] == "extra_forbidden" else one["msg"])
        for one in error.errors()
    )


def _whose(own: Any, name: str, loc: Sequence[Any]) -> tuple[str, ...]:
    """Where something of a record type is written: in the type, or for all of them."""
    for part in loc:
        if not isinstance(own, dict) or part not in own:
            return ("each",)
        own = own[part]
    return ("types", name)


def _meant(word: str, known: Collection[str]) -> str:
    near = nearest(word, known)
    return "there is no such key; " + (f"did you mean `{near}`?" if near else f"there are {', '.join(known)}")


def _keys(kind: Any, loc: Sequence[Any]) -> list[str]:
    """The keys that a mapping at a place of a model may have."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return _keys(kind.model_fields[loc[0]].annotation, loc[1:]) if loc and loc[0] in kind.model_fields else [*kind.model_fields]
    if get_origin(kind) in (dict, list):
        return _keys(get_args(kind)[-1], loc[1:])
    return [key for one in get_args(kind) for key in _keys(one, loc)]


def _faults(found: Preset) -> Iterator[str]:
    """Templates that name what there is not, or show a secret."""
    plain = {name for name, one in found.options.items() if not one.secret}
    for where, text in [("address", found.address), *(("headers", text) for text in found.headers.values())]:
        yield from (f"{where}: {{{hole}}} is no option" for hole in _HOLES.findall(text) if hole not in plain)
    for key, text in found.auth.items():
        known = found.options.keys() if _HOLES.fullmatch(text) else plain
        yield from (f"auth.{key}: {{{hole}}} is no option" for hole in _HOLES.findall(text) if hole not in known)
    for name, said in [("each", found.each), *found.types.items()]:
        yield from (f"{name}.{place}" for place in _strange(said, plain | {_TYPE}))


def _strange(said: Any, known: set[str], key: str = "", place: str = "") -> Iterator[str]:
    if isinstance(said, dict):
        for name, inner in said.items():
            yield from _strange(inner, known, "body" if key == "body" else name, f"{place}.{name}" if place else name)
    elif isinstance(said, list):
        for inner in said:
            yield from _strange(inner, known, key, place)
    elif isinstance(said, str) and not (key == "url" and "." not in place):  # a link names what stands in the record
        yield from (f"{place}: {{{hole}}} is no option" for hole in _HOLES.findall(said) if hole not in known | _OWN.get(key, frozenset()))


def _joined(each: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """What all types have with what one of them says itself, which goes before."""
    found = dict(each)
    for key, value in own.items():
        if value is None and key in each:
            del found[key]
        else:
            inner = found.get(key)
            found[key] = _joined(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return found


def _filled(said: Any, values: Mapping[str, str]) -> Any:
    """JSON with the options in it; what they do not name stays for the engine."""
    if isinstance(said, dict):
        return {name: _filled(inner, values) for name, inner in said.items()}
    if isinstance(said, list):
        return [_filled(inner, values) for inner in said]
    return _HOLES.sub(lambda hole: values.get(hole[1], hole[0]), said) if isinstance(said, str) else said


def _holes(said: Any) -> Iterator[str]:
    """The names in the templates of some JSON."""
    if isinstance(said, (dict, list)):
        for inner in said.values() if isinstance(said, dict) else said:
            yield from _holes(inner)
    elif isinstance(said, str):
        yield from _HOLES.findall(said)


# --- options


def _model(name: str, module: str, found: Preset, more: type[Options]) -> type[Options]:
    """The options of a preset, as a model like any other connector's."""
    fields: dict[str, Any] = {option: _field(one) for option, one in found.options.items()}
    page = Field(found.most, description="Records of one read.", ge=found.least, le=found.most)
    looks = Field(found.overlap, description="Seconds that each poll looks back, for what was committed late.", ge=0, le=86_400)
    fields |= {"page": (int, page), **({"overlap": (int, looks)} if found.stamped else {})}
    if found.walks:
        words = "How often everything is listed, to see which records are gone; or off. One that lacks twice in a row is gone."
        fields["deletes_every"] = (DurationOrOff, Field(found.deletes_every, description=words, validate_default=True))
    if found.called is not None:
        fields["webhook"] = (Calling | None, Field(None, description=CalledOptions.model_fields["webhook"].description))
    return create_model(f"{name.title().replace('_', '')}Options", __base__=more, __module__=module, **fields)


def _field(one: Asked) -> tuple[Any, Any]:
    default: Any = ... if one.default is None else one.default
    if one.secret:
        return Secret, Field(default, description=one.about)
    shape: Any = Literal[tuple(one.choices)] if one.choices else str
    return shape, Field(default, description=one.about, pattern=None if one.choices else one.pattern)


@dataclass(frozen=True, slots=True, eq=False)  # as any function, it is equal to itself alone
class Built:
    """Builds the sources of a preset."""

    preset: Preset
    shape: Shape | None
    make: Build

    def __call__(self, options: Any, setting: Setting) -> RestSource:
        names = [name for name in setting.records if not self.preset.fault(options, name)]  # `check` names the others
        known = [name for name in self.preset.types if not self.preset.fault(options, name)]
        told = engine(self.preset, options, names or known or list(self.preset.types))
        return self.make(told, setting, self.shape, options)


def engine(found: Preset, options: Any, names: list[str]) -> RestOptions:
    """What the engine is told, for these record types."""
    given = {name: getattr(options, name) for name in found.options}
    values = {name: one.rstrip("/") if "://" in one else one for name, one in given.items() if isinstance(one, str)}
    auth = {key: given[hole[1]] if (hole := _HOLES.fullmatch(text)) else _filled(text, values) for key, text in found.auth.items()}
    every = getattr(options, "deletes_every", None)
    return RestOptions(
        url=_filled(found.address, values),
        auth=auth,
        headers=_filled(found.headers, values),
        quota=found.quota,
        types={name: found.resource(name, values, options.page, every) for name in names},
        overlap=getattr(options, "overlap", found.overlap),
        webhook=options.webhook.called(found.called.sender, found.called.types) if found.called and options.webhook else None,
    )
