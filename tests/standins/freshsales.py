"""A stand-in of Freshsales, by its page: records through a view only, sorted as one asks, names of stages and people apart.

Stamps are whole seconds with the account's offset; the owner stands in a record where one asks to include them.
"""

from datetime import timedelta, timezone
from decimal import Decimal

from crmbridge.testing.preset import TOKEN, Json
from crmbridge.testing.standin import PEOPLE

WORDS = {"title": "name", "stage": "deal_stage_id", "amount": "amount", "owner": "owner_id"}
ZONE = timezone(timedelta(hours=-5))
STAGES = {"open": 31, "won": 32, "lost": 33, "moved": 34}
VIEW = "402001974783"


class Freshsales(Json):
    BASE = "/crm/sales/api"
    PUBLIC = "/crm/sales"

    def admitted(self, headers):
        return headers.get("Authorization") == f"Token token={TOKEN}"

    def refusal(self):
        return 401, {"login": "failed", "message": "Invalid login credentials"}

    def denial(self):
        return 403, {"errors": {"code": 403, "message": ["Access Denied"]}}

    def answer(self, path, asked, body, headers):
        match path.strip("/").split("/"):
            case ["deals", "view", view] if view == VIEW:
                return self.listed(asked)
            case ["deals", id] if id in self.rows and self.rows[id].deleted is None:
                return 200, {"deal": self.row(self.rows[id], asked)}
            case ["selector", "deal_stages"]:
                return 200, {"deal_stages": [{"id": id, "name": name, "position": id} for name, id in STAGES.items()]}
            case ["selector", "owners"]:
                return 200, {"users": [{"id": int(id), "display_name": name, "email": email} for id, (name, email) in PEOPLE.items()]}
        return 404, {"errors": {"code": 404, "message": ["not found"]}}

    def listed(self, asked):
        rows = self.live()
        if (asked["sort"], asked["sort_type"]) == ("updated_at", "desc"):
            rows.reverse()
        size, number = min(int(asked["per_page"]), 100), int(asked.get("page", 1))
        page = self.cut(rows, (number - 1) * size, size)
        return 200, {"deals": [self.row(row, asked) for row in page], "meta": {"total_pages": -(-len(rows) // size), "total": len(rows)}}

    def row(self, row, asked):
        amount = row.fields["amount"]
        said = {
            "id": int(row.id),
            "name": row.fields["title"],
            "amount": None if amount is None else str(Decimal(amount)),
            "deal_stage_id": STAGES[row.fields["stage"]],
            "sales_account_id": 7,
            "created_at": self.stamp(row.created),
            "updated_at": self.stamp(row.modified),
            "custom_field": {"cf_area": None},
        }
        said |= {"owner_id": int(row.fields["owner"])} if "owner" in asked.get("include", "").split(",") else {}
        return self.shown(said, WORDS)

    @staticmethod
    def stamp(moment):
        return moment.astimezone(ZONE).isoformat(timespec="seconds")
