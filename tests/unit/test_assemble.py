"""What is built from a configuration."""

from dataclasses import replace
from datetime import datetime, timezone

import pytest

from crmbridge import assemble
from crmbridge.config.load import load
from crmbridge.contract import Ability
from crmbridge.errors import CrmbridgeError

CONFIG = """\
crmbridge: 1
store: {path: data/crmbridge.db}
sources:
  crm: {type: webhook, signature: {scheme: none}, map: {record_type: {value: Deal}, record_id: body.id, fields: body.fields}}
destinations:
  out: {type: console}
rules: []
"""


@pytest.mark.parametrize(
    ("can", "odd"),
    [({Ability.EDIT, Ability.DELETE}, ""), ({Ability.DELETE}, "edit"), ({Ability.EDIT, Ability.FIND}, "delete, find")],
)
def test_a_connector_can_what_it_says(tmp_path, can, odd):
    """What `lint` believed and what the publisher finds are one: a rule that edits would else say everything anew."""
    path = tmp_path / "crmbridge.yaml"
    path.write_text(CONFIG)
    config = load(path)
    one = config.destinations["out"]
    stating = replace(config, destinations={"out": replace(one, connector=replace(one.connector, can=lambda _: frozenset(can)))})

    def build():
        assemble.destination(stating, "out", lambda: datetime.now(timezone.utc), None)

    if odd:
        with pytest.raises(CrmbridgeError, match=f"out: the connector console says of {odd} another thing"):
            build()
    else:
        build()
