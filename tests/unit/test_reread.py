"""Webhooks that only name records, and the whole records behind them."""

from datetime import timedelta

from shared import NOW

from crmbridge.intake.reread import completed, wanting
from crmbridge.model import Observation, RecordRef


def seen(id, seconds, partial=True, **facts):
    fields = facts.pop("fields", {})
    moment = NOW + timedelta(seconds=seconds)
    return Observation(record_type="Deal", record_id=id, fields=fields, occurred_at=moment, partial=partial, **facts)


def told(observations, whole, *known):
    found = completed(observations, whole, "crm", {RecordRef("crm", "Deal", id) for id in known})
    assert not any(one.partial for one in found)
    return [(one.record_id, dict(one.fields), one.deleted or one.created) for one in found]


def test_each_id_is_read_once():
    assert wanting([seen("1", 0), seen("2", 0), seen("1", 1), seen("3", 0, partial=False)]) == {"Deal": ["1", "2"]}


def test_a_b_a_is_three():
    """Of a record that is known: each state that the sender names, in the order in which it was, then the record as it is."""
    back, forth = seen("1", 2, fields={"S": "a"}), seen("1", 1, fields={"S": "b"})
    whole = [seen("1", 3, partial=False, fields={"S": "a", "N": "x"})]
    assert told([back, forth], whole, "1") == [("1", {"S": "b"}, False), ("1", {"S": "a"}, False), ("1", {"S": "a", "N": "x"}, False)]


def test_a_record_that_is_new_here_is_told_whole():
    """Rules would see one field of it otherwise; that it is new, its webhook says."""
    parts = [seen("1", 0, created=True), seen("1", 1, fields={"S": "b"}, actor="Ann")]
    (one,) = completed(parts, [seen("1", 2, partial=False, fields={"S": "b", "N": "x"})], "crm", set())
    assert (dict(one.fields), one.created, one.actor) == ({"S": "b", "N": "x"}, True, "Ann")


def test_what_is_gone_leaves_its_deletion():
    parts = [seen("1", 0, fields={"S": "b"}), seen("1", 1, partial=False, deleted=True), seen("2", 0, fields={"S": "b"})]
    assert told(parts, [], "1", "2") == [("1", {}, True)]
