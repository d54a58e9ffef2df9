"""A configuration file, its includes and its connectors' options become a Config, or all that is wrong with them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import timedelta, timezone, tzinfo
from functools import cache, partial
from pathlib import Path
from typing import Any, Final, Literal, cast
from zoneinfo import ZoneInfo

import pydantic
from pydantic import ValidationError, create_model

from crmbridge import registry
from crmbridge.config.alerts import alerts_faults
from crmbridge.config.compile import compile_rules, surge
from crmbridge.config.config import Config, DestinationConfig, SourceConfig, admin_at
from crmbridge.config.document import Document, KeyPath, read
from crmbridge.config.exposure import in_clear_text, open_files, reachable_from_outside, weak
from crmbridge.config.models import ConfigModel, DestinationModel, IncludeModel, SourceModel, StoreModel
from crmbridge.config.remarks import remarks
from crmbridge.config.rule_models import DefaultsModel, RuleModel
from crmbridge.config.secrets import configured_secrets, unreadable_secrets, unusable_secrets
from crmbridge.config.speech import braces, default_link_fault
from crmbridge.config.surroundings import Place, RuleSource, Speech, Surroundings
from crmbridge.config.words import worded
from crmbridge.contract import Connector, Options, Secret, Setting
from crmbridge.errors import ConfigError, Problem
from crmbridge.model import Audience, FieldSpec, Text, did_you_mean, shortened
from crmbridge.publisher.decide import Cap, OnUnknown, Policy
from crmbridge.rules.engine import Engine

_MAX_INCLUDED: Final = 500
_LITERAL: Final = "the secret itself stands in the file; write {env: NAME}, {file: PATH} or {credential: NAME}"
PUBLIC_AGE: Final = timedelta(hours=6)
"""How long after a change the public may still be told, unless the configuration says otherwise."""


def admin_door(path: Path, data: Any) -> tuple[str, Secret | None]:
    """`Config.admin_listen` and the token of a file that may have problems elsewhere: a daemon that runs can be asked all the same.

    `data` is what the file holds.
    """
    folder = path.absolute().parent
    listen, token = _said(data, "admin", "listen"), None
    with contextlib.suppress(ValueError):
        if (given := _said(data, "admin", "token")) is not None:
            token = Secret.parse(given)
            token.within(folder)
    return admin_at(folder, store_at(folder, data), listen if isinstance(listen, str) else None), token


def store_at(folder: Path, data: Any) -> Path:
    """Find the database of a file in `folder` that may have problems elsewhere. `data` is what the file holds."""
    path = _said(data, "store", "path")
    return folder / (path if isinstance(path, str) else StoreModel().path)


def _said(data: Any, section: str, key: str) -> Any:
    inner = data.get(section) if isinstance(data, dict) else None
    return inner.get(key) if isinstance(inner, dict) else None


def load(path: Path, *, secrets: bool = True) -> Config:
    """Read and check a configuration. Raises ConfigError with every problem, in file order.

    `secrets`: also check that every secret can be read on this machine, as a daemon needs; a linter does not.
    """
    loader = _Loader(path.absolute())
    config = loader.load()
    if config is None or loader.problems:
        raise ConfigError(_told_once(loader.problems, loader.main.problems), path.parent)
    if secrets and (missing := unreadable_secrets(config, loader.main) or unusable_secrets(config, loader.main)):
        raise ConfigError(missing, path.parent)
    return config


def _told_once(problems: Sequence[Problem], syntax: Sequence[Problem]) -> list[Problem]:
    """All problems in file order; where the YAML itself is wrong, what follows from that is left out."""
    wrong = {(one.file, one.path) for one in syntax if one.path}
    return sorted({one for one in problems if one in syntax or (one.file, one.path) not in wrong})


class _Loader:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.main = read(path, path.name)
        self.problems: list[Problem] = list(self.main.problems)
        self.zone: tzinfo = timezone.utc

    def load(self) -> Config | None:
        if self.main.data is None:
            return None
        model = self._validate(ConfigModel, self.main, self.main.data, ())
        if model is not None:
            self.zone = ZoneInfo(model.timezone)
        raw = self.main.data if isinstance(self.main.data, dict) else {}
        sources = {name: one for name, value in _items(raw, "sources") if (one := self._source(name, value))}
        destinations = {name: to for name, value in _items(raw, "destinations") if (to := self._destination(name, value))}
        rules = self._rules(model, raw)
        for path, message in braces(raw):
            self._add(self.main, path, message)
        records = {(source.name, record): spec for source in sources.values() for record, spec in source.records.items()}
        surroundings = Surroundings(
            sources={name: set(one.records) for name, one in sources.items()},
            destinations={
                name: Speech(
                    one.audience,
                    one.connector.dynamic_channels,
                    one.connector.needs_channel(one.options),
                    one.connector.can(one.options),
                    _max_age(one),
                    surge(one.options.surge),
                    partial(_too_long, one),
                    one.connector.lacks(one.options),
                    partial(one.connector.lay_out, one.options) if one.connector.lay_out else None,
                    one.connector.channel_example,
                    partial(one.connector.channel_fault, one.options),
                )
                for name, one in destinations.items()
            },
            unusable=_broken(raw, sources, destinations),
            records=records,
            defaults=model.defaults if model else DefaultsModel(),
            strict_conditions=model is not None and model.strict_conditions,
        )
        groups: dict[str, Mapping[str, Any]] = {"sources": sources, "destinations": destinations}
        secrets = configured_secrets(model, sources, destinations)
        for _, secret in secrets:
            secret.within(self.path.parent.absolute())
        compiled, problems, advice = compile_rules(rules, surroundings)
        self.problems += problems
        if model is None:
            return None
        self._alerts(model, destinations, raw)
        if model.defaults.link and (fault := default_link_fault(model.defaults.link)):
            self._add(self.main, ("defaults", "link"), fault)
        if model.server.listen.startswith("/") and any(one.connector.embedded(one.options) for one in destinations.values()):
            self._add(self.main, ("server", "listen"), "the embedded feed is spoken to over TCP: write HOST:PORT")
        exposed = [(path, _LITERAL) for path, secret in secrets if secret.literal]
        exposed += in_clear_text(model.server.public_url, groups)
        if reachable_from_outside(raw.get("server")):
            exposed += weak(secrets)
            if model.server.public_url is None and any(one.connector.embedded(one.options) for one in destinations.values()):
                why = "sign-ins and cookies would travel readable: put a TLS proxy in front, and write its https:// address as public_url"
                exposed.append((("server", "listen"), why))
        return Config(
            path=self.path,
            model=model,
            sources=sources,
            destinations=destinations,
            rules=compiled,
            engine=Engine(compiled, records, self.zone, {name: one.options.reading(self.zone) for name, one in sources.items()}),
            warnings=sorted(self.main.problem(*one) for one in exposed),
            notes=sorted(
                self._noted("sources", sources)
                + self._noted("destinations", destinations)
                + remarks(rules, destinations, model.defaults)
                + [self.main.problem(*one) for one in open_files(secrets)]
                + advice
            ),
        )

    # --- parts

    def _source(self, name: str, value: Any) -> SourceConfig | None:
        options, connector = self._connector("sources", name, value, SourceModel)
        if options is None or connector is None:
            return None
        common = cast("SourceModel", options)
        records = {
            record: {
                field_name: FieldSpec(type=one.type, sensitivity=one.audience, currency=one.currency, separator=one.separator)
                for field_name, one in model.fields.items()
            }
            for record, model in common.records.items()
        }
        for record, spec in records.items():
            if fault := connector.record_fault(options, record):
                self._add(self.main, ("sources", name, "records", record), fault)
            for field_name, one in spec.items():
                if not fault and (strange := connector.field_fault(options, record, field_name)):
                    self._add(self.main, ("sources", name, "records", record, "fields", field_name), strange)
                if one.currency is not None and one.currency not in spec:
                    where = ("sources", name, "records", record, "fields", field_name, "currency")
                    self._add(self.main, where, f"{one.currency} is not among the configured fields{did_you_mean(one.currency, spec)}")
        return SourceConfig(name=name, connector=connector, options=options, every=common.every, expect=common.expect, records=records)

    def _destination(self, name: str, value: Any) -> DestinationConfig | None:
        options, connector = self._connector("destinations", name, value, DestinationModel)
        if options is None or connector is None:
            return None
        common = cast("DestinationModel", options)
        audience = common.audience or connector.audience
        if audience not in connector.audiences:
            allowed = " or ".join(sorted(connector.audiences))
            self._add(
                self.main,
                ("destinations", name, "audience"),
                f"a destination of type {connector.name} is read by the {allowed}, not by the {audience}",
            )
        cap = common.cap
        policy = Policy(
            destination=name,
            idempotent=connector.idempotent,
            on_unknown=common.on_unknown or OnUnknown.default(audience),
            audience=audience,
            cap=Cap(per_day=cap.per_day, per_month=cap.per_month, zone=self.zone) if cap else None,
        )
        return DestinationConfig(name=name, connector=connector, options=options, audience=audience, policy=policy)

    def _connector(self, kind: str, name: str, value: Any, common: type[Options]) -> tuple[Options | None, Connector | None]:
        path: KeyPath = (kind, name)
        if not isinstance(value, dict):
            self._add(self.main, path, "write its options, beginning with `type:`")
            return None, None
        type_name = value.get("type")
        types = registry.names(kind)
        if not isinstance(type_name, str) or type_name not in types:
            where = (*path, "type") if "type" in value else path
            hint = did_you_mean(str(type_name), types) or f"; there are {', '.join(types)}"
            self._add(
                self.main, where, f'there is no {kind[:-1]} of type "{type_name}"{hint}' if "type" in value else f"`type` is missing{hint}"
            )
            return None, None
        try:
            connector = registry.load(kind, type_name)
        except registry.UnknownConnector as error:
            self._add(self.main, (*path, "type"), str(error))
            return None, None
        options = self._validate(options_model(connector, common), self.main, value, path)
        if options is not None:
            for inner, message in options.objections(public=reachable_from_outside(self.main.data.get("server"))):
                self._add(self.main, (*path, *inner), message)
        return options, connector

    def _rules(self, model: ConfigModel | None, raw: Mapping[str, Any]) -> list[RuleSource]:
        found = self._rules_of(self.main, raw.get("rules"))
        for pattern in model.include if model else []:
            try:
                files = sorted(self.path.parent.glob(pattern))
            except (ValueError, NotImplementedError, IndexError):
                self._add(self.main, ("include",), f"`{pattern}` is not a pattern relative to this file, like rules.d/*.yaml")
                continue
            files = [file for file in files if not file.name.endswith("_test.yaml")]  # the rules' own tests, which stand beside them
            if outside := [file for file in files if not file.resolve().is_relative_to(self.path.parent.resolve())]:
                self._add(self.main, ("include",), f"{outside[0].name} leads out of this folder: what is included stands in it")
                continue
            if len(files) > _MAX_INCLUDED:
                self._add(self.main, ("include",), f"{pattern} names {len(files)} files; at most {_MAX_INCLUDED} are read")
            if not files and not any(mark in pattern for mark in "*?["):
                self._add(self.main, ("include",), f"{pattern} does not exist beside this file")
            for file in files[:_MAX_INCLUDED]:
                document = read(file, str(file.relative_to(self.path.parent)))
                self.problems += document.problems
                if document.data is None:
                    continue
                for path, message in braces(document.data):
                    self._add(document, path, message)
                if self._validate(IncludeModel, document, document.data, ()) is not None:
                    found += self._rules_of(document, document.data.get("rules"))
        return found

    def _alerts(self, model: ConfigModel, destinations: Mapping[str, DestinationConfig], raw: Mapping[str, Any]) -> None:
        if model.alerts.to in _broken(raw, {}, destinations):
            return
        to = destinations.get(model.alerts.to) if model.alerts.to is not None else None
        asked = (to.connector, to.options, to.audience) if to is not None else None
        for path, message in alerts_faults(model.alerts, asked, set(destinations)):
            self._add(self.main, ("alerts", *path), message)

    def _rules_of(self, document: Document, raw: Any) -> list[RuleSource]:
        found = []
        for index, value in enumerate(raw if isinstance(raw, list) else []):
            path = ("rules", index)
            rule = self._validate(RuleModel, document, value, path)
            if rule is not None:
                found.append(RuleSource(rule, Place(document, path)))
        return found

    def _noted(self, kind: str, configured: Mapping[str, SourceConfig] | Mapping[str, DestinationConfig]) -> list[Problem]:
        return [
            self.main.problem((kind, name, *path), message) for name, one in configured.items() for path, message in one.options.notes()
        ]

    # --- problems

    def _add(self, document: Document, path: KeyPath, message: str) -> None:
        self.problems.append(document.problem(path, message))

    def _validate(self, model: type[Any], document: Document, data: Any, path: KeyPath) -> Any:
        if not isinstance(data, dict):
            self._add(document, path, "must be a mapping of keys to values")
            return None
        try:
            return model.model_validate(data)
        except ValidationError as error:
            self.problems += [worded(document, data, path, one, model) for one in error.errors(include_url=False, include_context=True)]
            return None


def _too_long(one: DestinationConfig, text: Text) -> str:
    found = measured(one, text)
    return f"{found[0]}, and {one.name} takes {found[1]}" if found and found[0] > found[1] else ""


def measured(one: DestinationConfig, text: Text) -> tuple[int, int] | None:
    """How long `text` is on its network, shortened where it may be, and how long it may be.

    None where there is no limit, or building the connector needs a secret.
    """
    try:
        built = one.connector.build(one.options, Setting(name=one.name))
    except ValueError:
        return None
    limit: int | None = built.limits.length
    return (built.measure(shortened(text, lambda short: built.measure(short) <= limit)), limit) if limit else None


def _max_age(one: DestinationConfig) -> timedelta | None:
    said = one.options.max_age
    if said is None:
        return PUBLIC_AGE if one.audience is Audience.PUBLIC else one.connector.max_age
    return None if said == "off" else said


def _items(raw: Mapping[str, Any], key: str) -> list[tuple[str, Any]]:
    value = raw.get(key)
    return list(value.items()) if isinstance(value, dict) else []


def _broken(raw: Mapping[str, Any], sources: Mapping[str, Any], destinations: Mapping[str, Any]) -> frozenset[str]:
    """Names that are there but have problems of their own: rules that use them get no second complaint."""
    named = {name for key in ("sources", "destinations") for name, _ in _items(raw, key)}
    return frozenset(named - sources.keys() - destinations.keys())


@cache
def options_model(connector: Connector, common: type[Options]) -> type[Options]:
    """Make the model of one configured connector: its own options, what all of its kind have, and its `type`."""
    kind: Any = Literal[connector.name]
    model: Any = create_model(
        f"{connector.name.title()}{common.__name__.removesuffix('Model')}",
        __base__=(connector.options, common),
        __doc__=connector.summary,
        type=(kind, pydantic.Field(description="The connector.")),
    )
    return cast("type[Options]", model)
