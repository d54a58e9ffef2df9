"""doctor, send-test: is everything there that a configuration needs?"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from crmbridge.cli import evidence
from crmbridge.cli.common import Failure, call, config_option, output_option
from crmbridge.cli.common import show as show_data
from crmbridge.cli.holder import stranger
from crmbridge.cli.terminal import say
from crmbridge.config.config import Config
from crmbridge.config.load import load
from crmbridge.contract import Caller, Describing, Entitled, FieldInfo, Right, Secret, Source
from crmbridge.errors import AuthFailed, CrmbridgeError, DeliveryError, LoginRefused, OutcomeUnknown, SourceError
from crmbridge.http import attempt, describe
from crmbridge.telemetry import facts_of, redact

_PATIENCE = 60.0  # seconds for one check
Described = dict[str, dict[str, Sequence[FieldInfo]]]
"""The fields that CRMs describe, by source and record type."""
_LEAST_FREE = 100 * 1024 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked. `problem` is empty if it is fine."""

    what: str
    problem: str = ""
    note: str = ""
    right: bool = False
    """The finding is about one right of a login. Without that right fewer things are told, and those that are told are right."""


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@config_option
@output_option
def doctor(names: tuple[str, ...], path: Path, output: str) -> None:
    """Log in at every source and destination, or at those NAMEd, and say what is missing. Publishes nothing.

    For each right that the rules and sources need it says whether the login has it, and what is lost without it.

    Exit code 1 if something is missing.
    """
    config = load(path)
    if unknown := [name for name in names if name not in config.sources and name not in config.destinations]:
        there = ", ".join([*config.sources, *config.destinations])
        raise Failure(f"no source or destination {', '.join(unknown)} is configured; there are {there}", 2)
    findings = list(examined(config, names))
    data = [{"what": one.what, "ok": not one.problem, "problem": one.problem, "note": one.note} for one in findings]
    show_data(data, output, lambda _: [_line(one) for one in findings])
    if bad := [one for one in findings if one.problem]:
        raise Failure(f"{len(bad)} of {len(findings)} need you")


def _line(one: Finding) -> str:
    return f"{'FAILED' if one.problem else 'fine  '}  {one.what}" + (f": {one.problem or one.note}" if one.problem or one.note else "")


def examined(config: Config, names: Collection[str] = ()) -> Iterator[Finding]:
    """Check everything outside one by one, or the sources and destinations of `names`, and yield the findings."""
    from crmbridge import assemble
    from crmbridge.app import utc_now

    yield _disk(config)
    other = stranger(config)
    if other is not None:
        words = f"it is held by {other}; stop that, or change server.listen"
        yield Finding(f"server {config.model.server.listen}", words)
    asked = {(rule.source, rule.record) for rule in config.rules}
    described: Described = {}
    for name, one in config.sources.items():
        if names and name not in names:
            continue
        label = f"source {name} ({one.connector.name})"
        try:
            source = assemble.source(config, name, utc_now)
        except (CrmbridgeError, OSError) as error:
            yield Finding(label, str(error))
            continue
        if isinstance(source, Source):
            with _warned() as warnings:
                problem, rights, described[name] = _checked(source, [record for record in one.records if (name, record) in asked])
            yield Finding(label, problem, "; ".join(warnings))
            yield from (_entitled(name, right) for right in rights)
        else:
            yield Finding(label, note="it calls us: send it something, and look at `crmbridge tail`")
    for name, to in config.destinations.items():
        label = f"destination {name} ({to.connector.name})"
        entitled: Sequence[Right] = ()
        if other is not None and to.connector.embedded(to.options):  # whoever answers there is not our feed, and is shown no proof of ours
            yield Finding(label, note=f"its feed answers once crmbridge runs on {config.model.server.listen}")
            continue
        try:
            problem, entitled, _ = _checked(assemble.destination(config, name, utc_now, feed(config)))
        except (CrmbridgeError, OSError) as error:
            problem = str(error)
        embedded = config.embeds_feed and to.connector.name == "chirp" and "connect" in problem
        yield Finding(label, note="its feed answers once crmbridge runs") if embedded else Finding(label, problem)
        yield from (_entitled(name, right) for right in entitled)
    yield from (Finding(one.path, note=one.message) for one in config.notes)
    evidence.keep(config, described)
    yield from _evident(config, described)


