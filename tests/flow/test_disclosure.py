"""What may be said is asked when it is about to be said: a field that was made secret does not go out from the queue."""

import json

import pytest
from flow.daemon import until

CLASSES = {"sink": ("internal", "secret"), "brand": ("public", "internal")}


def fine(said):
    assert said.returncode == 0, said.stderr + said.stdout
    return said.stdout


def dead(daemon):
    return [(one["destination"], one["reason"]) for one in json.loads(daemon.cli("dead", "list", "-o", "json").stdout)["deliveries"]]


@pytest.mark.parametrize("name", CLASSES)
def test_a_field_that_is_made_secret_does_not_go_out_from_the_queue(daemon, networks, name):
    """Queued, held and dead letters alike, over a restart; once it may be seen again, they may be said."""
    open_, closed = CLASSES[name]
    said = networks.x.seen if name == "brand" else networks.sink.seen

    def words():
        return [one.body.decode() for one in list(said) if one.method == "POST"]

    daemon.keep(name)
    rule = daemon.config["rules"][0]
    rule["publish"] = [{"to": name, "text": "{{ record.name }}: {{ record.note | default('') }}"}]
    daemon.config["sources"]["crm"]["records"]["Deal"]["fields"]["note"] = open_
    daemon.write()
    daemon.start()
    fine(daemon.cli("pause", name, "--reason", "a look first"))
    for n in range(3):
        assert daemon.post(daemon.body(n, note=f"canary-note-{n}")) == 202
    until(lambda: daemon.destination(name)["queued"] == 3, "they wait")
    fine(daemon.cli("queue", "hold", "--destination", name, "--record", "crm/Deal/1", "--yes"))

    daemon.config["sources"]["crm"]["records"]["Deal"]["fields"]["note"] = closed
    rule["publish"] = [{"to": name, "text": "{{ record.name }} signed"}]
    daemon.write()
    fine(daemon.cli("reload"))
    fine(daemon.cli("resume", name))
    until(lambda: len(dead(daemon)) == 2, "what was queued is kept back")
    daemon.stop()
    daemon.start()
    fine(daemon.cli("queue", "release", "--destination", name, "--yes"))
    until(lambda: len(dead(daemon)) == 3, "what was held is kept back too")
    assert set(dead(daemon)) == {(name, "rejected: disclosure")}
    shown = fine(daemon.cli("dead", "list", "-o", "json")) + fine(daemon.cli("explain", "crm/Deal/1"))
    assert ("canary" in shown) is (closed == "internal"), "who looks after it may see what is not secret"
    fine(daemon.cli("dead", "retry", "--all", "--yes"))
    until(lambda: len(dead(daemon)) == 3, "and what is tried again")
    assert daemon.post(daemon.body(7, note="canary-note-7")) == 202
    until(lambda: any("signed" in one for one in words()), "all else is said")
    assert "canary" not in "".join(words())

    daemon.config["sources"]["crm"]["records"]["Deal"]["fields"]["note"] = open_
    daemon.write()
    fine(daemon.cli("reload"))
    fine(daemon.cli("dead", "retry", "--all", "--yes"))
    until(lambda: sum("canary-note" in one for one in words()) == 3, "it may be seen again")
