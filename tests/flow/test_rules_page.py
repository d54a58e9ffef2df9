"""The page about rules: its example passes its own test, and it names everything that a rule may use."""

import re

import yaml
from flow.daemon import inside
from shared import ROOT

from crmbridge.model import ChangeKind
from crmbridge.rules.compiler import EVENT_INTERNAL, EVENT_PUBLIC
from crmbridge.rules.filters import FILTERS
from crmbridge.rules.match import OPERATORS

PAGE = (ROOT / "crmbridge" / "rules" / "README.md").read_text("utf-8")


def test_its_examples_are_right(tmp_path):
    """The rule at its beginning with its test, and the steps that say something again, beside that rule's."""
    example, steps = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    rules = yaml.safe_load(example)
    again = yaml.safe_load(steps)["publish"]
    assert [("on_update" in one, "thread" in one) for one in again] == [(True, False), (False, True)]
    rule = {name: value for name, value in rules["rules"][0].items() if name != "tests"}
    rules["rules"].append(
        rule | {"id": "again", "publish": [one | {"text": one["text"].replace("record.Name", "record.StageName")} for one in again]}
    )
    config = {
        "crmbridge": 1,
        "sources": {
            "crm": {
                "type": "webhook",
                "signature": {"scheme": "none"},
                "map": {"record_type": {"value": "Opportunity"}, "record_id": "body.id", "fields": "body", "version": "body.version"},
                "records": {
                    "Opportunity": {"fields": {"StageName": "internal", "Amount": "money", "Account.Name": "internal", "tags": "set"}},
                },
            }
        },
        "destinations": {"wins": {"type": "console"}, "feed": {"type": "console"}},
        **rules,
    }
    path = tmp_path / "crmbridge.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    for verb in ("lint", "test"):
        said = inside([verb, "-c", path])
        assert said.returncode == 0, said.stdout + said.stderr


def test_it_names_all_that_there_is():
    """Operators, filters, kinds of events and what `event` says."""
    for name in [*OPERATORS.keys() - {"is"}, *FILTERS, *ChangeKind, *EVENT_PUBLIC, *EVENT_INTERNAL]:
        assert re.search(rf"\b{name}\b", PAGE), name
    assert inside(["doc", "rules"]).stdout.strip() == re.sub(r"<!--.*?-->\n?", "", PAGE, flags=re.DOTALL).strip()
