"""The webhook of rest, with any sender: what may be said of it, and what objects to it."""

import json

import pytest
from pydantic import ValidationError

from connectors.sources.rest import CONNECTOR as REST


def rest(**changes):
    deal = {"path": "/deals", "items": "data", "single": {"path": "/deals/{id}"}}
    webhook = {
        "signature": {"scheme": "bearer", "secret": "canary-hook-secret"},
        "map": {"record_type": "body.what", "record_id": "body.id"},
        "types": {"deal": "Deal"},
    }
    given = {"url": "https://crm.example", "auth": {"scheme": "bearer", "token": "x"}, "types": {"Deal": deal}, "webhook": webhook}
    return REST.options(**json.loads(json.dumps(given | changes)))


def test_who_is_called_must_be_able_to_read_one_record():
    """And its words for types lead to types; what its webhook's own options object to is told with its place."""
    assert rest().objections(public=True) == []
    none = rest(types={"Deal": {"path": "/deals"}})
    assert [(path, "write its `single`" in words) for path, words in none.objections(public=False)] == [(("webhook",), True)]
    strange = rest(webhook=_plain() | {"types": {"lead": "Lead"}})
    (fault,) = strange.objections(public=False)
    assert fault == (("webhook", "types", "lead"), "there is no record type Lead; there are Deal")
    unsigned = rest(webhook=_plain() | {"signature": {"scheme": "none"}})
    assert [path for path, _ in unsigned.objections(public=True)] == [("webhook", "signature")]
    shown = rest(webhook=_plain() | {"signature": {"scheme": "secret", "in": "query", "name": "code", "secret": "canary-hook-secret"}})
    assert [path for path, _ in shown.notes()] == [("webhook", "signature")]


def _plain():
    return {
        "signature": {"scheme": "bearer", "secret": "canary-hook-secret"},
        "map": {"record_type": "body.what", "record_id": "body.id"},
    }


@pytest.mark.parametrize("key", ["fields", "before", "version", "observation_id", "url"])
def test_what_a_webhook_says_of_a_record_is_not_mapped(key):
    """It would be read, and not believed: an error, rather than a key that does nothing."""
    where = _plain()["map"] | {key: "body.x"}
    with pytest.raises(ValidationError, match=key):
        rest(webhook=_plain() | {"map": where})


def test_a_known_sender_of_rest():
    """What its file maps of the record itself is left out."""
    found = rest(webhook={"sender": "close", "signature": {"secret": "00ff"}, "types": {"opportunity": "Deal"}}).webhook
    assert (str(found.map.record_id), found.signature.header) == ("body.event.object_id", "close-sig-hash")
