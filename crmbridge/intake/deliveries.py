"""What the rules made of an event, as new deliveries. Pure, but that others may go on in between."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from crmbridge.errors import RenderError
from crmbridge.intake.flood import ALL, WIDER, Admission, Share, Trial
from crmbridge.model import Audience, ChangeEvent, Literal, Message, State, Why, digest
from crmbridge.rules.engine import Decided, Engine, Rendered
from crmbridge.rules.rule import Mode, Surge
from crmbridge.store.terms import NewDelivery

PIECE = 10_000
"""Units of work (rules.meter) after which others may go on."""


def restrained(one: Rendered, *, shadow: bool = False) -> NewDelivery:
    """Make the delivery of a rule that is not live: a draft waits for a person, a shadow is only recorded."""
    if shadow or one.mode is Mode.SHADOW:
        return NewDelivery(key=one.key, message=one.message, state=State.UNSAID, reason="shadow")
    return NewDelivery(key=one.key, message=one.message, state=State.HELD, reason=Why.DRAFT)


def summary(first: Message, surge: Surge, event: ChangeEvent) -> NewDelivery:
    """Make the message that is said in place of the flood that `first` begins."""
    seconds = round(surge.per.total_seconds())
    within = f"{seconds // 60} min" if seconds % 60 == 0 else f"{seconds} s"
    words = f"More than {surge.over} messages of the rule {first.rule} came within {within}. The rest waits: a person releases or drops it."
    message = replace(
        first, step="surge", text=(Literal(words),), link=None, thread=None, edit=False, blocks=None, media=None, subject=None
    )
    channel = first.channel.key if first.channel else ""
    return NewDelivery(key=digest("surge", event.id, first.rule, first.destination, channel), message=message)


def unrenderable(decided: Decided, event: ChangeEvent) -> list[NewDelivery]:
    """Make dead letters of the steps that could not be rendered."""
    return [
        NewDelivery(key=one.key, message=_unsaid(one.destination, one.rule, one.step, event), error=one.error)
        for one in decided.unrenderable
    ]


def _unsaid(destination: str, rule: str, step: str, event: ChangeEvent) -> Message:
    """Stand in for a message that could not be rendered."""
    return Message(destination=destination, channel=None, rule=rule, step=step, text=(), record=event.record, occurred_at=event.occurred_at)


async def run(engine: Engine, event: ChangeEvent, generation: int = 0, only: str | None = None) -> Decided:
    """Run the rules on an event. Others go on in between."""
    decided, spent = Decided(), 0
    for cost in engine.running(event, decided, generation, only):
        spent += cost
        if spent > PIECE:
            spent = 0
            await asyncio.sleep(0)
    return decided


def rerender(engine: Engine, event: ChangeEvent, key: str, generation: int = 0) -> Message:
    """Render the message with `key` by the present rules. Raises RenderError, also if they make no such message."""
    decided = engine.run(event, generation)
    for one in decided.rendered:
        if one.key == key:
            return one.message
    for failed in decided.unrenderable:
        if failed.key == key:
            raise RenderError(failed.error)
    raise RenderError("the present rules no longer say anything for this change")


def admitted(one: Rendered, event: ChangeEvent, trial: Trial, *, shadow: bool) -> list[NewDelivery]:
    """Admit a message as its rule's mode and the flood guard allow, with the summary that begins a flood.

    `shadow`: the daemon publishes nothing at all.
    """
    message = one.message
    if shadow or one.mode is not Mode.LIVE:
        return [restrained(one, shadow=shadow)]
    if one.surge is None:
        return [NewDelivery(key=one.key, message=message)]
    share = Share(message.rule, message.destination, message.channel.key if message.channel else "")
    admission = trial.admit(share, one.surge)
    held = NewDelivery(key=one.key, message=message, state=State.HELD, reason=Why.SURGE)
    if message.channel is not None and message.channel.title:  # made from a record
        wide = trial.admit(share._replace(channel=ALL), replace(one.surge, over=one.surge.over * WIDER))
        if wide is not Admission.GO:
            return [held]  # no summary: there is no channel in which it would be read
    if admission is Admission.GO:
        return [NewDelivery(key=one.key, message=message)]
    if admission is Admission.HELD or message.audience is Audience.PUBLIC:
        return [held]
    return [summary(message, one.surge, event), held]
