"""Rule tests: a change is given, and exactly these messages are expected."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from crmbridge.model import ChangeEvent, Fields, FieldSpec, Message, Reading, RecordSpec, counted, plain
from crmbridge.rules.engine import Engine
from crmbridge.rules.rule import Case, Expected, Rule

_WHEN = datetime(2026, 1, 15, 12, 0, tzinfo=timezone.utc)


def change(rule: Rule, case: Case, engine: Engine) -> ChangeEvent:
    """Make the event that a case describes. Its values are read as its source's are."""
    spec, reading = engine.records.get((rule.source, rule.record)), engine.reading(rule.source)
    return ChangeEvent(
        id="test",
        source=rule.source,
        record_type=rule.record,
        record_id="test",
        revision=2,
        kind=case.kind,
        occurred_at=_WHEN,
        fields=_fields(case.record, spec, reading),
        before=_fields(case.before, spec, reading),
        actor="test",
        url="https://crm.example.com/test",
    )


def _fields(raw: Mapping[str, Any], spec: RecordSpec | None, reading: Reading) -> Fields:
    return {name: reading.read(value, (spec or {}).get(name, FieldSpec())) for name, value in raw.items()}


def run_case(rule: Rule, case: Case, engine: Engine, faults: Callable[[Message], Sequence[str]] = lambda _: ()) -> list[str]:
    """Run a case with its rule alone, and say what is wrong; empty if it holds.

    `faults` says why a message's destination would refuse it.
    """
    decided = engine.alone(rule).run(change(rule, case, engine))
    if decided.unrenderable:
        return [f"step {one.step} cannot be rendered: {one.error}" for one in decided.unrenderable]
    verdict = next(iter(decided.verdicts), None)
    messages = [one.message for one in decided.rendered]
    if not messages and case.expect:
        reason = verdict.reason if verdict else f"the rule does not look at {case.kind} records"
        return [f"expected {counted(len(case.expect), 'message')}, and the rule was silent: {reason}"]
    return _compare(messages, case.expect) + [f"step {one.step}: {fault}" for one in messages for fault in faults(one)]


def _compare(messages: Sequence[Message], expected: Sequence[Expected]) -> list[str]:
    wrong = []
    for index, (message, wanted) in enumerate(zip(messages, expected, strict=False), 1):
        text = plain(message.text)
        if message.destination != wanted.destination:
            wrong.append(f"message {index} goes to {message.destination}, not to {wanted.destination}")
        elif wanted.text is not None and text != wanted.text:
            wrong.append(f"message {index} says {text!r}, not {wanted.text!r}")
        elif wanted.contains is not None and wanted.contains not in text:
            wrong.append(f"message {index} says {text!r}, which does not contain {wanted.contains!r}")
        elif wanted.channel is not None and (message.channel is None or wanted.channel not in (message.channel.key, message.channel.title)):
            wrong.append(f"message {index} goes to the channel {message.channel and (message.channel.title or message.channel.key)}")
    wrong += [f"one message more than expected, to {extra.destination}: {plain(extra.text)!r}" for extra in messages[len(expected) :]]
    wrong += [f"no message to {missing.destination}" for missing in expected[len(messages) :]]
    return wrong
