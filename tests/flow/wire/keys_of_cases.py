"""The keys of a rule's tests: what `crmbridge test` makes of them."""

from flow.daemon import inside
from flow.wire.core import Core
from flow.wire.keys import ABSENT
from flow.wire.proofs import proofs_of


class Tested(Core):
    """A rule that speaks of a won deal in a channel named after its note, and one test of it."""

    YAML = (
        Core.YAML.replace("to: out, text", "to: feed, channel: {for: record.note, title: record.account}, text").replace(
            "destinations:\n", "destinations:\n  feed: {type: chirp, url: $sink, secret: whsec_YzRuYXJ5}\n"
        )
        + """
    match: {stage: {from: open, to: won}}
    tests:
      - given: {before: {stage: open}, record: {name: Parkers, stage: won, note: "7", account: Parkers Ltd}}
        expect: [{to: feed}]
"""
    )

    def tested(self):
        """What the verb prints of the rule, and its exit code."""
        said = inside(["test", "-c", self.path])
        return [*said.stdout.splitlines(), said.returncode]


proves = proofs_of(Tested)
PASSED = ["passed  told: test 0", "1 passed, 0 failed", 0]


def failed(*why):
    """What is printed of a test that does not hold."""
    return ["FAILED  told: test 0", *(f"        {one}" for one in why), "0 passed, 1 failed", 4]


GIVEN = {"before": {"stage": "open"}, "record": {"name": "Parkers", "stage": "won", "note": "7", "account": "Parkers Ltd"}}
NOT_LOST = "expected 1 message, and the rule was silent: stage to won: it was open and is lost"
NOT_OPEN = "expected 1 message, and the rule was silent: stage from open: it was lead and is won"


@proves("rules.tests", ([], ["0 passed, 0 failed", 0]), ([{"given": GIVEN, "expect": [{"to": "feed"}]}], PASSED))
@proves("rules.tests.name", (ABSENT, PASSED), ("a win", ["passed  told: a win", "1 passed, 0 failed", 0]))
@proves("rules.tests.given.record", (GIVEN["record"], PASSED), ({**GIVEN["record"], "stage": "lost"}, failed(NOT_LOST)))
@proves("rules.tests.given.before", ({"stage": "open"}, PASSED), ({"stage": "lead"}, failed(NOT_OPEN)))
@proves(
    "rules.tests.given.event",
    ("updated", PASSED),
    ("deleted", failed("expected 1 message, and the rule was silent: the rule does not look at deleted records")),
)
@proves("rules.tests.expect", ([{"to": "feed"}], PASSED), ([], failed("one message more than expected, to feed: 'Parkers is won'")))
@proves("rules.tests.expect.to", ("feed", PASSED), ("other", failed("message 1 goes to feed, not to other")))
@proves(
    "rules.tests.expect.text",
    ("Parkers is won", PASSED),
    ("Parkers is lost", failed("message 1 says 'Parkers is won', not 'Parkers is lost'")),
)
@proves(
    "rules.tests.expect.text.contains",
    ("Parkers", PASSED),
    ("Acme", failed("message 1 says 'Parkers is won', which does not contain 'Acme'")),
)
@proves("rules.tests.expect.channel", ("Parkers Ltd", PASSED), ("Acme", failed("message 1 goes to the channel Parkers Ltd")))
def the_verb_says(stage):
    """What a person who tests the rules reads."""
    return stage.tested()
