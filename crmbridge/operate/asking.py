"""Questions to the CRM itself, beside the polls: what was there before crmbridge, and what it may have missed.

The cursor of the polls stays where it is; only `state_set` moves it.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from crmbridge.contract import Baseline, Caller, Rewindable, Stretch, Walk, Walking
from crmbridge.errors import SourceError
from crmbridge.intake.change import same
from crmbridge.intake.deliveries import run
from crmbridge.model import ChangeEvent, ChangeKind, Cursor, Observation, Page, RecordRef, digest
from crmbridge.operate import selection as selections
from crmbridge.operate import shapes
from crmbridge.operate.look import LIMIT
from crmbridge.operate.port import Port
from crmbridge.operate.replay import again_said, example, refuse_if_mute
from crmbridge.operate.selection import OrderRefused
from crmbridge.store.terms import Batch, Conflict, Entry, Snapshot, SourcePosition

_BITE: Final = 500  # records that one answer reads; one page, if that is more
_PAGE: Final = 200  # records that are recorded at once
_IDS: Final = 5_000  # ids that are read from the store at once
_CONFLICTS: Final = 10
_UNDER_WAY: Final = timedelta(minutes=5)  # a change younger than this may still be on its way to crmbridge


class Asking:
    """Orders and questions that read sources on demand."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._store = port.store

    async def backfill(
        self,
        source: str,
        since: str,
        until: str | None = None,
        cursor: str | None = None,
        dry_run: bool = False,
        most: int | None = None,
    ) -> dict[str, Any]:
        """Run the rules over records that changed in a time, each as if it had just been created as it is now.

        A rule does not say again what it has said, or tried to say, of a record. A record that differs from what is known is left to the
        poll that will see its change. One answer covers some hundreds of records, or about `most` messages. `next` is where to go on, and
        None at the end. It may be the same page again: its first messages are known by then.
        """
        refuse_if_mute(self._port, dry_run)
        now = self._port.now()
        begin, end = selections.instant(since, now), selections.instant(until, now) if until else now
        seen = messages = 0
        left = Counter[str]()
        examples: list[dict[str, str]] = []
        async with self._opened(source) as (call, asked):
            bookmark: str | None = cursor or await call(asked.since, begin)
            while bookmark is not None and seen < _BITE and (most is None or messages < most):
                page: Page = await call(asked.poll, Cursor(bookmark))
                meant = [one for one in page.observations if begin <= one.occurred_at < end and not (one.deleted or one.merged_into)]
                step, whole = min(_PAGE, most or _PAGE), True
                for start in range(0, len(meant), step):
                    if most is not None and messages >= most:
                        whole = False
                        break
                    some = meant[start : start + step]
                    entries, skipped = await self._backfilled(source, some, record=not dry_run)
                    fresh = [new for entry in entries for new in entry.deliveries]
                    left.update(skipped)
                    seen, messages = seen + len(some), messages + len(fresh)
                    examples += [example(new) for new in fresh[: 20 - len(examples)]]
                if whole:
                    bookmark = page.cursor if page.has_more else None
        if messages and not dry_run:
            self._port.queued()
        return {
            "records": seen,
            "left_to_the_poll": left["moved"],
            "left_to_nobody": left["unmoved"],
            "messages": messages,
            "examples": examples,
            "dry_run": dry_run,
            "next": bookmark,
            "since": begin.isoformat(),
            "until": end.isoformat(),
        }

    async def _backfilled(self, source: str, observations: Sequence[Observation], *, record: bool) -> tuple[list[Entry], Counter[str]]:
        """Find what there is to say of each record, and record it if `record` is set. Count the records that are left to others."""
        for _ in range(_CONFLICTS):
            entries, left = await self._unsaid_of(source, observations)
            if not entries or not record:
                return entries, left
            try:
                await self._store.record(Batch(source=source, entries=entries), self._port.now())
            except Conflict:
                continue  # a poll has told of one of these records meanwhile: decide anew
            return entries, left
        raise OrderRefused("the records change faster than they can be told of; try again later")

    async def _unsaid_of(self, source: str, observations: Sequence[Observation]) -> tuple[list[Entry], Counter[str]]:
        records = {RecordRef(source, one.record_type, one.record_id): one for one in observations}
        known = (await self._store.known(list(records))).snapshots
        entries, left = [], Counter[str]()
        for record, one in records.items():
            snapshot = known.get(record)
            if snapshot is not None and (snapshot.deleted or _others(snapshot, one)):
                # The record differs from what is known. A poll will tell that change with its old values, unless the stamp stands still.
                left["unmoved" if one.version is not None and one.version == snapshot.version else "moved"] += 1
                continue
            event = _event(record, replace(one, fields={**(snapshot.fields if snapshot else {}), **one.fields}), snapshot)
            decided = await run(self._port.engine, event)
            if not decided.rendered and not decided.unrenderable:
                continue
            said = {
                (told.message.rule, told.message.step)
                for told in await self._store.deliveries_of(record, LIMIT)
                if told.reason != "shadow"  # a shadow's message was only recorded, and not said
            }
            found = [new for new in again_said(event, decided, 0) if (new.message.rule, new.message.step) not in said]
            before = await self._store.known_keys([new.key for new in found])
            if new := [one for one in found if one.key not in before]:
                learnt = None if snapshot else Snapshot(0, one.version, False, event.fields)
                entries.append(Entry(record=record, snapshot=learnt, event=event, deliveries=new))
        return entries, left

    async def audit(self, source: str, since: str, cursor: str | None = None) -> dict[str, Any]:
        """Ask the CRM what changed since an instant, and list the records that are not known here as they are there. Changes nothing.

        Changes of the last minutes may still be on their way, and are left out. `next` is as in `backfill`.
        """
        now = self._port.now()
        begin = selections.instant(since, now)
        seen, missing = 0, list[dict[str, Any]]()
        async with self._opened(source) as (call, asked):
            bookmark: str | None = cursor or await call(asked.since, begin)
            while bookmark is not None and seen < _BITE:
                page: Page = await call(asked.poll, Cursor(bookmark))
                meant = [one for one in page.observations if begin <= one.occurred_at < now - _UNDER_WAY]
                seen += len(meant)
                missing += await self._unknown_here(source, meant)
                bookmark = page.cursor if page.has_more else None
            blind: list[str] = []
            if bookmark is None:
                gone, blind = await self._gone_there(source, call, asked)
                missing += gone
        return {"records": seen, "missing": missing, "next": bookmark, "since": begin.isoformat(), "unseen": blind}

    async def _gone_there(self, source: str, call: Callable[..., Any], asked: Any) -> tuple[list[dict[str, Any]], list[str]]:
        """List known records that are gone there, or differ without a newer stamp. Say in words what cannot be seen."""
        found, blind = list[dict[str, Any]](), list[str]()
        walks: Mapping[str, Walk] = asked.walks() if isinstance(asked, Walking) else {}
        for record_type in sorted({name for of, name in self._port.engine.records if of == source} | walks.keys()):
            walk = walks.get(record_type)
            known = await self._ids_of(source, record_type, walk.most_ids) if walk and walk.certain else None
            if walk is None or known is None:
                blind.append(f"{record_type}: what was deleted without a trace, or changed without a newer stamp")
                continue
            rows, bookmark = len(known) <= walk.most_rows, ""
            while True:
                stretch: Stretch = await call(asked.walk, record_type, bookmark or None, rows)
                known.difference_update(stretch.ids)
                due = [one for one in stretch.observations if one.occurred_at < self._port.now() - _UNDER_WAY]
                found += await self._unknown_here(source, due)
                if stretch.bookmark is None:
                    break
                bookmark = stretch.bookmark
            found += [
                {"record": f"{source}/{record_type}/{id}", "changed_at": "", "why": "it is gone there, and that was not seen", "url": None}
                for id in sorted(known)
            ]
            if not rows:
                blind.append(f"{record_type}: what changed without a newer stamp")
        return found, [*blind, "what changed and changed back between two looks"]

    async def _ids_of(self, source: str, record_type: str, most: int) -> set[str] | None:
        """Return the known ids of a record type. Return None if there are more than `most`."""
        found, after = set[str](), ""
        while ids := await self._store.ids_of(source, record_type, after, _IDS):
            found.update(ids)
            if len(found) > most:
                return None
            after = ids[-1]
        return found

    async def _unknown_here(self, source: str, observations: Sequence[Observation]) -> list[dict[str, Any]]:
        records = [RecordRef(source, one.record_type, one.record_id) for one in observations]
        known = (await self._store.known(records)).snapshots
        found = []
        for record, one in zip(records, observations, strict=True):
            snapshot, gone = known.get(record), one.deleted or one.merged_into is not None
            if snapshot is None:
                why = "" if gone else "never seen"
            elif gone:
                why = "" if snapshot.deleted else "its deletion was not seen"
            else:
                others = _others(snapshot, one)
                why = f"not seen since it changed: {', '.join(others)}" if others else ""
            if why:
                found.append({"record": str(record), "changed_at": one.occurred_at.isoformat(), "why": why, "url": one.url})
        return found

    # --- the cursor of a source

    async def state_show(self, source: str) -> dict[str, Any]:
        """Show how far a source has been read."""
        position = await self._store.position(source)
        return {
            "source": source,
            "cursor": position.cursor,
            "baselined": position.baselined,
            "polled_at": shapes.moment(position.polled_at),
        }

    async def state_set(self, source: str, since: str | None = None, cursor: str | None = None) -> dict[str, Any]:
        """Move a source's cursor to an instant, or to one that `state show` gave. Records that are read again unchanged say nothing."""
        if (since is None) == (cursor is None):
            raise OrderRefused("say from where: --since or --cursor")
        before = await self._store.position(source)
        async with self._opened(source) as (call, asked):
            if not before.baselined and isinstance(asked, Baseline) and asked.enumerates():
                raise OrderRefused(f"{source} is still learning what exists; that must end first")
            if since is not None:
                cursor = await call(asked.since, selections.instant(since, self._port.now()))
            await call(asked.poll, Cursor(cursor or ""))  # refuses a cursor of another source here; otherwise every later poll would fail
        assert cursor is not None
        position = SourcePosition(Cursor(cursor), before.baselined, before.polled_at)
        await self._port.moved(source, position)
        return {"source": source, "cursor": cursor, "before": before.cursor}

    @asynccontextmanager
    async def _opened(self, name: str) -> AsyncIterator[tuple[Caller, Any]]:
        """Build a source of our own beside the polled one, and give it with its caller. Raises OrderRefused for its errors."""
        asked = self._port.source(name)
        close = asked.close if hasattr(asked, "close") else None
        if close is None or not isinstance(asked, Rewindable):
            raise OrderRefused(f"{name} cannot be asked what changed since an instant")
        call = Caller(f"asking {name}", 1)
        try:
            yield call, asked
        except SourceError as error:
            raise OrderRefused(f"{name} cannot be read: {error}") from None
        except TimeoutError:
            raise OrderRefused(f"{name} did not answer within {call.within:g} s") from None
        finally:
            with contextlib.suppress(Exception):  # the question is answered; a source that cannot be closed is left to its thread
                await call(close)
            call.close()


def _others(known: Snapshot, seen: Observation) -> list[str]:
    """Return the fields that differ from what is known. A field that was configured later is not known yet, and is left out."""
    return [name for name, value in seen.fields.items() if name in known.fields and not same(known.fields[name], value)]


def _event(record: RecordRef, one: Observation, known: Snapshot | None) -> ChangeEvent:
    """Make the event of a record as if it had just been created. Its id is the same for every `backfill`, so a rule says this only once."""
    return ChangeEvent(
        id=digest("backfill", str(record)),
        source=record.source,
        record_type=record.type,
        record_id=record.id,
        revision=known.revision if known else 0,
        kind=ChangeKind.CREATED,
        occurred_at=one.occurred_at,
        fields=one.fields,
        before={},
        actor=one.actor,
        url=one.url,
    )
