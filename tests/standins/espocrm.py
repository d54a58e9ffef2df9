"""A stand-in of EspoCRM, by its documents and its OpenAPI.

Stamps are whole seconds in UTC without an offset, `where` compares with them as texts, 200 records are the most of one page, only what
`select` names is given, what was deleted is not there any more, and a refusal has no body.
"""

from decimal import Decimal

from crmbridge.testing.preset import TOKEN, Json

WORDS = {"title": "name", "stage": "stage", "amount": "amount", "owner": "assignedUserName"}


class Espo(Json):
    BASE = "/api/v1"
    PUBLIC = ""

    def admitted(self, headers):
        return headers.get("X-Api-Key") == TOKEN

    def refusal(self):
        return 401, None

    def denial(self):
        return 403, None

    def answer(self, path, asked, body, headers):
        match path.strip("/").split("/"):
            case ["Opportunity"]:
                return self.listed(asked)
            case ["Opportunity", id] if id in self.rows and self.rows[id].deleted is None:
                return 200, self.row(self.rows[id])
        return 404, None

    def listed(self, asked):
        rows = [self.row(row) for row in self.live()]
        if (attribute := asked.get("where[0][attribute]")) is not None:
            assert asked["where[0][type]"] == "greaterThanOrEquals"
            rows = [row for row in rows if row[attribute] >= asked["where[0][value]"]]
        rows.sort(key=lambda row: row[asked["orderBy"]], reverse=asked["order"] == "desc")
        size = int(asked["maxSize"])
        if size > 200:
            return 403, {"message": "Max size should not exceed 200."}
        wanted = {"id", *asked["select"].split(",")} if "select" in asked else None
        page = self.cut(rows, asked.get("offset", 0), size)
        return 200, {"total": -1, "list": [{name: row[name] for name in row if not wanted or name in wanted} for row in page]}

    def row(self, row):
        amount = row.fields["amount"]
        said = {
            "id": row.id,
            "name": row.fields["title"],
            "stage": row.fields["stage"],
            "amount": None if amount is None else float(Decimal(amount)),
            "amountCurrency": "EUR",
            "assignedUserName": row.fields["owner"],
            "createdAt": self.stamp(row.created),
            "modifiedAt": self.stamp(row.modified),
            "modifiedByName": "Susan Vale",
        }
        return self.shown(said, WORDS)

    @staticmethod
    def stamp(moment):
        return f"{moment:%Y-%m-%d %H:%M:%S}"
