"""The stage of the keys that are no connector's: a webhook source that says what it is told to, an endpoint that shows what is said."""

import json
from typing import Any

from flow.wire.bridge import Stage

from crmbridge.model import State

SECRET = "whsec_YzRuYXJ5LXdpcmUtc2VjcmV0LTI0Yg=="


class Core(Stage):
    """A change comes in by webhook, and goes out to a signed endpoint."""

    YAML = f"""
crmbridge: 1
sources:
  crm:
    type: webhook
    signature: {{scheme: none}}
    map:
      record_type: body.type
      record_id: body.id
      fields: body.fields
      occurred_at: body.at
      kind: {{from: body.kind, created: [created], deleted: [deleted]}}
    records:
      Deal:
        fields:
          name: public
          stage: public
          note: internal
          account: internal
          amount: {{type: number, audience: internal}}
          closed: internal
          currency: internal
destinations:
  out: {{type: webhook, url: $sink/in, secret: "{SECRET}"}}
  other: {{type: webhook, url: $other/in, secret: "{SECRET}"}}
rules:
  - id: told
    when: {{source: crm, record: Deal}}
    publish:
      - {{to: out, text: "{{{{ record.name }}}} is {{{{ record.stage }}}}"}}
"""

    def prepare(self) -> None:
        self.sink, self.other = self.server("sink"), self.server("other")

    def change(self, id: int = 1, kind: str = "updated", type: str = "Deal", at: str | None = None, **fields: Any) -> None:
        """One change of a record, heard and interpreted."""
        facts = {"name": "Parkers", "stage": "won"} | fields
        body = {"type": type, "id": id, "kind": kind, "fields": facts, "at": at or self.now().isoformat()}
        assert self.hear(json.dumps(body).encode()) == 202

    def said(self, name: str = "out", within: float = 5.0) -> list[dict[str, Any]]:
        """All that a destination was told so far."""
        self.publish(name, within)
        return [one.json()["data"] for one in (self.sink if name == "out" else self.other).seen]

    def texts(self, name: str = "out", within: float = 5.0) -> list[str]:
        """The words of it."""
        return [one["text"] for one in self.said(name, within)]

    def became(self, *names: str) -> list[Any]:
        """How many messages were said, and what became of the others, by acceptance."""
        said = [len(self.said(name)) for name in names or ("out",)]
        return [*said, *(f"{one.state.value} {one.reason}".strip() for one in self.outbox())]

    def held(self) -> int:
        """How many messages wait for a person."""
        return len(self.outbox(State.HELD))
