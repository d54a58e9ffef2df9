"""The options that say where in a webhook each fact stands."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from crmbridge.contract import Options
from crmbridge.hooks.paths import Fields, One, Path, PathOrHeader, Way


class KindMap(Options):
    """What happened, told by a word: a word that is not listed means updated. Or one answer for all: {value: created}."""

    from_: PathOrHeader | None = Field(None, alias="from", description="Where the word stands.")
    value: Literal["created", "updated", "deleted"] | None = Field(None, description="What happened, where all that comes is the same.")
    created: list[str] = Field([], description="Words that mean: the record is new. In a word * is any text, like *.created.")
    deleted: list[str] = Field([], description="Words that mean: the record is gone, like *.deleted.")
    ignore: list[str] = Field([], description="Words that mean: nothing of interest.")

    @model_validator(mode="after")
    def _one_way(self) -> KindMap:
        if (self.from_ is None) == (self.value is None):
            raise PydanticCustomError("kind", "write `from`, where the word stands, or `value`, one word for all")
        if self.value is not None and (self.created or self.deleted or self.ignore):
            raise PydanticCustomError("kind", "with `value` there is no word to compare: leave created, deleted and ignore out")
        return self


class Naming(Options):
    """Where a webhook says what happened to which record.

    `body` is the whole request, `item` is one of `items` (without `items`, the body), and `headers` are its headers.
    """

    items: Path | None = Field(
        None, description="A list of items, in which * stands for every element of a list; without it the body is the one item."
    )
    record_type: One = Field(description="A path, or {value: Deal}.")
    record_id: One = Field(description="The record's id.")
    kind: KindMap | None = Field(None, description="What happened; without it the record was updated.")
    occurred_at: PathOrHeader | None = Field(
        None, description="When it happened: ISO 8601, or seconds or milliseconds since 1970. Default: on arrival."
    )
    actor: One | None = Field(None, description="Who changed the record.")

    @field_validator("items")
    @classmethod
    def _in_body(cls, value: Way | None) -> Way | None:
        if value is not None and value.root != "body":
            raise PydanticCustomError("path", "items are found in the body: write a path that begins with body")
        return value


class Map(Naming):
    """Where a webhook says what happened to which record, and where the record itself stands."""

    fields: Fields | None = Field(
        None,
        description="A mapping with the record's fields; nested ones are named like Account.Name. Without it, nothing but the id is known.",
    )
    before: Fields | None = Field(None, description="A mapping with old values of fields.")
    version: PathOrHeader | None = Field(None, description="A number or ISO 8601 instant that grows with every change of the record.")
    observation_id: PathOrHeader | None = Field(
        None,
        description="An id that a redelivery repeats, like headers.idempotency-key. Default: webhook-id (standard-webhooks), a signed id.",
    )
    url: One | None = Field(None, description="The record's web address.")


def whole(where: Naming) -> Map:
    """Return a Map from a Naming. It says no more than the Naming does."""
    return where if isinstance(where, Map) else Map.model_construct(**dict(where))


def headers_of(where: Naming) -> frozenset[str]:
    """Return the names of all headers that are mapped."""
    ways = [value for _, value in where] + [where.kind.from_ if where.kind else None]
    return frozenset(one.header for one in ways if isinstance(one, Way) and one.header)


def telling_headers(where: Naming) -> list[str]:
    """Return the headers that say what happened to which record. With another value in one of them, the same body is another request."""
    ways = [where.record_id, where.record_type, where.kind.from_ if where.kind else None]
    return sorted({one.header for one in ways if isinstance(one, Way) and one.header})
