"""What a preset.yaml says of each record type, and what is said of one that is wrong."""

import re

import pytest

from crmbridge.rest.preset import read

TEXT = """
summary: "Acme: deals, polled"
options: {token: {secret: true, about: "An API key."}}
address: https://acme.example.com
auth: {scheme: bearer, token: "{token}"}
most: 100
each:
  path: "/{type}"
  parameters: {sort: changed_at, embed: fields}
  items: data
  changed: changed_at
  since: {parameter: changed_from}
  paging: {style: page, parameter: page}
  deletions:
    path: "/{type}/deleted"
    items: data
    changed: deleted_at
    ascending: false
    since: {parameter: since, inclusive: false}
types:
  deals: {}
  cases: {OWN}
documents: [{url: "https://acme.example.com/docs", read: 2026-11-30, says: "everything"}]
"""


@pytest.fixture
def preset(tmp_path):
    """A preset whose cases say something of their own; or with another change of the text."""

    def made(own="{}", *change):
        path = tmp_path / "preset.yaml"
        path.write_text(TEXT.replace("{OWN}", own).replace(*(change or ("", ""))), "utf-8")
        return read(path)

    return made


def resources(preset, own):
    made = preset(own)
    return [made.resource(name, {}, 10).model_dump(mode="json") for name in ("deals", "cases")]


def test_types_say_what_differs_and_nothing_else(preset):
    """Mappings in mappings too: a list of deletions elsewhere is still one that has stamps and no order."""
    deals, cases = resources(preset, "{deletions: {path: /kases/deleted, since: {format: epoch}}, parameters: {embed: all}}")
    assert cases["deletions"].pop("path") == "/kases/deleted"
    assert deals["deletions"].pop("path") == "/deals/deleted"
    assert cases["deletions"]["since"].pop("format") == "epoch"
    assert deals["deletions"]["since"].pop("format") == "iso"
    assert cases["deletions"] == deals["deletions"]
    assert cases["deletions"]["since"]["inclusive"] is False
    assert cases["parameters"] == {"sort": "changed_at", "embed": "all"}
    assert deals["parameters"] == {"sort": "changed_at", "embed": "fields"}


def test_a_null_takes_away_what_all_types_have(preset):
    """At the top, and within a mapping."""
    deals, cases = resources(preset, "{deletions: null, parameters: {embed: null}, since: {parameter: null, header: If-Modified-Since}}")
    assert (deals["deletions"] is None, cases["deletions"]) == (False, None)
    assert cases["parameters"] == {"sort": "changed_at"}
    assert (cases["since"]["parameter"], cases["since"]["header"]) == (None, "If-Modified-Since")


def test_a_null_of_a_body_is_sent(preset):
    """Where there is nothing that it could take away."""
    assert resources(preset, "{body: {filter: null}}")[1]["body"] == {"filter": None}


def test_one_type_leaves_the_others_alone(preset):
    assert resources(preset, "{deletions: {path: /kases/deleted}, parameters: {more: x}}")[0] == resources(preset, "{}")[0]


@pytest.mark.parametrize(
    ("own", "change", "said"),
    [
        ("{createdd: at}", (), "types.cases.createdd: there is no such key; did you mean `created`?"),
        ("{deletions: {itemz: data}}", (), "types.cases.deletions.itemz: there is no such key; did you mean `items`?"),
        ("{}", ("  items: data\n  changed: ch", "  itemz: data\n  changed: ch"), "each.itemz: there is no such key; did you mean `items`?"),
        ("{labels: {owner: {path: /o, nmae: x}}}", (), "types.cases.labels.owner.nmae: there is no such key; did you mean `name`?"),
        ("{}", ("secret: true", "secrt: true"), "options.token.secrt: there is no such key; did you mean `secret`?"),
        ("{}", ("read: 2026", "day: 1, read: 2026"), "documents.0.day: there is no such key; there are url, read, says"),
        ("{}", ("most: 100", "mots: 100"), "most: Field required; mots: there is no such key; did you mean `most`?"),
        ("{path: deals}", (), "types.cases.path: String should match pattern"),
    ],
)
def test_a_wrong_key_is_named_with_what_may_be_meant(preset, tmp_path, own, change, said):
    """By the place where it is written."""
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path / 'preset.yaml'}: {said}")):
        preset(own, *change)


@pytest.mark.parametrize(
    ("text", "said"), [("a: [", "it is no YAML: .*line 1"), ("- a", "write keys with values"), ("", "write keys"), ("a: \udcff", "no YAML")]
)
def test_a_file_that_is_no_preset_is_named(tmp_path, text, said):
    path = tmp_path / "preset.yaml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=f"(?s){re.escape(str(path))}: .*{said}"):
        read(path)
