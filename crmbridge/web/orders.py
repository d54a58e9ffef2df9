"""What people may order. Every method takes and gives JSON values, and refuses a scope that nobody stated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from crmbridge.errors import DeliveryError, RenderError
from crmbridge.intake.deliveries import rerender, restrained, run, unrenderable
from crmbridge.model import (
    Audience,
    ChangeEvent,
    Delivery,
    Literal,
    Message,
    Receipt,
    RecordRef,
    State,
    Why,
    digest,
    load_observation,
    plain,
    to_us,
)
from crmbridge.publisher.decide import RESENT
from crmbridge.publisher.publisher import Publisher
from crmbridge.rules.engine import Outcome
from crmbridge.rules.rule import Mode
from crmbridge.store.interface import Batch, Entry, NewDelivery, Pause, PauseKind, Published, Scope
from crmbridge.web import scope as scopes
from crmbridge.web.reading import LIMIT, Reading
from crmbridge.web.scope import Refused, Where

_DROPPABLE: Final = (State.QUEUED, State.HELD)
_PAGE: Final = 200  # changes replayed at once
_BITE: Final = 2000  # changes replayed in one answer


class Orders(Reading):
    """Changes one store."""

    # --- the queue

    # `most` bounds one answer, so that whoever asks can show how far it is: fewer than that, and it is done.

    async def queue_hold(self, where: Where, reason: str = "", most: int | None = None) -> dict[str, Any]:
        """What is queued waits for a person."""
        scope = await self._meant(where, [State.QUEUED])
        return {"count": await self._store.hold(scope, Why.BY_HAND.because(reason), self._now(), most)}

    async def queue_release(self, where: Where, outdated: bool = False, most: int | None = None) -> dict[str, Any]:
        """What is held goes on; what its record no longer is, is left unsaid, unless `outdated` is wanted too."""
        scope = await self._meant(where, [State.HELD])
        released = dropped = 0
        if outdated:
            released = await self._store.release(scope, self._now(), most)
        while not outdated and (most is None or released + dropped < most):
            page = await self._store.select([State.HELD], scope, limit=LIMIT, oldest=True)
            if not page:
                break
            for reason, ids in (await self._no_longer_so(page)).items():
                those = Scope(ids=ids)
                if reason:
                    dropped += await self._store.drop([State.HELD], those, f"outdated: {reason}", self._now())
                else:
                    released += await self._store.release(those, self._now())
        self._changed()
        return {"count": released, "outdated": dropped}

    async def _no_longer_so(self, held: Sequence[Delivery]) -> dict[str, list[int]]:
        """The numbers of what is held, by why it is outdated (empty: it is not)."""
        records = list({one.message.record for one in held})
        known = (await self._store.known(records)).snapshots
        found: dict[str, list[int]] = {}
        for one in held:
            record = known.get(one.message.record)
            reason = self._engine().outdated(one.message.rule, record.fields) if record else ""
            found.setdefault(reason, []).append(one.id)
        return found

    async def queue_drop(self, where: Where, most: int | None = None) -> dict[str, Any]:
        """What waits is left unsaid for good."""
        scope = await self._meant(where, _DROPPABLE)
        return {"count": await self._store.drop(_DROPPABLE, scope, "dropped by hand", self._now(), most)}

    async def count(self, where: Where, states: Sequence[str]) -> dict[str, Any]:
        """How many an order would touch."""
        wanted = [State(state) for state in states]
        return {"count": await self._store.count(wanted, await self._meant(where, wanted))}

    async def _meant(self, where: Where, states: Sequence[State]) -> Scope:
        """The scope that a person stated; one that is named must be in one of `states`."""
        scope = scopes.read(where, self._now())
        names = where.get("names") or ()
        found = [(await self._find(name))[0] for name in names]
        for one in found:
            if one.state not in states:
                raise Refused(f"delivery {one.id} is {one.state}, not {' or '.join(states)}")
        return replace(scope, ids=[one.id for one in found])

    # --- dead letters and doubts

    async def dead_retry(self, where: Where, requests: Sequence[int] = ()) -> dict[str, Any]:
        """Queue dead letters again, as they were accepted; an unrenderable one is rendered by the present rules first."""
        done, problems = 0, list[dict[str, Any]]()
        for delivery in await self._dead(where, requests):
            try:
                message = delivery.message if delivery.message.text else await self._rendered(delivery)
                done += await self._store.requeue(delivery, message, self._now())
            except RenderError as error:
                problems.append({"id": delivery.id, "reason": str(error)})
        retried = []
        for id in await self._requests(where, requests):
            if why := await self._unreadable(id):
                problems.append({"id": f"request:{id}", "reason": f"its source could not read it, and trying again reads nothing: {why}"})
            else:
                retried.append(await self._store.retry_request(id))
        if done:
            self._changed()
        if any(retried):
            self._requests_changed()
        return {"count": done, "requests": sum(retried), "problems": problems}

    async def _unreadable(self, id: int) -> str:
        """Why a source could not read what was put aside; empty for everything else."""
        found = await self._store.failed_request(id)
        try:
            return load_observation(found[0].body).unreadable if found and found[0].record is not None else ""
        except ValueError:
            return ""

    async def dead_drop(self, where: Where, requests: Sequence[int] = ()) -> dict[str, Any]:
        """Leave dead letters unsaid for good; they stay in the journal until retention removes them."""
        done = 0
        if not requests or where.get("names") or where.get("all"):
            done = await self._store.drop([State.DEAD], await self._meant(where, [State.DEAD]), "dropped by hand", self._now())
        dropped = [await self._store.drop_request(id) for id in await self._requests(where, requests)]
        return {"count": done, "requests": sum(dropped), "problems": []}

    async def _dead(self, where: Where, requests: Sequence[int]) -> list[Delivery]:
        if requests and scopes.read(where, self._now(), whole=True).everything and not where.get("names") and not where.get("all"):
            return []
        return await self._store.select([State.DEAD], await self._meant(where, [State.DEAD]), limit=LIMIT, oldest=True)

    async def _requests(self, where: Where, requests: Sequence[int]) -> Sequence[int]:
        every = where.get("all") and scopes.read(where, self._now(), whole=True).everything
        return [row.id for row, _ in await self._store.failed_requests(LIMIT)] if every else requests

    async def _rendered(self, delivery: Delivery) -> Message:
        event = await self._store.event(delivery.event_id)
        if event is None:
            raise RenderError("its change is no longer in the journal")
        message = rerender(self._engine(), event, delivery.key, delivery.generation)
        if message.destination != delivery.message.destination:
            # Its place in the outbox is that of the old destination, whose readers may be others.
            raise RenderError(f"its rule now publishes to {message.destination}: drop this one")
        return message

    async def unknown_resolve(self, name: str, outcome: str, url: str | None = None) -> dict[str, Any]:
        """A person has looked: `published` (perhaps with its address), `resend`, or `drop`."""
        delivery, _ = await self._find(name)
        if delivery.state is not State.UNKNOWN:
            raise Refused(f"delivery {delivery.id} is {delivery.state}, not unknown")
        match outcome:
            case "published":
                receipt = Receipt(remote_id="", url=url, extra={"found": "by hand"})
                done = int(await self._store.confirm(delivery, receipt, "found by hand", self._now()))
            case "resend":
                done = int(await self._store.requeue(delivery, delivery.message, self._now(), RESENT))
            case "drop":
                done = await self._store.drop([State.UNKNOWN], Scope(ids=[delivery.id]), "dropped by hand", self._now())
            case _:
                raise Refused("an outcome is published, resend or drop")
        self._changed()
        return {"count": done, "problems": []}

    # --- pauses

    async def pause(self, name: str, reason: str) -> dict[str, Any]:
        """`all`, a destination or a rule says nothing until `resume`, restarts and reloads included. Changes are taken in all the same."""
        if not reason.strip():
            raise Refused("say why: --reason")
        kind, own = self._paused_thing(name)
        await self._store.pause(Pause(kind=kind, name=own, reason=reason.strip(), since=self._now()))
        await self._steered()
        return {"paused": name, "kind": kind.value}

    async def resume(self, name: str, say: str | None = None) -> dict[str, Any]:
        """Go on. `say`: `all` that waited, the `latest` of each record, one `summary`, or `nothing` of it."""
        kind, own = self._paused_thing(name)
        said = say or (self._on_resume(own) if kind is PauseKind.DESTINATION else "all")
        scope = Scope(destination=own if kind is PauseKind.DESTINATION else None, rule=own if kind is PauseKind.RULE else None)
        dropped = await self._caught_up(scope, said)
        resumed = await self._store.resume(kind, own)
        if kind is PauseKind.DESTINATION:
            resumed = await self._store.end_pause(own) or resumed
        await self._steered()
        self._changed()
        if not resumed:
            raise Refused(f"{name} was not paused")
        return {"resumed": name, "dropped": dropped}

    async def _caught_up(self, scope: Scope, say: str) -> int:
        now = self._now()
        match say:
            case "all":
                return 0
            case "latest":
                return await self._store.drop_older(scope, "a newer one was said after a pause", now)
            case "nothing":
                return await self._store.drop([State.QUEUED], scope, "dropped after a pause", now)
            case "summary":
                return await self._summed_up(scope, now)
        raise Refused("say all, latest, summary or nothing")

    async def _summed_up(self, scope: Scope, now: datetime) -> int:
        """One message for each lane in place of what waited; the public is told nothing of that kind."""
        waiting = await self._store.select([State.QUEUED], scope, limit=LIMIT, oldest=True)
        lanes: dict[tuple[str, Any], list[Delivery]] = {}
        for one in waiting:
            if one.message.audience is not Audience.PUBLIC:
                lanes.setdefault((one.message.destination, one.message.channel), []).append(one)
        entries, dropped = [], 0
        for found in (many for many in lanes.values() if len(many) > 1):
            last = found[-1].message
            rules = ", ".join(sorted({one.message.rule for one in found}))
            text = f"{len(found)} messages waited during a pause and are not said one by one: {rules}."
            message = replace(
                last,
                step="pause",
                text=(Literal(text),),
                link=None,
                thread=None,
                edit=False,
                blocks=None,
                media=None,
                expires_at=None,
                extra={},
            )
            key = digest("pause", str(to_us(now)), last.destination, last.channel.key if last.channel else "")
            entries.append(Entry(record=last.record, deliveries=[NewDelivery(key=key, message=message)]))
            dropped += await self._store.drop([State.QUEUED], Scope(ids=[one.id for one in found]), "summed up after a pause", now)
        if entries:
            await self._store.record(Batch(source="", entries=entries), now)
        return dropped

    def _paused_thing(self, name: str) -> tuple[PauseKind, str]:
        if name == "all":
            return PauseKind.ALL, ""
        engine = self._engine()
        destinations = {step.destination for rule in engine.rules for step in rule.steps}
        if self._publishers is not None:
            destinations |= set(self._publishers())
        rules = {rule.id for rule in engine.rules}
        if name in destinations and name in rules:
            raise Refused(f"{name} is a rule and a destination; rename one of them, or pause what it publishes to")
        if name in destinations:
            return PauseKind.DESTINATION, name
        if name in rules:
            return PauseKind.RULE, name
        raise Refused(f"there is no rule and no destination called {name}")

    # --- once more, and back

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
        """Run the present rules over the journal: what was never said is queued; with `again`, everything.

        One answer covers some thousands of changes; `next` is where to go on (`after`, with the same `until`), None at the end.
        """
        self._refuse_if_mute(dry_run)
        now = self._now()
        start, end = scopes.instant(since, now), scopes.instant(until, now) if until else now
        if rule is not None and rule not in {one.id for one in self._engine().rules}:
            raise Refused(f"there is no rule called {rule}")
        generation = to_us(now) // 1_000_000 if again else 0
        changes = messages = 0
        examples: list[dict[str, str]] = []
        page = await (self._store.events_since(start, _PAGE) if after is None else self._store.events_after(after, _PAGE))
        while page:
            entries = []
            for one in page:
                if one.stale or one.recorded_at >= end or (record is not None and str(one.event.record) != record):
                    continue
                outcome = await run(self._engine(), one.event, generation, rule)
                if new := self._replayed(one.event, outcome, generation):
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
            self._changed()
        return {
            "changes": changes,
            "messages": messages,
            "examples": examples,
            "dry_run": dry_run,
            "next": after if page else None,
            "until": end.isoformat(),
        }

    def _refuse_if_mute(self, dry_run: bool) -> None:
        """What is ordered now would be said later, when nobody thinks of it. Raises Refused."""
        if not dry_run and (mute := self._mute()):
            raise Refused(f"nothing can be said now: {mute}; --dry-run shows what would be")

    def _replayed(self, event: ChangeEvent, outcome: Outcome, generation: int) -> list[NewDelivery]:
        """As new deliveries; a person ordered it, so that no age and no flood keeps them back."""
        found = [NewDelivery(key=one.key, message=one.message) if one.mode is Mode.LIVE else restrained(one) for one in outcome.rendered]
        found += unrenderable(outcome, event)
        return [replace(one, message=replace(one.message, expires_at=None), generation=generation) for one in found]

    async def retract(
        self, names: Sequence[str] = (), where: Where | None = None, replacement: str | None = None, dry_run: bool = False
    ) -> dict[str, Any]:
        """Take back what was published, by number, address or network's id, or a rule's since an instant; with a text: change it.

        What of the scope still waits is dropped.
        """
        if self._publishers is None:
            raise Refused("no crmbridge runs: only a running one can take messages back")
        if mute := self._mute():
            raise Refused(f"nothing can be taken back: {mute}")
        now = self._now()
        scope = scopes.read(where, now) if where else None
        if scope is not None and (scope.rule is None or scope.since is None):
            raise Refused("a scope to take back names a rule and a time: --rule, --since")
        found = [one for name in names for one in await self._published_as(name)]
        waiting = 0
        if scope is not None:
            found += await self._store.published(scope, LIMIT)
            waiting = await self._store.count(_DROPPABLE, scope)
        if not found and not waiting:
            raise Refused("nothing of that kind is published or waits")
        if dry_run:
            return {"count": len(found), "waiting": waiting, "problems": [], "dry_run": True}
        if scope is not None and waiting:
            await self._store.drop(_DROPPABLE, scope, "retracted before it was said", now)
        done, problems = 0, []
        for one in found:
            try:
                await self._taken_back(one, replacement, self._publishers())
                done += 1
            except (DeliveryError, Refused) as error:
                problems.append({"id": one.delivery.id, "reason": str(error)})
        return {"count": done, "waiting": waiting, "problems": problems, "dry_run": False}

    async def _taken_back(self, one: Published, replacement: str | None, publishers: Mapping[str, Publisher]) -> None:
        delivery = one.delivery
        publisher = publishers.get(delivery.message.destination)
        if publisher is None:
            raise Refused(f"the destination {delivery.message.destination} is not configured")
        if delivery.receipt is None or not delivery.receipt.remote_id:
            raise Refused("its network's id is not known")
        if replacement is None:
            await publisher.delete(delivery.receipt)
            await self._store.retract(delivery.key, self._now())
        else:
            message = replace(delivery.message, text=(Literal(replacement),), link=None, blocks=None, media=None, extra={})
            await publisher.edit(delivery.receipt, message, digest("retract", delivery.key, replacement))

    async def _published_as(self, name: str) -> list[Published]:
        keys = {name}
        for remote_id in scopes.remote_ids(name):
            keys |= set(await self._store.receipts_named(remote_id))
        found = [one for key in sorted(keys) if (one := await self._store.delivery(key)) and one[0].state is State.DELIVERED]
        if not found:
            raise Refused(f"nothing that was published is known as {name}")
        return [Published(one, one.due) for one, _ in found]

    # --- forgetting

    async def forget(self, record: str, dry_run: bool = False) -> dict[str, Any]:
        """Remove all that is stored of one record, named `source/type/id`: journal, snapshot, deliveries, receipts."""
        parts = record.split("/", 2)
        if len(parts) != 3:
            raise Refused("name it source/type/id, like crm/Contact/003")
        ref = RecordRef(*parts)
        if dry_run:
            events = await self._store.events_of(ref, LIMIT)
            deliveries = await self._store.deliveries_of(ref, LIMIT)
            return {"record": record, "gone": {"events": len(events), "deliveries": len(deliveries)}, "dry_run": True}
        return {"record": record, "gone": await self._store.forget(ref), "dry_run": False}


def example(new: NewDelivery) -> dict[str, str]:
    """A message in one line, for who decides about many."""
    return {"to": new.message.destination, "rule": new.message.rule, "text": new.error or plain(new.message.text)[:200]}
