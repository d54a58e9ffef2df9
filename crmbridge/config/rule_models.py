"""The shape of rules and their tests: every key with its type, default and one sentence. Nothing here works on it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from crmbridge.config.values import Identifier, Names, SurgeOption, Words, as_list
from crmbridge.contract import DurationOrOff, Options
from crmbridge.model import ChangeKind
from crmbridge.rules.rule import Mode


class WhenModel(Options):
    """Which changes a rule looks at."""

    source: str = Field(description="The name of a source.")
    record: str = Field(description="The record type.")
    event: Annotated[list[ChangeKind], BeforeValidator(as_list)] = Field(
        [ChangeKind.CREATED, ChangeKind.UPDATED], description="What happened to the record.", min_length=1
    )


class RecordChannelModel(Options):
    """A channel about a record, made when it is first spoken to."""

    for_: str = Field(alias="for", description="An expression that names the record, like record.AccountId.")
    title: str = Field(description="An expression for the channel's title, like record.Account.Name.")


class MediaModel(Options):
    """A picture that goes out with a message. Where it cannot be had, the message goes out without it."""

    url: Words = Field(description="A template that gives the picture's web address: PNG or JPEG, over https.")
    alt: Words = Field(description="A template that says what the picture shows, for who cannot see it.")


class StepModel(Options):
    """One message."""

    id: Identifier | None = Field(None, description="Unique within the rule; part of the idempotency key. Default: the destination's name.")
    formerly: Names = Field([], description="Earlier ids, oldest first, so that a rename does not publish anything again.")
    to: str = Field(description="The name of a destination.")
    channel: str | RecordChannelModel | None = Field(None, description="Where inside the destination, if not its own default.")
    thread: Literal["record"] | None = Field(None, description="`record`: reply to the first message about this record in the channel.")
    on_update: Literal["new", "thread", "edit"] | None = Field(
        None, description="What the next message of this step about the record is: a new one, a reply, or an edit of the earlier one."
    )
    text: Words = Field(description="The template of the message.")
    shorten: Annotated[list[Words], BeforeValidator(as_list)] = Field(
        [], description="Lookups of the text, like record.Name, whose words may be cut where the text would not fit."
    )
    blocks: list[Any] | None = Field(
        None,
        description="A layout as the destination's network has it, see its page (`doc`); each text is a template, and `text` the fallback.",
    )
    card: dict[str, Any] | None = Field(
        None,
        description="Where cards are shown: a whole Adaptive Card, see its page (`doc`); each text is a template, and `text` the fallback.",
    )
    media: MediaModel | None = Field(None, description="For networks that show pictures: one, with what it shows in words.")
    subject: Words | None = Field(
        None, description="Where messages have one: the template of the subject. Default: the first line of the text."
    )
    max_age: DurationOrOff | None = Field(None, description="Instead of the destination's.")
    link: Words | None = Field(None, description="A template that gives a web address to show with the message.")


class DefaultsModel(Options):
    """Said once for all steps that do not say otherwise."""

    thread: Literal["record"] | None = Field(None, description="See publish.")
    link: Words | None = Field(None, description="See publish.")


class GivenModel(Options):
    """A change, for a rule test."""

    record: dict[str, Any] = Field(description="The record's fields after the change.")
    before: dict[str, Any] = Field(default_factory=dict, description="The old values of the fields that changed.")
    event: ChangeKind = Field(ChangeKind.UPDATED, description="What happened to the record.")


class TextExpectation(Options):
    """What a text must be."""

    contains: str = Field(description="A part of the text.")


class ExpectModel(Options):
    """One message that must be published."""

    to: str = Field(description="The destination.")
    text: str | TextExpectation | None = Field(None, description="The whole text, or {contains: a part of it}.")
    channel: str | None = Field(None, description="The channel's name, or the title of a channel about a record.")


class CaseModel(Options):
    """A rule test: exactly these messages, in this order; an empty list means silence."""

    name: str | None = Field(None, description="For people.")
    given: GivenModel = Field(description="The change.")
    expect: list[ExpectModel] = Field(description="The messages.")


class RuleModel(Options):
    """One rule: when, match, publish."""

    id: Identifier = Field(description="Unique; part of the idempotency key.")
    formerly: Names = Field([], description="Earlier ids, oldest first, so that a rename does not publish anything again.")
    when: WhenModel = Field(description="Which changes to look at.")
    match: dict[str, Any] = Field(default_factory=dict, description="Conditions on fields; all must hold.")
    if_: Words | None = Field(None, alias="if", description="A condition as an expression, for what `match` cannot say.")
    publish: list[StepModel] = Field(description="The messages.", min_length=1)
    disclose: Annotated[list[str], BeforeValidator(as_list)] = Field(
        [], description="Fields that conditions may use though the message's readers may not see them: that it is said tells of them."
    )
    stop: bool = Field(False, description="No later rule sees the change.")
    mode: Mode = Field(Mode.LIVE, description="live, draft (messages wait for a person), or shadow (recorded, never published).")
    surge: SurgeOption | None = Field(None, description="Instead of the destination's.")
    tests: list[CaseModel] = Field([], description="Rule tests, run by `crmbridge test`.")
