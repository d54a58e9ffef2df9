"""Every example says what its expected.json holds; run this file to write them anew."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import sqlite3
from datetime import datetime, timezone
from pathlib import Path

import pytest
from shared import ROOT
from standins.odoo import PASSWORD, Odoo

from crmbridge.cli.demo import read_story
from crmbridge.config.load import load
from crmbridge.contract import Setting, WebhookRequest
from crmbridge.intake.interpreter import Intake, Interpreter
from crmbridge.intake.poller import Poller
from crmbridge.model import Receipt, State, plain
from crmbridge.rules.cases import run_case
from crmbridge.store import SqliteStore
from crmbridge.store.interface import Settlement
from crmbridge.telemetry import Metrics

ODOO = "https://acme.odoo.com"
EXAMPLES = sorted(path for path in (ROOT / "examples").iterdir() if path.is_dir())


def now():
    return datetime.now(timezone.utc)


async def told(folder: Path, work: Path) -> list[dict]:
    """What the example's rules say for its sample input, through the real source, interpreter and store."""
    for path in folder.iterdir():
        shutil.copy(path, work / path.name)
    with odoo(work) as crm:
        return await _told(work, crm)


@contextlib.contextmanager
def odoo(work: Path):
    """The stand-in that an example's odoo.json is acted out in, under its address; None where there is no such file."""
    if not (work / "odoo.json").exists():
        yield None
        return
    with Odoo() as crm:
        crm.now = now().replace(microsecond=0)
        os.environ["ODOO_KEY"] = PASSWORD
        path = work / "crmbridge.yaml"
        path.write_text(path.read_text("utf-8").replace(ODOO, crm.url), "utf-8")
        yield crm


async def _told(work: Path, odoo_crm: Odoo | None) -> list[dict]:
    config = load(work / "crmbridge.yaml", secrets=False)
    store = SqliteStore(work / "store.db", synchronous="OFF")
    ((name, source_config),) = config.sources.items()
    records = {name: source_config.records}
    interpreter = Interpreter(store, config.engine, records, metrics=Metrics(), now=now, recorded=lambda _: None)
    source = source_config.connector.build(source_config.options, Setting(name=name, records=source_config.records, folder=work))
    try:
        if (work / "requests.json").exists():
            for number, body in enumerate(json.loads((work / "requests.json").read_text())):
                request = WebhookRequest({"webhook-id": f"request-{number}"}, json.dumps(body).encode(), "", now())
                await interpreter.take(Intake(source=name, observations=source.parse(request)))
        elif odoo_crm is not None:
            poller = Poller(name, source, every=source_config.every, store=store, interpreter=interpreter, metrics=Metrics(), now=now)
            for beat in json.loads((work / "odoo.json").read_text()):
                for verb, *ids, facts in [one if isinstance(one[-1], dict) else [*one, {}] for one in beat]:
                    getattr(odoo_crm, verb)(*ids, **facts)
                    odoo_crm.tick()
                await poller.poll_once()
            await poller.close()
            return [one | {"link": one["link"].replace(odoo_crm.url, ODOO)} for one in await _outbox(store, config)]
        else:
            crm = sqlite3.connect(work / "crm.db", isolation_level=None)
            crm.executescript((work / "crm.sql").read_text("utf-8"))
            poller = Poller(name, source, every=source_config.every, store=store, interpreter=interpreter, metrics=Metrics(), now=now)
            await poller.poll_once()
            story = (work / "story.sql").exists()
            for sql in (
                [beat.sql for beat in read_story((work / "story.sql").read_text("utf-8"))]
                if story
                else [(work / "changes.sql").read_text()]
            ):
                crm.executescript(sql)
                await poller.poll_once()
            crm.close()
            await poller.close()
        return await _outbox(store, config)
    finally:
        store.close()


async def _outbox(store, config) -> list[dict]:
    found = []
    for destination in sorted(config.destinations):
        lease = await store.lease(destination, now=now(), limit=100, per_lane=100, skip=[])
        while lease.deliveries:
            found += lease.deliveries
            settled = [
                Settlement(delivery=one, state=State.DELIVERED, outcome="delivered", receipt=Receipt(remote_id=str(one.id)))
                for one in lease.deliveries
            ]
            await store.settle(settled, [], now())
            lease = await store.lease(destination, now=now(), limit=100, per_lane=100, skip=[])
    return [
        {
            "to": one.message.destination,
            "channel": one.message.channel and (one.message.channel.title or one.message.channel.key),
            "reply": one.parent is not None,
            "text": plain(one.message.text),
            "link": one.message.link,
        }
        for one in sorted(found, key=lambda one: (one.message.destination, one.id))
    ]


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda path: path.name)
async def test_an_example_says_what_it_promises(folder, tmp_path):
    """Sample input in, expected output out."""
    assert json.loads((folder / "expected.json").read_text("utf-8")) == await told(folder, tmp_path)


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_whole_and_its_rules_are_tested(folder):
    """README, configuration, input, output; and a test beside every rule, which passes."""
    config = load(folder / "crmbridge.yaml", secrets=False)

    assert {"README.md", "crmbridge.yaml", "expected.json"} <= {path.name for path in folder.iterdir()}
    assert [rule.id for rule in config.rules if not rule.cases] == []
    assert [
        wrong for rule in config.rules for case in rule.cases for wrong in run_case(rule, case, config.engine.records, config.engine.zone)
    ] == []
    assert [str(problem) for problem in config.warnings] == []


def test_the_readme_s_configuration_works(tmp_path):
    """What a newcomer copies first is fine, and its rule says what its test expects."""
    (yaml,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    (tmp_path / "crmbridge.yaml").write_text(yaml)
    config = load(tmp_path / "crmbridge.yaml", secrets=False)

    assert [
        wrong for rule in config.rules for case in rule.cases for wrong in run_case(rule, case, config.engine.records, config.engine.zone)
    ] == []
    assert [rule.id for rule in config.rules] == ["big-win"]


if __name__ == "__main__":
    import tempfile

    for example in EXAMPLES:
        with tempfile.TemporaryDirectory() as work:
            content = json.dumps(asyncio.run(told(example, Path(work))), indent=2, ensure_ascii=False)
            (example / "expected.json").write_text(content + "\n", "utf-8")
