"""A stand-in of Close, by its OpenAPI and its pages about the event log and rate limits.

Opportunities go by `date_updated`, which has microseconds, at most 100 on a page; deletions stand in the event log, the newest first,
at most 50 on a page; the key is the user of HTTP Basic.
"""

import base64
from datetime import datetime
from decimal import Decimal

from crmbridge.testing.preset import TOKEN, Json

WORDS = {"title": "note", "stage": "status_label", "amount": "value", "owner": "user_name"}


class Close(Json):
    BASE = "/api/v1"
    PAGE = 10
    """Of the event log: 50 at Close."""

    def name_id(self, number):
        return f"oppo_{number}"

    def admitted(self, headers):
        return headers.get("Authorization") == "Basic " + base64.b64encode(f"{TOKEN}:".encode()).decode()

    def refusal(self):
        return 401, {"error": "The server could not verify that you are authorized to access the URL requested."}

    def denial(self):
        return 403, {"error": "You do not have permission to access this resource."}

    def answer(self, path, asked, body, headers):
        match path.strip("/").split("/"):
            case ["opportunity"]:
                return self.opportunities(asked)
            case ["opportunity", id] if id in self.rows and self.rows[id].deleted is None:
                return 200, self.row(self.rows[id])
            case ["event"] if asked["object_type"] == "opportunity" and asked["action"] == "deleted":
                return self.deleted(asked)
        return 404, {"error": "Not found"}

    def opportunities(self, asked):
        rows = self.live()
        if "date_updated__gte" in asked:
            since = datetime.fromisoformat(asked["date_updated__gte"].replace("Z", "+00:00"))
            rows = [row for row in rows if row.modified >= since]
        if asked.get("_order_by") != "date_updated":
            rows.reverse()
        page = self.cut(rows, asked.get("_skip", 0), min(int(asked["_limit"]), 100))
        return 200, {"data": [self.row(row) for row in page], "has_more": int(asked.get("_skip", 0)) + len(page) < len(rows)}

    def deleted(self, asked):
        rows, begin = self.gone(), int(asked.get("_cursor", "0"))
        page = rows[begin : begin + min(int(asked["_limit"]), self.PAGE)]
        following = str(begin + len(page)) if begin + len(page) < len(rows) else None
        events = [
            {
                "id": f"ev_{row.id}",
                "object_type": "opportunity",
                "action": "deleted",
                "object_id": row.id,
                "date_updated": self.stamp(row.deleted),
            }
            for row in page
        ]
        return 200, {"data": events, "cursor_next": following, "cursor_previous": None}

    def row(self, row):
        amount = row.fields["amount"]
        said = {
            "id": row.id,
            "lead_id": "lead_1",
            "date_created": self.stamp(row.created),
            "date_updated": self.stamp(row.modified),
            "note": row.fields["title"],
            "status_label": row.fields["stage"],
            "value": None if amount is None else int(Decimal(amount) * 100),
            "value_currency": "EUR",
            "user_name": row.fields["owner"],
            "updated_by_name": "Susan Vale",
        }
        return self.shown(said, WORDS)

    @staticmethod
    def stamp(moment):
        return moment.isoformat(timespec="microseconds")
