"""Composition objects: https://docs.slack.dev/reference/block-kit/composition-objects (read 2026-11-30)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from connectors.destinations.slack.layout.shapes import REFERENCE, Takes
from crmbridge.contract.layout.shapes import Complaint, Items, ObjectKind, Of, Truth, Words, may, needed, one_of

_PAGES: Final = f"{REFERENCE}composition-objects/"
URL: Final = Words(most=3000, takes=Takes.ADDRESS)
HTTPS_URL: Final = Words(
    most=3000, takes=Takes.ADDRESS, pattern=re.compile(r"https://.+", re.DOTALL | re.IGNORECASE), like="an https address"
)
TEXT: Final = 3000  # characters of a text object, where its place has no limit of its own

PLAIN_TEXT: Final = ObjectKind(
    name="plain_text object",
    page=f"{_PAGES}text-object",
    type="plain_text",
    fields={"text": needed(Words(most=TEXT, takes=Takes.PLAIN)), "emoji": may(Truth())},
)
MRKDWN: Final = ObjectKind(
    name="mrkdwn object",
    page=f"{_PAGES}text-object",
    type="mrkdwn",
    fields={"text": needed(Words(most=TEXT, takes=Takes.MRKDWN)), "verbatim": may(Truth())},
)


def plain(most: int = TEXT) -> Of:
    """A plain_text object of at most so many characters."""
    return Of((PLAIN_TEXT,), most)


def text(most: int = TEXT) -> Of:
    """A plain_text or mrkdwn object of at most so many characters."""
    return Of((PLAIN_TEXT, MRKDWN), most)


_STYLE: Final = one_of("primary", "danger")
CONFIRM: Final = ObjectKind(
    name="confirmation dialog",
    page=f"{_PAGES}confirmation-dialog-object",
    fields={
        "title": needed(plain(100)),
        "text": needed(text(300)),  # the page asks for plain_text, and Slack's own types allow mrkdwn
        "confirm": needed(plain(30)),
        "deny": needed(plain(30)),
        "style": may(_STYLE),
    },
)

_VALUE: Final = Words(most=150, takes=Takes.BARE)


def _option(name: str, shown: Of, **more: Any) -> ObjectKind:
    fields = {"text": needed(shown), "value": needed(_VALUE), "description": may(text(75) if len(shown.kinds) > 1 else plain(75))}
    return ObjectKind(name=name, page=f"{_PAGES}option-object", fields={**fields, **more})


OPTION: Final = _option("option", plain(75))
BOX_OPTION: Final = _option("option", text(75))  # of checkboxes and radio buttons
OVERFLOW_OPTION: Final = _option("option", plain(75), url=may(URL))
OPTION_GROUP: Final = ObjectKind(
    name="option group",
    page=f"{_PAGES}option-group-object",
    fields={"label": needed(plain(75)), "options": needed(Items(of=Of((OPTION,)), most=100))},
)

FILTER: Final = ObjectKind(
    name="conversation filter",
    page=f"{_PAGES}conversation-filter-object",
    fields={
        "include": may(Items(of=one_of("im", "mpim", "private", "public"))),
        "exclude_external_shared_channels": may(Truth()),
        "exclude_bot_users": may(Truth()),
    },
    any_of=(("include", "exclude_external_shared_channels", "exclude_bot_users"),),
)
DISPATCH: Final = ObjectKind(
    name="dispatch action configuration",
    page=f"{_PAGES}dispatch-action-configuration-object",
    fields={"trigger_actions_on": may(Items(of=one_of("on_enter_pressed", "on_character_entered"), most=2))},
)
SLACK_FILE: Final = ObjectKind(
    name="Slack file",
    page=f"{_PAGES}slack-file-object",
    fields={"id": may(Words()), "url": may(URL)},
    any_of=(("id", "url"),),
    only_one=(("id", "url"),),
)
SLACK_ICON: Final = ObjectKind(
    name="Slack icon",
    page=f"{_PAGES}slack-icon-object",
    type="icon",
    fields={
        "name": needed(
            one_of(
                *[
                    "archive",
                    "book",
                    "bookmark",
                    "bot",
                    "bug",
                    "calendar",
                    "call",
                    "caret-left",
                    "caret-right",
                    "check",
                    "clipboard",
                    "code",
                    "comment",
                    "compass",
                    "copy",
                ],
                *[
                    "cube",
                    "download",
                    "edit",
                    "email",
                    "eye-closed",
                    "eye-open",
                    "file",
                    "flag",
                    "folder",
                    "gear",
                    "globe",
                    "heart",
                    "help",
                    "image",
                    "info",
                    "key",
                    "lightbulb",
                ],
                *[
                    "link",
                    "map",
                    "mobile",
                    "new-window",
                    "pin",
                    "plus",
                    "refine",
                    "refresh",
                    "rocket",
                    "save",
                    "screen",
                    "share",
                    "sparkle",
                    "star",
                    "star-filled",
                    "tag",
                ],
                *["thumbs-down", "thumbs-up", "trash", "upload", "user", "warning"],
            )
        )
    },
)
_PARAMETER: Final = ObjectKind(
    name="input parameter",
    page=f"{_PAGES}trigger-object",
    fields={"name": needed(Words()), "value": needed(Words(least=0))},
)
_TRIGGER: Final = ObjectKind(
    name="trigger",
    page=f"{_PAGES}trigger-object",
    fields={"url": needed(Words()), "customizable_input_parameters": may(Items(of=Of((_PARAMETER,)), least=0))},
)
WORKFLOW: Final = ObjectKind(name="workflow", page=f"{_PAGES}workflow-object", fields={"trigger": needed(Of((_TRIGGER,)))})


def among(selected: str, *, many: bool) -> Any:
    """A rule: what is selected at first must be one of the options."""

    def rule(raw: Mapping[str, Any]) -> Iterator[Complaint]:
        groups = raw.get("option_groups")
        offered = raw.get("options")
        known = [*(offered if isinstance(offered, list) else [])]
        known += [one for group in (groups if isinstance(groups, list) else []) for one in _options_of(group)]
        chosen = raw.get(selected)
        for index, one in enumerate(chosen if many and isinstance(chosen, list) else [] if many or chosen is None else [chosen]):
            if known and one not in known:
                yield ((selected, index) if many else (selected,)), "is not one of the options: it must be the same as one of them"

    return rule


def _options_of(group: Any) -> list[Any]:
    options = group.get("options") if isinstance(group, Mapping) else None
    return options if isinstance(options, list) else []
