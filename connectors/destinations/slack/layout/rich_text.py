"""Rich text and its parts: https://docs.slack.dev/reference/block-kit/blocks/rich-text-block (read 2026-11-30)."""

from __future__ import annotations

import re
from typing import Any, Final

from connectors.destinations.slack.layout.objects import URL
from connectors.destinations.slack.layout.shapes import REFERENCE, Takes
from crmbridge.contract.layout.shapes import Field, Items, Number, ObjectKind, Of, Truth, Words, may, needed, one_of

_PAGES: Final = f"{REFERENCE}block-elements/"
_STYLES: Final = ("bold", "italic", "strike", "highlight", "client_highlight", "underline", "unlink", "code")
_STYLE: Final = may(
    Of((ObjectKind(name="style of rich text", page=f"{_PAGES}text-element", fields={name: may(Truth()) for name in _STYLES}),))
)
_SHOWN: Final = Words(takes=Takes.PLAIN)
_NAME: Final = Words()  # an id, or a word of Slack's own
_PLACE: Final = {"channel_id": may(_NAME), "ts": may(_NAME)}


def _part(type: str, fields: dict[str, Field], page: str = "") -> ObjectKind:
    return ObjectKind(name=f"{type} of rich text", page=f"{_PAGES}{page or type.replace('_', '-')}-element", type=type, fields=fields)


def _inline(type: str, /, **fields: Field) -> ObjectKind:
    return _part(type, {**fields, "style": _STYLE})


_SOURCES: Final[dict[str, dict[str, Field]]] = {
    "file": {"descriptor": may(_SHOWN), "file_id": may(_NAME)},
    "external": {"app_name": may(_SHOWN), "app_icon_url": may(URL)},
    "web": {"display_name": may(_SHOWN), "title": may(_SHOWN), "snippet": may(_SHOWN)},
    "message": {"channel": may(_NAME), "message_ts": may(_NAME)},
    "memory": {"memory_id": may(_NAME)},
}
_CITED: Final = ObjectKind(
    name="details of a citation",
    page=f"{_PAGES}citation-element",
    fields={"citation_type": needed(one_of(*_SOURCES)), **{name: one for fields in _SOURCES.values() for name, one in fields.items()}},
)
_TEXT: Final = _inline("text", text=needed(_SHOWN))
_LINK: Final = _inline(
    "link",
    url=needed(URL),
    text=may(_SHOWN),
    unsafe=may(Truth()),
    from_llm=may(Truth()),
    is_slack_url=may(Truth()),
    truncated=may(Truth()),
)
RICH_TEXT_INLINE: Final = (
    _TEXT,
    _LINK,
    _inline(
        "attachment_mention",
        url=needed(URL),
        text=may(_SHOWN),
        app_id=may(_NAME),
        entity_id=may(_NAME),
        icon_url=may(URL),
        full_size_preview_enabled=may(Truth()),
        icon_name=may(_NAME),
        reference_object_type=may(_NAME),
        product_name=may(_SHOWN),
        **_PLACE,
    ),
    _inline("broadcast", range=needed(one_of("here", "channel", "everyone"))),
    _inline(
        "canvas",
        file_id=needed(_NAME),
        label=may(_SHOWN),
        hide_title=may(Truth()),
        section_id=may(_NAME),
        text=may(_SHOWN),
        url=may(URL),
        is_skill_invocation=may(Truth()),
    ),
    _inline("canvas_user_mention", user_id=needed(_NAME), thread_id=may(_NAME)),
    _inline("canvas_message_unfurl", root_message_ts=needed(_NAME), root_message_channel=needed(_NAME)),
    _inline("channel", channel_id=needed(_NAME), tab_id=may(_NAME), from_llm=may(Truth())),
    _inline(
        "citation",
        url=needed(URL),
        text=needed(_SHOWN),
        index=needed(Number(least=0)),
        details=needed(Of((_CITED,))),
        from_llm=may(Truth()),
        is_slack_url=may(Truth()),
    ),
    _inline("color", value=needed(Words(pattern=re.compile(r"#?[0-9A-Fa-f]{3,8}", re.ASCII), like="a colour like #F405B3"))),
    _inline(
        "date",
        timestamp=needed(Number()),
        format=needed(Words()),
        timezone=may(_NAME),
        url=may(URL),
        fallback=may(_SHOWN),
    ),
    _inline("emoji", name=needed(_NAME), unicode=may(_NAME), url=may(URL), skin_tone=may(Number(least=1, most=6))),
    _inline("file", file_id=needed(_NAME), text=may(_SHOWN), url=may(URL), is_skill_invocation=may(Truth())),
    _inline("list_record", file_id=needed(_NAME), record_id=may(_NAME), view_id=may(_NAME), text=may(_SHOWN), url=may(URL)),
    _inline(
        "message_mention",
        channel_id=needed(_NAME),
        message_ts=needed(_NAME),
        author_id=may(_NAME),
        thread_ts=may(_NAME),
        text=may(_SHOWN),
        url=may(URL),
    ),
    _inline(
        "salesforce_data_field",
        salesforce_record_id=needed(_NAME),
        salesforce_field_label=may(_SHOWN),
        salesforce_field_api_name=may(_NAME),
        salesforce_include_field_label=may(Truth()),
    ),
    _inline(
        "tag",
        text=needed(_SHOWN),
        color=may(one_of("gray", "brown", "purple", "indigo", "blue", "green", "yellow", "orange", "red")),
    ),
    _inline("team", team_id=needed(_NAME)),
    _inline("user", user_id=needed(_NAME), from_llm=may(Truth())),
    _inline("usergroup", usergroup_id=needed(_NAME)),
    _inline(
        "work_object_mention",
        entity_id=needed(_NAME),
        app_id=needed(_NAME),
        text=needed(_SHOWN),
        url=needed(URL),
        icon_url=may(URL),
        full_size_preview_enabled=may(Truth()),
        product_name=may(_SHOWN),
    ),
    _inline(
        "workflow_mention",
        workflow_id=needed(_NAME),
        function_trigger_id=needed(_NAME),
        text=needed(_SHOWN),
        url=may(URL),
        **_PLACE,
    ),
)

_BORDER: Final = may(Number(least=0, most=1))


def _lines(kinds: tuple[ObjectKind, ...]) -> Field:
    return needed(Items(of=Of(kinds), least=0))


def _section(type: str, page: str, elements: Field, **more: Any) -> ObjectKind:
    return _part(type, {"elements": elements, **more}, page)


SECTION: Final = _section("rich_text_section", "rich-text-section", _lines(RICH_TEXT_INLINE))
RICH_TEXT: Final = ObjectKind(
    name="rich_text block",
    page=f"{REFERENCE}blocks/rich-text-block",
    type="rich_text",
    fields={
        "elements": needed(
            Items(
                of=Of(
                    (
                        SECTION,
                        _section(
                            "rich_text_list",
                            "rich-text-list",
                            _lines((SECTION,)),
                            style=needed(one_of("bullet", "ordered")),
                            indent=may(Number(least=0, most=8)),
                            offset=may(Number(least=0)),
                            border=_BORDER,
                        ),
                        _section(
                            "rich_text_preformatted", "rich-text-preformatted", _lines((_TEXT, _LINK)), border=_BORDER, language=may(_NAME)
                        ),
                        _section("rich_text_quote", "rich-text-quote", _lines(RICH_TEXT_INLINE), border=_BORDER),
                    )
                )
            )
        ),
        "block_id": may(Words(most=255)),
    },
)
