"""The keys of e-mail: from YAML to what a mail server hears, and to the message that it takes."""

import base64

from flow.wire.core import Core
from flow.wire.keys import ABSENT
from flow.wire.networks import certificate
from flow.wire.proofs import proofs_of
from standins.mail import Mail

USERS = {"ann": "first", "bob": "first"}


class Mails(Core):
    """The same changes, told by e-mail."""

    MAIL = "{type: email, host: 127.0.0.1, port: $mail, tls: none, from: news@acme.example, to: sales@acme.example}"
    YAML = Core.YAML.replace("destinations:\n", f"destinations:\n  first: {MAIL}\n").replace("to: out", "to: first")

    def prepare(self):
        super().prepare()
        pem = self.folder / "server.pem"
        pem.write_bytes(certificate(None))
        self.mail, self.far = self.server("mail", Mail(certificate=pem, users=USERS)), self.server("far", Mail())
        self.beside = self.server("beside", Mail(host="127.0.0.2", port=self.mail.port))

    def told(self, times=1, within=0.5):
        """So many changes are told, each by one attempt."""
        self.start()
        for id in range(times):
            self.change(id=id + 1, note="a note")
        self.publish("first", within)
        return self.mail.taken


proves = proofs_of(Mails)


@proves("destinations.email.port", ("$mail", [1, 0]), ("$far", [0, 1]))
def which_port(stage):
    """Which of two servers takes it."""
    stage.told()
    return [len(one.taken) for one in (stage.mail, stage.far)]


@proves("destinations.email.host", ("127.0.0.1", [1, 0]), ("127.0.0.2", [0, 1]))
def which_server(stage):
    """Which of two servers takes it."""
    stage.told()
    return [len(one.taken) for one in (stage.mail, stage.beside)]


@proves(
    "destinations.email.tls",
    ("none", [False, 1]),
    ("starttls", [True, 1]),
    ("implicit", [False, 0]),  # this server is not spoken to so
    given={"network": {"ca_file": "server.pem"}},
)
def how_it_is_encrypted(stage):
    """Whether STARTTLS was asked for, and what was taken."""
    stage.told()
    return ["STARTTLS" in stage.mail.commands(), len(stage.mail.taken)]


@proves("network.ca_file", ("server.pem", 1), (ABSENT, 0), given={"destinations/first/tls": "starttls", "network": {}})
def whose_certificates(stage):
    """Whether a server with such a certificate is given anything."""
    return len(stage.told())


@proves("destinations.email.user", ("ann", ["ann", "first"]), ("bob", ["bob", "first"]), given={"destinations/first/password": "first"})
@proves(
    "destinations.email.password",
    ("first", ["ann", "first"]),
    ("other-password", ["ann", "other-password"]),
    given={"destinations/first/user": "ann"},
)
def who_logs_in(stage):
    """What AUTH says."""
    stage.told()
    line = next(one for one in stage.mail.heard if one.startswith("AUTH PLAIN "))
    return base64.b64decode(line.split(" ")[2]).decode().split("\0")[1:]


@proves(
    "destinations.email.from",
    ("a@acme.example", ["a@acme.example", "a@acme.example", "acme.example"]),
    ("CRM <b@other.example>", ["b@other.example", "CRM <b@other.example>", "other.example"]),
)
def who_sends(stage):
    """In the envelope, in the message, and by whose name."""
    (taken,) = stage.told()
    return [taken.mail.split("<")[1].split(">")[0], str(taken.parsed()["From"]), stage.mail.heard[0].split(" ")[1]]


@proves(
    "destinations.email.to",
    ("a@acme.example", [["a@acme.example"], "a@acme.example"]),
    (["a@acme.example", "B <b@acme.example>"], [["a@acme.example", "b@acme.example"], "a@acme.example, B <b@acme.example>"]),
)
@proves(
    "rules.publish.channel",
    ("c@acme.example", [["c@acme.example"], "c@acme.example"]),
    ("d@acme.example, E <e@acme.example>", [["d@acme.example", "e@acme.example"], "d@acme.example, E <e@acme.example>"]),
)
def who_receives(stage):
    """In the envelope, and in the message."""
    (taken,) = stage.told()
    return [taken.recipients, str(taken.parsed()["To"])]


@proves("destinations.email.per_minute", (1, 1), (2, 2), (60, 3))
def how_many_in_a_minute(stage):
    """Of three, within five seconds."""
    return len(stage.told(3, within=5))


@proves(
    "rules.publish.subject",
    (ABSENT, ["Parkers is won", "Parkers is won\n"]),
    ("About {{ record.name }}", ["About Parkers", "Parkers is won\n"]),
    ("{{ record.note }}", ["a note", "Parkers is won\n"]),
)
def what_it_is_called(stage):
    """The subject and the text."""
    (taken,) = stage.told()
    return [str(taken.parsed()["Subject"]), taken.text()]
