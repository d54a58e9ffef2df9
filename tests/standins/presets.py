"""What the stand-ins of presets have in common: JSON, a login, rights by paths, fields that are gone, a quota in headers."""

import json
from urllib.parse import parse_qs, urlsplit

from crmbridge.testing import StandIn

TOKEN = "canary-preset-token"


class Json(StandIn):
    """A vendor that answers JSON. `answer` is the vendor's own part."""

    BASE = ""
    """What stands before each path of the API."""

    def __init__(self):
        super().__init__()
        self.endless = False
        """It does not heed which page it is asked for."""
        self.headers = {}
        """Of each answer: what it says of its quota."""

    def respond(self, exchange):
        address = urlsplit(exchange.path)
        asked = {name: values[-1] for name, values in parse_qs(address.query, keep_blank_values=True).items()}
        path = address.path.removeprefix(self.BASE)
        if self.refusing or not self.known(exchange.headers):
            return self.say(exchange, *self.refusal())
        if f"{exchange.seen.method} {self.url}{address.path}" in self.withdrawn:
            return self.say(exchange, *self.denial())
        body = exchange.seen.json() if exchange.seen.body and exchange.seen.method == "POST" else None
        return self.say(exchange, *self.answer(path, asked, body, exchange.headers))

    def known(self, headers):
        return headers.get("Authorization") == f"Bearer {TOKEN}"

    def refusal(self):
        """To those it does not know."""
        return 401, {"message": "who are you?"}

    def denial(self):
        """To those who may not."""
        return 403, {"message": "not for you"}

    def answer(self, path, asked, body, headers):
        """Status and body; None is no body."""
        raise NotImplementedError

    def live(self):
        """What the login may read, by (modified, id), without what was deleted."""
        return [row for row in self.seen() if row.deleted is None]

    def gone(self):
        """What was deleted, the latest first."""
        found = [row for row in self.rows.values() if row.deleted is not None]
        return sorted(found, key=lambda row: (row.deleted, row.id), reverse=True)

    def shown(self, fields, names):
        """Fields without those that the login may not read. `names` are the vendor's words for the scenario's."""
        hidden = {names[word] for word in self.hidden_fields}
        return {name: value for name, value in fields.items() if name not in hidden}

    def cut(self, rows, begin, size):
        """One page."""
        begin = 0 if self.endless else int(begin)
        return rows[begin : begin + int(size)]

    def say(self, exchange, status, body, headers=()):
        data = b"" if body is None else json.dumps(body).encode()
        exchange.reply(status, data, {"Content-Type": "application/json", **self.headers, **dict(headers)})
