"""A CRM that is read by data: the `preset.yaml` in its folder makes a source type of its own, with only its own options.

The file is read strictly when the connector is used. An unknown key is an error, and so is a template that names an option which does
not exist. The preset becomes options of the engine, as somebody would write them for `type: rest`.
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

from crmbridge.contract import Connector, DurationOrOff, Options, Secret, Setting, VendorPage
from crmbridge.model import nearest
from crmbridge.rest.build import build
from crmbridge.rest.called_options import CalledOptions, Calling
from crmbridge.rest.options import Quota, Resource, RestOptions
from crmbridge.rest.source import RestSource
from crmbridge.rest.values import Shape

Build = Callable[[RestOptions, Setting, Shape | None, Any], RestSource]
"""A function that makes a source of the engine's options. Its last argument is what the user wrote."""
_HOLES: Final = re.compile(r"\{([a-z_]+)\}")
_TYPE: Final = "type"
"""The name of the record type in templates."""
_OWN: Final = {"url": frozenset({"id"}), "path": frozenset({"id"}), "template": frozenset({"since"}), "body": frozenset({"since"})}
"""The names that the engine fills in later, by the key of a record type in which they stand."""


class _FromPreset(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Asked(_FromPreset):
    """An option that a preset asks its user for."""

    about: str = Field(pattern=r"\.$")
    secret: bool = False
    default: str | None = None
    pattern: str | None = None
    choices: list[str] | None = None


class Named(_FromPreset):
    """Names that no preset can list: of record types and fields that people make themselves."""

    named: str
    """A regular expression that the names match."""
    words: str
    """How these names are made, in words for people."""


class Calls(_FromPreset):
    """How the CRM calls when something changed."""

    sender: str
    """The sender of these webhooks, one of `crmbridge.hooks.senders`."""
    types: dict[str, str] = Field(default_factory=dict)
    """The words for record types in webhooks, where they differ."""


class PresetPage(_FromPreset):
    """A page of the vendor that the preset was written from, and when it was read."""

    url: str = Field(pattern=r"^https://")
    read: date
    says: str


class Preset(_FromPreset):
    """The content of a `preset.yaml`."""

    summary: str
    options: dict[str, Asked]
    address: str
    """The address of the API, into which options are filled."""
    auth: dict[str, str]
    headers: dict[str, str] = Field(default_factory=dict)
    quota: Quota | None = None
    most: int = Field(ge=1, le=5_000)
    """The largest number of records on one page."""
    least: int = Field(1, ge=1)
    """The smallest number of records on one page."""
    overlap: int = Field(60, ge=0, le=86_400)
    deletes_every: str = "1h"
    """How often everything is listed to find deleted records, unless the user sets an interval."""
    each: dict[str, Any] = Field(default_factory=dict)
    """What all record types share, unless they say otherwise. Mappings are joined key by key, and a null removes what stands here."""
    types: dict[str, dict[str, Any]] = Field(min_length=1)
    others: Named | None = None
    """Record types that the CRM's own people make."""
    called: Calls | None = None
    """What the CRM sends by itself when something changed, if it can."""
    fields: Named | None = None
    """What names of fields look like, for a CRM whose configuration writes them."""
    documents: list[PresetPage] = Field(min_length=1)

    def resource(self, name: str, values: Mapping[str, str], size: int, deletes_every: Any = None) -> Resource:
        """Make a record type as the engine is told of it. Raises ValidationError."""
        said = {"size": size, **self._said(name)}
        if deletes_every is not None:
            said["deletes_every"] = deletes_every
        if isinstance(said.get("deletions"), dict):
            said["deletions"] = {"size": size, **said["deletions"]}
        return Resource.model_validate(_filled(said, {**values, _TYPE: name}))

    def _said(self, name: str) -> dict[str, Any]:
        return _joined(self.each, self.types.get(name, {}))

    def fault(self, options: Any, name: str) -> str:
        """Say why this record type cannot be read, with the vendor's page; empty if it can. Without `options`, only its name is checked."""
        if not self._may_be(name):
            others = f"; {self.others.words}" if self.others else ""
            return f"there is no such record type; there are {', '.join(self.types)}{others}: see {self.page}"
        for option in dict.fromkeys(_holes(self._said(name))):
            if options is not None and option in self.options and getattr(options, option) == "":
                return f"{name} needs the option `{option}`: {self.options[option].about} See {self.page}"
        return ""

    def field_fault(self, field: str) -> str:
        """Say why there can be no field of this name, with the vendor's page. Empty if there may be one."""
        if self.fields is None or re.fullmatch(self.fields.named, field):
            return ""
        return f"no field has such a name: {self.fields.words}: see {self.page}"

    @property
    def page(self) -> str:
        """The vendor's page that says most of what may be asked for."""
        return self.documents[0].url

    def _may_be(self, name: str) -> bool:
        return name in self.types or (self.others is not None and re.fullmatch(self.others.named, name) is not None)

    @property
    def stamped(self) -> bool:
        """Whether records have stamps, so that it matters how far a poll looks back."""
        return self.resource(next(iter(self.types)), {}, 1).changed is not None

    @property
    def walks(self) -> bool:
        """Whether deleted records are found by listing everything."""
        one = self.resource(next(iter(self.types)), {}, 1)
        return one.deletions is None and one.deleted is None


def preset(module: str, *, shape: Shape | None = None, make: Build = build, more: type[Options] = Options) -> Connector:
    """Make the connector of the folder in which `module` stands, from the `preset.yaml` beside it.

    `shape` reads the fields of a record where no path says where they are. `make` builds a source that does more than the engine.
    `more` has the options that such a source needs.
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
        documents=tuple(VendorPage(url=one.url, read=one.read, says=one.says) for one in found.documents),
        field_fault=lambda _options, _record, field: found.field_fault(field),
    )


def read(path: Path) -> Preset:
    """Read a preset from its file. Raises ValueError, naming the file and the place."""
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
    """Write each fault with its place. For an unknown key, name the key that may be meant."""
    return "; ".join(
        f"{'.'.join(map(str, (*before(one['loc']), *one['loc'])))}: "
        + (_meant(str(one["loc"][-1]), _keys(model, one["loc"][:-1])) if one["type"] == "extra_forbidden" else one["msg"])
        for one in error.errors()
    )


def _whose(own: Any, name: str, loc: Sequence[Any]) -> tuple[str, ...]:
    """Find where a part of a record type is written: in the type itself, or in what all types share."""
    for part in loc:
        if not isinstance(own, dict) or part not in own:
            return ("each",)
        own = own[part]
    return ("types", name)


def _meant(word: str, words: Collection[str]) -> str:
    near = nearest(word, words)
    return "there is no such key; " + (f"did you mean `{near}`?" if near else f"there are {', '.join(words)}")


def _keys(kind: Any, loc: Sequence[Any]) -> list[str]:
    """Return the keys that a mapping at a place of a model may have."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return _keys(kind.model_fields[loc[0]].annotation, loc[1:]) if loc and loc[0] in kind.model_fields else [*kind.model_fields]
    if get_origin(kind) in (dict, list):
        return _keys(get_args(kind)[-1], loc[1:])
    return [key for one in get_args(kind) for key in _keys(one, loc)]


def _faults(found: Preset) -> Iterator[str]:
    """Find templates that name an unknown option, or that show a secret."""
    plain = {name for name, one in found.options.items() if not one.secret}
    for where, text in [("address", found.address), *(("headers", text) for text in found.headers.values())]:
        yield from (f"{where}: {{{hole}}} is no option" for hole in _HOLES.findall(text) if hole not in plain)
    for key, text in found.auth.items():
        allowed = found.options.keys() if _HOLES.fullmatch(text) else plain
        yield from (f"auth.{key}: {{{hole}}} is no option" for hole in _HOLES.findall(text) if hole not in allowed)
    for name, said in [("each", found.each), *found.types.items()]:
        yield from (f"{name}.{path}" for path in _strange(said, plain | {_TYPE}))


def _strange(said: Any, allowed: set[str], key: str = "", path: str = "") -> Iterator[str]:
    if isinstance(said, dict):
        for name, inner in said.items():
            yield from _strange(inner, allowed, "body" if key == "body" else name, f"{path}.{name}" if path else name)
    elif isinstance(said, list):
        for inner in said:
            yield from _strange(inner, allowed, key, path)
    elif isinstance(said, str) and not (key == "url" and "." not in path):  # a link names values of the record, which no option lists
        yield from (f"{path}: {{{hole}}} is no option" for hole in _HOLES.findall(said) if hole not in allowed | _OWN.get(key, frozenset()))


def _joined(each: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Join what all types share with what one type says itself. The type's own words win."""
    found = dict(each)
    for key, value in own.items():
        if value is None and key in each:
            del found[key]
        else:
            inner = found.get(key)
            found[key] = _joined(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return found


def _filled(said: Any, values: Mapping[str, str]) -> Any:
    """Fill options into the templates of some JSON. Names that are no options stay for the engine."""
    if isinstance(said, dict):
        return {name: _filled(inner, values) for name, inner in said.items()}
    if isinstance(said, list):
        return [_filled(inner, values) for inner in said]
    return _HOLES.sub(lambda hole: values.get(hole[1], hole[0]), said) if isinstance(said, str) else said


def _holes(said: Any) -> Iterator[str]:
    """Find the names in the templates of some JSON."""
    if isinstance(said, (dict, list)):
        for inner in said.values() if isinstance(said, dict) else said:
            yield from _holes(inner)
    elif isinstance(said, str):
        yield from _HOLES.findall(said)


# --- options


def _model(name: str, module: str, found: Preset, more: type[Options]) -> type[Options]:
    """Make the options of a preset, as a model like that of any other connector."""
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


@dataclass(frozen=True, slots=True, eq=False)  # like any function, it is equal only to itself
class Built:
    """A builder of the sources of a preset."""

    preset: Preset
    shape: Shape | None
    make: Build

    def __call__(self, options: Any, setting: Setting) -> RestSource:
        names = [name for name in setting.records if not self.preset.fault(options, name)]  # `check` reports the types that are left out
        usable = [name for name in self.preset.types if not self.preset.fault(options, name)]
        told = engine(self.preset, options, names or usable or list(self.preset.types))
        return self.make(told, setting, self.shape, options)


def engine(found: Preset, options: Any, names: list[str]) -> RestOptions:
    """Make the engine's options for these record types."""
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
