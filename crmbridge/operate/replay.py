"""A replay: the present rules over the journal. What was never said is said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from crmbridge.intake.deliveries import restrained, run, unrenderable
from crmbridge.model import ChangeEvent, plain, to_us
from crmbridge.operate import selection as selections
from crmbridge.operate.port import Port
from crmbridge.operate.selection import OrderRefused
from crmbridge.rules.engine import Decided
from crmbridge.rules.rule import Mode
from crmbridge.store.terms import Batch, Entry, NewDelivery

_PAGE: Final = 200  # changes that are replayed at once
_BITE: Final = 2000  # changes that are replayed in one answer


class Replay:
    """Orders to say past changes again."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._store = port.store

    async def replay(
        self,
        since: str,
        until: str | None = None,
        rule: str | None = None,
        record: str | None = None,
        again: bool = False,
        dry_run: bool = False,
        after: int | None = None,
    ) -> dict[str, Any]:
        """Run the present rules over the journal. What was never said is queued; with `again`, everything is.

        One answer covers some thousands of changes. `next` is where to go on (`after`, with the same `until`), and None at the end.
        """
        refuse_if_mute(self._port, dry_run)
        now = self._port.now()
        start, end = selections.instant(since, now), selections.instant(until, now) if until else now
        if rule is not None and rule not in {one.id for one in self._port.engine.rules}:
            raise OrderRefused(f"there is no rule called {rule}")
        generation = to_us(now) // 1_000_000 if again else 0
        changes = messages = 0
        examples: list[dict[str, str]] = []
        page = await (self._store.events_since(start, _PAGE) if after is None else self._store.events_after(after, _PAGE))
        while page:
            entries = []
            for one in page:
                if one.stale or one.recorded_at >= end or (record is not None and str(one.event.record) != record):
                    continue
                decided = await run(self._port.engine, one.event, generation, rule)
                if new := again_said(one.event, decided, generation):
                    entries.append(Entry(record=one.event.record, event=one.event, fresh=False, deliveries=new))
                changes += 1
            known = await self._store.known_keys([new.key for entry in entries for new in entry.deliveries])
            fresh = [new for entry in entries for new in entry.deliveries if new.key not in known]
            messages += len(fresh)
            examples += [example(new) for new in fresh[: 20 - len(examples)]]
            if entries and not dry_run:
                await self._store.record(Batch(source="", entries=entries), now)
            after = page[-1].seq if page[-1].recorded_at < end else None
            if after is None or changes >= _BITE:
                break
            page = await self._store.events_after(after, _PAGE)
        if messages and not dry_run:
            self._port.queued()
        return {
            "changes": changes,
            "messages": messages,
            "examples": examples,
            "dry_run": dry_run,
            "next": after if page else None,
            "until": end.isoformat(),
        }


def refuse_if_mute(port: Port, dry_run: bool) -> None:
    """Refuse an order while nothing may be published: its messages would go out later, when nobody thinks of them. Raises OrderRefused."""
    if not dry_run and (mute := port.mute):
        raise OrderRefused(f"nothing can be said now: {mute}; --dry-run shows what would be")


def again_said(event: ChangeEvent, decided: Decided, generation: int) -> list[NewDelivery]:
    """Make new deliveries of what the rules decided. A person ordered them, so no age and no flood guard keeps them back."""
    found = [NewDelivery(key=one.key, message=one.message) if one.mode is Mode.LIVE else restrained(one) for one in decided.rendered]
    found += unrenderable(decided, event)
    return [replace(one, message=replace(one.message, expires_at=None), generation=generation) for one in found]


def example(new: NewDelivery) -> dict[str, str]:
    """Show a message in one line, for a person who decides about many."""
    return {"to": new.message.destination, "rule": new.message.rule, "text": new.error or plain(new.message.text)[:200]}
