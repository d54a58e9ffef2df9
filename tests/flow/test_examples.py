"""Every example says what its expected.json holds; run this file to write them anew."""

import asyncio
import json
import re
import shutil
import sqlite3
from datetime import datetime, timezone
from pathlib import Path

import pytest
from shared import ROOT
from standins.odoo import PASSWORD, Odoo
from standins.tryton import KEY, Tryton

from crmbridge.cli.demo import read_story
from crmbridge.config.load import load
from crmbridge.contract import Secret, Setting, WebhookRequest
from crmbridge.intake.interpreter import Intake, Interpreter
from crmbridge.intake.poller import Poller
from crmbridge.model import Receipt, State, plain
from crmbridge.rules.cases import run_case
from crmbridge.store import SqliteStore
from crmbridge.store.terms import Settlement
from crmbridge.telemetry import Metrics

EXAMPLES = sorted(path for path in (ROOT / "examples").iterdir() if path.is_dir())


def now():
    return datetime.now(timezone.utc)


async def told(folder: Path, work: Path) -> list[dict]:
    """What the example's rules say for its sample input, through the real source, interpreter and store."""
    for path in folder.iterdir():
        if path.is_file():  # who has tried the example has folders there
            shutil.copy(path, work / path.name)
    config = load(work / "crmbridge.yaml", secrets=False)
    store = SqliteStore(work / "store.db", synchronous="OFF")
    ((name, source_config),) = config.sources.items()
    records = {name: source_config.records}
    interpreter = Interpreter(store, config.engine, records, metrics=Metrics(), now=now, recorded=lambda _: None)

    def built(**changed):
        options = source_config.options.model_copy(update=changed)
        return source_config.connector.build(options, Setting(name=name, records=source_config.records, folder=work))

    def poller(source):
        return Poller(name, source, every=source_config.every, store=store, interpreter=interpreter, metrics=Metrics(), now=now)

    try:
        if (work / "requests.json").exists():
            for number, body in enumerate(json.loads((work / "requests.json").read_text("utf-8"))):
                request = WebhookRequest({"webhook-id": f"request-{number}"}, json.dumps(body).encode(), "", now())
                await interpreter.take(Intake(source=name, observations=built().parse(request)))
        elif (work / "odoo.json").exists():
            with Odoo() as crm:
                await play_odoo(crm, work, poller(built(url=crm.url, password=Secret.parse(PASSWORD))))
                found = await _outbox(store, config)
            return [one | {"link": one["link"].replace(crm.url, source_config.options.url)} for one in found]
        elif (work / "changes.json").exists():
            with Tryton() as crm:
                await play_tryton(crm, work, poller(built(url=crm.url, key=Secret.parse(KEY))))
        else:
            await play_sql(work, poller(built()))
        return await _outbox(store, config)
    finally:
        store.close()


async def play_odoo(crm: Odoo, work: Path, poller: Poller) -> None:
    """The beats of odoo.json, each one or more of the stand-in's own verbs, with a poll after each."""
    crm.now = now().replace(microsecond=0)
    for beat in json.loads((work / "odoo.json").read_text("utf-8")):
        for verb, *ids, facts in [one if isinstance(one[-1], dict) else [*one, {}] for one in beat]:
            getattr(crm, verb)(*ids, **facts)
            crm.tick()
        await poller.poll_once()
    await poller.close()


async def play_tryton(crm: Tryton, work: Path, poller: Poller) -> None:
    """What its setup.py makes, then every change of changes.json between two polls."""
    crm.now = now().replace(microsecond=0)  # what it tells is fresh on any day
    crm.names["1"] = "Rita Rep"
    for title, party in (("Rollout", 3), ("Support", 4)):
        crm.create(title=title, stage="lead", party=party)
    await poller.poll_once()
    for _, path, values in json.loads((work / "changes.json").read_text("utf-8")):
        crm.tick()
        crm.write(path.removeprefix("sale.opportunity").removeprefix("/"), values)
    await poller.poll_once()
    await poller.close()


async def play_sql(work: Path, poller: Poller) -> None:
    """The beats of story.sql, or changes.sql as a single one, upon the database of crm.sql."""
    crm = sqlite3.connect(work / "crm.db", isolation_level=None)
    crm.executescript((work / "crm.sql").read_text("utf-8"))
    await poller.poll_once()
    if (work / "story.sql").exists():
        beats = [beat.sql for beat in read_story((work / "story.sql").read_text("utf-8"))]
    else:
        beats = [(work / "changes.sql").read_text("utf-8")]
    for sql in beats:
        crm.executescript(sql)
        await poller.poll_once()
    crm.close()
    await poller.close()


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
    assert [wrong for rule in config.rules for case in rule.cases for wrong in run_case(rule, case, config.engine)] == []
    assert [str(problem) for problem in config.warnings] == []


def test_the_readme_s_configuration_works(tmp_path):
    """What a newcomer copies first is fine, and its rule says what its test expects."""
    (yaml,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    (tmp_path / "crmbridge.yaml").write_text(yaml)
    config = load(tmp_path / "crmbridge.yaml", secrets=False)

    assert [wrong for rule in config.rules for case in rule.cases for wrong in run_case(rule, case, config.engine)] == []
    assert [rule.id for rule in config.rules] == ["big-win"]


if __name__ == "__main__":
    import tempfile

    for example in EXAMPLES:
        with tempfile.TemporaryDirectory() as work:
            content = json.dumps(asyncio.run(told(example, Path(work))), indent=2, ensure_ascii=False)
            (example / "expected.json").write_text(content + "\n", "utf-8")
