"""What the fields of a CRM may do to messages, and how that is known beforehand. A field may be empty where a message needs it, or
hold HTML.

Empty fields are known from the rule tests, from the CRM's own description (which `doctor` keeps for `lint`), and from the records that
a running daemon has seen.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from crmbridge.cli.common import Failure, ask_daemon
from crmbridge.config.config import Config
from crmbridge.config.models import is_address
from crmbridge.contract import FieldInfo
from crmbridge.errors import CrmbridgeError
from crmbridge.model import ChangeKind, FieldType
from crmbridge.rules.rule import Rule, Step, templates_in

Field = tuple[str, str, str]
"""A field: source, record type, name."""
_FILE: Final = "required.json"
_IN_WORDS: Final = re.compile(r"\|\s*plain\b")
_ENOUGH: Final = 100
"""The number of records without an exception that prove enough."""


@dataclass(frozen=True, slots=True)
class Unsure:
    """A step whose message is a dead letter if one of these fields is empty."""

    rule: Rule
    step: Step
    fields: Sequence[str]


def unsure(config: Config) -> list[Unsure]:
    """Find every step with such fields. Rules on deletions are left out: a CRM shows little of a record that is gone."""
    speaking = [rule for rule in config.rules if rule.kinds & {ChangeKind.CREATED, ChangeKind.UPDATED}]
    return [Unsure(rule, step, sorted(names)) for rule in speaking for step in rule.steps if (names := rule.unsure(step))]


def notes(config: Config, path: Path) -> Iterator[dict[str, Any]]:
    """Tell what is known of such fields without asking a CRM: one note for each step."""
    wanted = unsure(config)
    every = {(one.rule.source, one.rule.record, name) for one in wanted for name in one.fields}
    never, tested = _described(config, every), _tested(config)
    seen = _seen(config, path, every)
    for one in wanted:
        told = {}
        for name in one.fields:
            field = (one.rule.source, one.rule.record, name)
            empty, of = seen.get(field, (0, 0))
            if empty:
                told[name] = f"in {empty} of {of} records"
            elif field in tested:
                told[name] = f"in the test `{tested[field]}`"
            elif never.get(field) is False and of < _ENOUGH:
                told[name] = "as the CRM lets it be"
        if told:
            yield {"rule": one.rule.id, "step": one.step.id, "empty": told}


def sentence(rule: str, step: str, empty: Mapping[str, str]) -> str:
    """Write one note for people."""
    fields = ", ".join(f"record.{name} ({why})" for name, why in empty.items())
    first = next(iter(empty))
    return (
        f"the rule {rule}, step {step}: where one of these is empty the message is a dead letter: {fields}. "
        f"Write `{{{{ record.{first} | default(...) }}}}`, or `match: {{{first}: {{exists: true}}}}`"
    )


def rich(config: Config, source: str, record: str, infos: Iterable[FieldInfo]) -> list[str]:
    """List the fields of rich text that a rule prints as they are, tags included."""
    spec = config.engine.records.get((source, record), {})
    printed = {
        read.path
        for rule in config.rules
        if (rule.source, rule.record) == (source, record)
        for step in rule.steps
        for template in (step.text, *templates_in(step.blocks))
        for read in template.reads
        if read.root in ("record", "before") and not _IN_WORDS.search(template.source)
    }
    typed = {name for name, one in spec.items() if one.type is FieldType.HTML}
    return sorted(one.name for one in infos if one.type is FieldType.HTML and one.name in printed - typed)


def required(infos: Iterable[FieldInfo]) -> dict[str, bool]:
    """Say for each field whether it always has a value, as far as the CRM tells."""
    return {one.name: one.required for one in infos if one.required is not None}


def keep(config: Config, described: Mapping[str, Mapping[str, Iterable[FieldInfo]]]) -> None:
    """Keep what the CRMs tell, by source and record type, for a later `lint`. If it cannot be written, it is not needed."""
    found = {source: {record: required(infos) for record, infos in kinds.items()} for source, kinds in described.items() if kinds}
    if not found:
        return
    before = _kept(config)
    try:
        path = config.state_folder() / _FILE
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps({**before, **{source: {**before.get(source, {}), **one} for source, one in found.items()}}))
        os.replace(draft, path)  # noqa: PTH105
    except OSError:
        return


def _kept(config: Config) -> dict[str, dict[str, dict[str, bool]]]:
    try:
        raw = json.loads((config.store_path.with_suffix(".state") / _FILE).read_text())
        return {source: {kind: dict(fields) for kind, fields in kinds.items()} for source, kinds in raw.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _described(config: Config, fields: Iterable[Field]) -> dict[Field, bool]:
    kept = _kept(config)
    return {field: needed for field in fields if (needed := kept.get(field[0], {}).get(field[1], {}).get(field[2])) is not None}


def _tested(config: Config) -> dict[Field, str]:
    """Find the fields that a rule test leaves empty, each with the name of the test."""
    return {
        (rule.source, rule.record, name): case.name
        for rule in config.rules
        for case in rule.cases
        for name, value in case.record.items()
        if value is None
    }


def _seen(config: Config, path: Path, fields: Iterable[Field]) -> dict[Field, tuple[int, int]]:
    """Count in how many of how many records seen by a running daemon each field is empty. Return nothing where no daemon runs."""
    if not is_address(config.admin_listen) and not Path(config.admin_listen).exists():
        return {}
    asked: dict[tuple[str, str], list[str]] = {}
    for source, record, name in sorted(fields):
        asked.setdefault((source, record), []).append(name)
    found: dict[Field, tuple[int, int]] = {}
    for (source, record), names in asked.items():
        try:
            answer = ask_daemon(path, "emptiness", source=source, record=record, fields=names)
        except (Failure, CrmbridgeError, OSError, ValueError):
            return found
        found |= {(source, record, name): (answer["empty"][name], answer["of"]) for name in names}
    return found