@contextlib.contextmanager
def _warned() -> Iterator[Sequence[str]]:
    """Collect what is logged as a warning in this block, each as a whole sentence.

    Nothing else shows the log here, and a connector writes its doubts there.
    """
    found: list[str] = []

    class Probed(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            facts = {name: value for name, value in facts_of(record).items() if name != "source" and value not in ("", None)}
            words = ", ".join(str(value) if name == "reason" else f"{name} {value}" for name, value in facts.items())
            said = redact(f"{record.getMessage()}: {words}" if words else record.getMessage())
            if said not in found:
                found.append(said)

    heard, root = Probed(logging.WARNING), logging.getLogger()
    root.addHandler(heard)
    try:
        yield found
    finally:
        root.removeHandler(heard)


def _evident(config: Config, described: Described) -> Iterator[Finding]:
    """Find steps that need a field which the CRM lets be empty, and fields whose HTML would be published as it is."""
    for one in evidence.unsure(config):
        required = evidence.required(described.get(one.rule.source, {}).get(one.rule.record, ()))
        if empty := [f"record.{name}" for name in one.fields if required.get(name) is False]:
            note = f"a dead letter where {' or '.join(empty)} is empty, and the CRM lets it be: say `default`, or ask with `exists`"
            yield Finding(f"rule {one.rule.id}, step {one.step.id}", note=note)
    for source, records in described.items():
        for record, infos in records.items():
            for name in evidence.rich(config, source, record, infos):
                note = f"holds HTML, and its tags would be said: write `{name}: {{type: html}}` under `fields`, or print it with `| plain`"
                yield Finding(f"field {name} of {source}/{record}", note=note)


def _disk(config: Config) -> Finding:
    folder = config.store_path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Finding(f"store {config.store_path}", f"{error.strerror}: {folder}")
    if not os.access(folder, os.W_OK):
        return Finding(f"store {config.store_path}", f"its folder {folder} cannot be written by this user")
    if free < _LEAST_FREE:
        return Finding(f"store {config.store_path}", f"only {free // 2**20} MB are left on its disk")
    return Finding(f"store {config.store_path}")


def _entitled(name: str, right: Right) -> Finding:
    """Report whether the login of a source or destination has one right."""
    problem = f"not given ({right.promise}), so that {right.lost}. It says: {right.refused}" if right.refused else ""
    note = f"{right.promise}; {right.note}" if right.note else right.promise
    return Finding(f"right of {name}: {right.name}", problem, note, right=True)


def _checked(connector: Any, records: Sequence[str] = ()) -> tuple[str, Sequence[Right], dict[str, Sequence[FieldInfo]]]:
    """Run a connector's own check. Return its problem (empty if there is none), its rights, and how it describes the fields of `records`.

    Rights and fields are returned as far as they can be read.
    """

    async def check() -> tuple[str, Sequence[Right], dict[str, Sequence[FieldInfo]]]:
        call, problem, signed_in, rights = Caller("doctor", 1), "", True, list[Right]()
        described: dict[str, Sequence[FieldInfo]] = {}
        try:
            async with asyncio.timeout(_PATIENCE):
                if isinstance(connector, Source):
                    await call(connector.check)
                else:
                    with attempt():
                        await call(connector.check)
        except TimeoutError:
            return f"no answer within {_PATIENCE:g} s", (), {}  # it is not closed either: closing would wait for the same thread
        except Exception as error:  # whatever a connector raises is a finding
            problem = _said(error)
            # A login that is locked out must not try again.
            signed_in = not isinstance(error, (AuthFailed, LoginRefused)) and getattr(error, "status", 0) != 401
        try:
            async with asyncio.timeout(_PATIENCE):
                rights += await call(connector.rights) if signed_in and isinstance(connector, Entitled) else ()
        except TimeoutError:
            return problem or f"its rights could not be looked at within {_PATIENCE:g} s", (), {}
        except Exception as error:
            problem = problem or f"its rights could not be looked at: {_said(error)}"
        if not problem and isinstance(connector, Describing):
            with contextlib.suppress(Exception):  # fields that cannot be read here are only not shown
                async with asyncio.timeout(_PATIENCE):
                    for record in records:
                        described[record] = await call(connector.schema, record)
        await call(connector.close)
        call.close()
        return problem, rights, described

    return asyncio.run(check())


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, CrmbridgeError) and str(error) else describe(error)


def feed(config: Config) -> tuple[str, Secret] | None:
    """Return the address and the secret of the embedded feed, as they are while a daemon runs."""
    if not config.embeds_feed:
        return None
    from crmbridge.chirp.embedded import feed_secret
    from crmbridge.server import reachable

    return reachable(config.model.server.listen), feed_secret(config)


@click.command()
@click.argument("destination")
@click.option("--channel", help="Where inside it, if not its own default.")
@click.option("--text", default="A test message from crmbridge. If you can read this, it works.", show_default=True, help="What is said.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask, not even where the public reads it.")
@click.option("--even-paused", is_flag=True, help="Also where a person has silenced it.")
@config_option
def send_test(destination: str, channel: str | None, text: str, yes: bool, even_paused: bool, path: Path) -> None:
    """Publish one message at DESTINATION now, past the queue, and say where it is."""
    from crmbridge import assemble
    from crmbridge.app import utc_now
    from crmbridge.model import Audience, Channel, Literal, Message, RecordRef, digest, to_us

    config = load(path)
    if destination not in config.destinations:
        raise Failure(f"no destination {destination} is configured; there are {', '.join(config.destinations)}", 2)
    audience = config.destinations[destination].audience
    asked = not even_paused and config.store_path.exists()  # before the first start nobody has paused anything
    for pause in call(path, "overview")["pauses"] if asked else ():
        if pause["kind"] == "all" or (pause["kind"], pause["name"]) == ("destination", destination):
            raise Failure(f"{destination} is paused ({pause['reason']}); --even-paused says it all the same")
    if audience is Audience.PUBLIC and not yes:
        click.confirm(f"the whole world reads {destination}. Publish?", abort=True)
    now = utc_now()
    message = Message(
        destination=destination,
        channel=Channel(channel, "crmbridge") if channel else None,
        rule="send-test",
        step="send-test",
        text=(Literal(text),),
        record=RecordRef("crmbridge", "test", str(to_us(now))),
        occurred_at=now,
        audience=audience,
    )
    receipt = asyncio.run(_published(assemble.destination(config, destination, utc_now, feed(config)), message, digest("test", str(now))))
    say(f"published: {receipt.url or receipt.remote_id or 'its network gives no address'}")
    if note := receipt.extra.get("note"):
        say(note)


async def _published(destination: Any, *given: Any) -> Any:
    caller: Callable[..., Any] = Caller("send-test", 1)
    try:
        with attempt():
            return await caller(destination.publish, *given, None)
    except OutcomeUnknown as error:
        raise Failure(f"it may be published or not, look before you send another: {error}") from None
    except DeliveryError as error:
        raise Failure(f"not published: {error}") from None
    except SourceError as error:
        raise Failure(str(error)) from None
    finally:
        await caller(destination.close)
