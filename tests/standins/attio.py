"""A stand-in of Attio's API v2, by its OpenAPI.

No stamp of a change stands anywhere; records come by a POST with limit and offset; each attribute is a list of values in the shape of its
type, an empty one where there is none.
"""

from decimal import Decimal

from crmbridge.testing.preset import Json

WORDS = {"title": "name", "stage": "stage", "amount": "value", "owner": "owner"}
TYPES = {"name": "text", "stage": "status", "value": "currency", "owner": "actor-reference", "created_at": "timestamp"}


class Attio(Json):
    BASE = "/v2"

    def refusal(self):
        return 401, {"status_code": 401, "type": "auth_error", "code": "unauthorized", "message": "Not authorized"}

    def denial(self):
        return 403, {"status_code": 403, "type": "auth_error", "code": "missing_scope", "message": "The token lacks a scope"}

    def answer(self, path, asked, body, headers):
        match path.strip("/").split("/"):
            case ["objects", "deals", "records", "query"]:
                rows = sorted(self.live(), key=lambda row: (row.created, row.id))
                assert body["limit"] <= 500
                return 200, {"data": [self.row(row) for row in self.cut(rows, body.get("offset", 0), body["limit"])]}
            case ["objects", "deals", "records", id] if id in self.rows and self.rows[id].deleted is None:
                return 200, {"data": self.row(self.rows[id])}
            case ["objects", "deals", "attributes"]:
                names = {WORDS[word] for word in self.hidden_fields}
                return 200, {
                    "data": [{"api_slug": slug, "title": slug.title(), "type": type} for slug, type in TYPES.items() if slug not in names]
                }
        return 404, {
            "status_code": 404,
            "type": "invalid_request_error",
            "code": "not_found",
            "message": "The referenced object was not found.",
        }

    def row(self, row):
        said = {
            "name": self.value("text", value=row.fields["title"]),
            "stage": self.value("status", status=row.fields["stage"] and {"title": row.fields["stage"], "is_archived": False}),
            "value": self.value(
                "currency", currency_value=row.fields["amount"] and float(Decimal(row.fields["amount"])), currency_code="EUR"
            ),
            "owner": self.value("actor-reference", referenced_actor_type="workspace-member", referenced_actor_id=row.fields["owner"]),
        }
        return {
            "id": {"workspace_id": "w", "object_id": "o", "record_id": row.id},
            "created_at": row.created.isoformat(timespec="microseconds").replace("+00:00", "000Z"),
            "web_url": f"https://app.attio.com/acme/deals/record/{row.id}",
            "values": self.shown(said, WORDS),
        }

    @staticmethod
    def value(attribute_type, **parts):
        """Nothing is an empty list."""
        if next(iter(parts.values())) is None:
            return []
        actor = {"type": "workspace-member", "id": "1"}
        about = {"active_from": "2026-01-01T00:00:00.000000000Z", "active_until": None, "created_by_actor": actor}
        return [about | parts | {"attribute_type": attribute_type}]
