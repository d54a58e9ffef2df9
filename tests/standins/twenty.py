"""A stand-in of Twenty's REST API, by the code that makes its OpenAPI.

A list is found by its plural name under `data`, with `pageInfo` beside it, whose cursor stands there on the last page too; stamps have
milliseconds; what was deleted is shown where the filter names `deletedAt`; amounts count millionths.
"""

import re
from datetime import datetime
from decimal import Decimal

from crmbridge.testing.preset import Json
from crmbridge.testing.standin import PEOPLE

WORDS = {"title": "name", "stage": "stage", "amount": "amount.amount", "owner": "owner.name"}
FILTER = re.compile(r'(updatedAt|deletedAt)\[gte\]:"([^"]+)"')
SITE = "https://acme.twenty.com"


class Twenty(Json):
    BASE = "/rest"
    PUBLIC = ""

    def name_id(self, number):
        return f"00000000-0000-4000-8000-{number:012}"

    def refusal(self):
        return 401, {"statusCode": 401, "error": "UnauthorizedException", "messages": ["Token invalid."]}

    def denial(self):
        return 403, {"statusCode": 403, "error": "ForbiddenException", "messages": ["Permission denied"]}

    def answer(self, path, asked, body, headers):
        match path.strip("/").split("/"):
            case ["opportunities"]:
                return self.listed(asked)
            case ["opportunities", id] if id in self.rows and self.rows[id].deleted is None:
                return 200, {"data": {"opportunity": self.row(self.rows[id])}}
        return 404, {"statusCode": 404, "error": "NotFoundException", "messages": ["Record not found"]}

    def listed(self, asked):
        limit, rows = int(asked["limit"]), self.live()
        if limit > 60:
            return 400, {"statusCode": 400, "error": "BadRequestException", "messages": ["limit may be 60 at most"]}
        if "filter" in asked:
            name, since = FILTER.fullmatch(asked["filter"]).groups()
            moment = datetime.fromisoformat(since.replace("Z", "+00:00"))
            if name == "deletedAt":
                rows = [row for row in reversed(self.gone()) if self.cut_to_ms(row.deleted) >= moment]
            else:
                rows = [row for row in rows if self.cut_to_ms(row.modified) >= moment]
        elif asked["order_by"] != "updatedAt[AscNullsFirst]":
            rows.reverse()
        ids = [row.id for row in rows]
        begin = ids.index(asked["starting_after"]) + 1 if "starting_after" in asked else 0
        page = self.cut(rows, begin, limit)
        info = {"hasNextPage": begin + len(page) < len(rows)}
        info |= {"startCursor": page[0].id, "endCursor": rows[begin : begin + limit][-1].id} if page and rows[begin:] else {}
        return 200, {"data": {"opportunities": [self.row(row) for row in page]}, "pageInfo": info, "totalCount": len(rows)}

    def row(self, row):
        amount = row.fields["amount"]
        said = {
            "id": row.id,
            "name": row.fields["title"],
            "stage": row.fields["stage"],
            "amount": {"amountMicros": None if amount is None else int(Decimal(amount) * 1_000_000), "currencyCode": "EUR"},
            "owner": {"id": row.fields["owner"], "name": PEOPLE[row.fields["owner"]][0]},
            "createdAt": self.stamp(row.created),
            "updatedAt": self.stamp(row.modified),
            "deletedAt": self.stamp(row.deleted) if row.deleted else None,
            "updatedBy": {"source": "MANUAL", "workspaceMemberId": "m", "name": "Susan Vale"},
        }
        return self.shown(said, {**WORDS, "amount": "amount", "owner": "owner"})

    @staticmethod
    def cut_to_ms(moment):
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

    @staticmethod
    def stamp(moment):
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
