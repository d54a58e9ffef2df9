"""What `lint` says of doors that strangers could open, and of passwords that they could read."""

import pytest
from click.testing import CliRunner

from crmbridge.cli.check import config_show
from crmbridge.config.load import load
from crmbridge.errors import ConfigError

CONFIG = """
crmbridge: 1
server: {server}
sources:
  crm:
    type: webhook
    signature: {{scheme: {scheme}}}
    map: {{record_type: body.type, record_id: body.id, fields: body.fields, version: body.version}}
destinations:
  out: {{type: slack, token: {{file: secret}}, channel: "#a", api_url: "{url}"}}
rules:
  - {{id: won, when: {{source: crm, record: Deal}}, publish: [{{to: out, text: "Won."}}]}}
"""


@pytest.fixture
def said(tmp_path):
    """The messages of `lint` about a configuration."""

    def ask(
        server="{}", scheme="bearer, secret: {file: secret}", url="https://hooks.example/x", secret="a-secret-of-some-length", mode=0o600
    ):
        (tmp_path / "secret").write_text(secret)
        (tmp_path / "secret").chmod(mode)
        path = tmp_path / "crmbridge.yaml"
        path.write_text(CONFIG.format(server=server, scheme=scheme, url=url))
        try:
            found = load(path, secrets=False)
            return [f"{one.path}: {one.message}" for one in (*found.warnings, *found.notes)]
        except ConfigError as error:
            return [f"{one.path}: {one.message}" for one in error.problems]

    return ask


def test_what_is_well_kept_is_fine(said):
    assert said() == []
    assert said("{listen: '0.0.0.0:8080', public_url: 'https://bridge.example.com'}") == []


@pytest.mark.parametrize(
    "server", ["{listen: '0.0.0.0:8080'}", "{listen: '[::]:8080'}", "{listen: '192.0.2.1:80'}", "{public_url: 'https://b.example'}"]
)
def test_anybody_could_post_what_is_not_signed(said, server):
    """Whoever listens for others checks who they are, whether they have a name for it or not."""
    (one,) = said(server, scheme="none")
    assert "anyone could post" in one
    assert said("{listen: '127.0.0.1:8080'}", scheme="none") == []


def test_a_secret_that_can_be_guessed_is_named_where_others_reach_the_server(said):
    assert said(secret="x") == []
    (one,) = said("{listen: '0.0.0.0:8080'}", secret="x")
    assert one.startswith("sources.crm.signature.secret[0]: a secret of fewer than 16 characters")


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ("type: close, token: {file: secret}, webhook: {secret: {file: short}}", "webhook.secret[0]"),
        (
            'type: odoo, url: "https://o.example", database: d, user: u, password: {file: secret}, webhook: {path: {file: short}}',
            "webhook.path[0]",
        ),
    ],
)
def test_so_is_one_of_what_calls_a_source_that_is_polled(tmp_path, options, place):
    """By its signature's secret, or by a path that nobody is to guess."""
    for name, words in (("secret", "a-secret-of-some-length"), ("short", "guess-me")):
        (tmp_path / name).write_text(words)
        (tmp_path / name).chmod(0o600)
    path = tmp_path / "crmbridge.yaml"
    path.write_text(
        f"crmbridge: 1\nserver: {{listen: '0.0.0.0:8080'}}\nsources: {{crm: {{{options}}}}}\ndestinations: {{out: {{type: console}}}}\n"
    )
    (one,) = load(path, secrets=False).warnings
    assert (one.path, "fewer than 16 characters" in one.message) == (f"sources.crm.{place}", True)


def test_a_secret_that_everybody_here_can_read_is_named(said):
    found = said(mode=0o644)
    assert [one.partition(":")[0] for one in found] == ["sources.crm.signature.secret[0]", "destinations.out.token"]
    assert "chmod 600" in found[0]
    assert said(mode=0o640) == []


@pytest.mark.parametrize("url", ["http://hooks.example/x", "http://93.184.216.34/x"])
def test_credentials_that_travel_readable_are_named(said, url):
    (one,) = said(url=url)
    assert one == "destinations.out.api_url: its credentials would travel readable: write https://"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/x",
        "http://localhost/x",
        "http://odoo:8069/x",
        "http://10.1.2.3/x",
        "http://crm.internal/x",
        "http://[fd00::1]/x",
    ],
)
def test_a_network_of_ones_own_is_ones_own_affair(said, url):
    assert said(url=url) == []


def test_a_feed_that_is_read_in_clear_text_is_named(said):
    (one,) = said("{public_url: 'http://bridge.example.com'}")
    assert one.startswith("server.public_url: webhooks, sign-ins and cookies would travel readable")


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:8080"])
def test_a_feed_that_others_reach_by_no_name_is_named(tmp_path, listen):
    """Its cookies would be sent over any connection."""
    path = tmp_path / "crmbridge.yaml"

    def asked(server):
        text = CONFIG.format(server=server, scheme="bearer, secret: {file: secret}", url="https://x.example")
        path.write_text(text.replace("rules:", "  feed: {type: chirp}\nrules:"))
        return [f"{one.path}: {one.message}" for one in load(path, secrets=False).warnings]

    (one,) = asked(f"{{listen: '{listen}'}}")
    assert one.startswith("server.listen: sign-ins and cookies would travel readable")
    assert asked(f"{{listen: '{listen}', public_url: 'https://bridge.example.com'}}") == []
    assert asked("{listen: '127.0.0.1:8080'}") == []


# --- files ------------------------------------------------------------------------------------------


def test_no_password_of_an_address_is_shown(tmp_path):
    path = tmp_path / "crmbridge.yaml"
    text = CONFIG.format(server="{}", scheme="bearer, secret: {file: secret}", url="https://me:p4ssw0rd@x.example")
    path.write_text(text)
    shown = CliRunner().invoke(config_show, ["-c", str(path)])
    assert "https://me:***@x.example" in shown.output
    assert "p4ssw0rd" not in shown.output


def test_an_include_leads_out_of_its_folder_for_nobody(tmp_path):
    """A link in rules.d would have `lint` show lines of a file that only root can read."""
    (tmp_path / "shadow").write_text("root:$6$h4sh:19000:0:99999:7:::\n")
    folder = tmp_path / "here"
    (folder / "rules.d").mkdir(parents=True)
    (folder / "rules.d" / "a.yaml").symlink_to(tmp_path / "shadow")
    path = folder / "crmbridge.yaml"
    path.write_text(
        CONFIG.format(server="{}", scheme="bearer, secret: {file: secret}", url="https://x.example") + "include: [rules.d/*.yaml]\n"
    )
    with pytest.raises(ConfigError) as refused:
        load(path, secrets=False)
    assert "a.yaml leads out of this folder" in str(refused.value.problems[0])
    assert "h4sh" not in str(refused.value.problems)


def test_rule_tests_that_stand_beside_the_rules_are_no_rules(tmp_path):
    (tmp_path / "rules.d").mkdir()
    (tmp_path / "rules.d" / "won_test.yaml").write_text("tests: []\n")
    path = tmp_path / "crmbridge.yaml"
    path.write_text(
        CONFIG.format(server="{}", scheme="bearer, secret: {file: secret}", url="https://x.example") + "include: [rules.d/*.yaml]\n"
    )
    assert [rule.id for rule in load(path, secrets=False).rules] == ["won"]
