"""Block elements: https://docs.slack.dev/reference/block-kit/block-elements (read 2026-11-30)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from connectors.destinations.slack.layout import objects
from connectors.destinations.slack.layout.objects import CONFIRM, DISPATCH, FILTER, URL, among, plain
from connectors.destinations.slack.layout.rich_text import RICH_TEXT, RICH_TEXT_INLINE
from connectors.destinations.slack.layout.shapes import REFERENCE, Takes, shown
from crmbridge.contract.layout.shapes import Complaint, Field, Items, Number, ObjectKind, Of, Truth, Words, may, needed, one_of

_PAGES: Final = f"{REFERENCE}block-elements/"
_MODALS: Final = "in modals"
_VIEWS: Final = "in modals and Home tabs"
_ID: Final = Words(most=255)
_ACTION: Final = {"action_id": may(_ID)}
_CONFIRM: Final = {"confirm": may(Of((CONFIRM,)))}
_FOCUS: Final = {"focus_on_load": may(Truth())}
_PLACEHOLDER: Final = {"placeholder": may(plain(150))}
_DISPATCH: Final = {"dispatch_action_config": may(Of((DISPATCH,)))}
_MOST_SELECTED: Final = {"max_selected_items": may(Number(least=1))}
_STYLE: Final = {"style": may(one_of("primary", "danger"))}
_LABEL: Final = {"accessibility_label": may(Words(most=75, takes=Takes.BARE))}
_SENT_BACK: Final = Words(most=2000, takes=Takes.BARE)
_GIVEN: Final = {"initial_value": may(Words(takes=Takes.PLAIN))}


def _element(type: str, page: str, *parts: Mapping[str, Field], name: str = "", elsewhere: str = "", **more: Any) -> ObjectKind:
    fields = {key: one for part in parts for key, one in part.items()}
    name = name or f"{type} element"
    note = shown(name, elsewhere) if elsewhere else ""
    return ObjectKind(name=name, page=f"{_PAGES}{page}-element", type=type, fields=fields, note=note, **more)


BUTTON: Final = _element(
    "button",
    "button",
    {"text": needed(plain(75)), "url": may(URL), "value": may(_SENT_BACK)},
    _ACTION,
    _STYLE,
    _CONFIRM,
    _LABEL,
)
WORKFLOW_BUTTON: Final = _element(
    "workflow_button",
    "workflow-button",
    {"text": needed(plain(75)), "workflow": needed(Of((objects.WORKFLOW,)))},
    _ACTION,
    _STYLE,
    _CONFIRM,
    _LABEL,
)
_FEEDBACK: Final = ObjectKind(
    name="feedback button",
    page=f"{_PAGES}feedback-buttons-element",
    fields={"text": needed(plain(75)), "value": needed(_SENT_BACK), **_LABEL},
)
FEEDBACK_BUTTONS: Final = _element(
    "feedback_buttons",
    "feedback-buttons",
    {"positive_button": needed(Of((_FEEDBACK,))), "negative_button": needed(Of((_FEEDBACK,)))},
    _ACTION,
)
ICON_BUTTON: Final = _element(
    "icon_button",
    "icon-button",
    {
        "icon": needed(one_of("trash")),
        "text": needed(plain(75)),
        "value": may(_SENT_BACK),
        "visible_to_user_ids": may(Items(of=Words(), most=10)),
    },
    _ACTION,
    _CONFIRM,
    _LABEL,
)
IMAGE: Final = _element(
    "image",
    "image",
    {
        "alt_text": needed(Words(most=2000, takes=Takes.BARE)),
        "image_url": may(URL),
        "slack_file": may(Of((objects.SLACK_FILE,))),
    },
    any_of=(("image_url", "slack_file"),),
    only_one=(("image_url", "slack_file"),),
)


def _boxes(type: str, page: str, chosen: str, *, many: bool) -> ObjectKind:
    initial = Items(of=Of((objects.BOX_OPTION,)), most=10) if many else Of((objects.BOX_OPTION,))
    options = {"options": needed(Items(of=Of((objects.BOX_OPTION,)), most=10)), chosen: may(initial)}
    return _element(type, page, options, _ACTION, _CONFIRM, _FOCUS, rules=(among(chosen, many=many),))


CHECKBOXES: Final = _boxes("checkboxes", "checkboxes", "initial_options", many=True)
RADIO_BUTTONS: Final = _boxes("radio_buttons", "radio-button-group", "initial_option", many=False)
OVERFLOW: Final = _element(
    "overflow", "overflow-menu", {"options": needed(Items(of=Of((objects.OVERFLOW_OPTION,)), most=5))}, _ACTION, _CONFIRM
)
DATEPICKER: Final = _element(
    "datepicker",
    "date-picker",
    {"initial_date": may(Words(pattern=re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII), like="a day like 2026-12-31"))},
    _ACTION,
    _CONFIRM,
    _FOCUS,
    _PLACEHOLDER,
)
DATETIMEPICKER: Final = _element(
    "datetimepicker",
    "datetime-picker",
    {"initial_date_time": may(Number(least=1_000_000_000, most=9_999_999_999))},  # "in the format of 10 digits"
    _ACTION,
    _CONFIRM,
    _FOCUS,
)
TIMEPICKER: Final = _element(
    "timepicker",
    "time-picker",
    {
        "initial_time": may(Words(pattern=re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d", re.ASCII), like="a time like 09:30")),
        "timezone": may(Words()),
    },
    _ACTION,
    _CONFIRM,
    _FOCUS,
    _PLACEHOLDER,
)


def _select(type: str, parts: Mapping[str, Field], **more: Any) -> ObjectKind:
    many = type.startswith("multi_")
    page = "multi-select-menu" if many else "select-menu"
    return _element(type, page, parts, _ACTION, _CONFIRM, _FOCUS, _PLACEHOLDER, _MOST_SELECTED if many else {}, **more)


def _static(type: str, chosen: str, *, many: bool) -> ObjectKind:
    return _select(
        type,
        {
            "options": may(Items(of=Of((objects.OPTION,)), most=100)),
            "option_groups": may(Items(of=Of((objects.OPTION_GROUP,)), most=100)),
            chosen: may(_chosen(many=many)),
        },
        any_of=(("options", "option_groups"),),
        only_one=(("options", "option_groups"),),
        rules=(among(chosen, many=many),),
    )


def _chosen(*, many: bool) -> Items | Of:
    return Items(of=Of((objects.OPTION,)), most=100) if many else Of((objects.OPTION,))


_QUERY: Final = {"min_query_length": may(Number(least=0))}
_RESPONSE: Final = {"response_url_enabled": may(Truth())}
_CONVERSATIONS: Final = {"default_to_current_conversation": may(Truth()), "filter": may(Of((FILTER,)))}
SELECTS: Final = (
    _static("static_select", "initial_option", many=False),
    _select("external_select", {"initial_option": may(_chosen(many=False)), **_QUERY}),
    _select("users_select", {"initial_user": may(Words())}),
    _select("conversations_select", {"initial_conversation": may(Words()), **_CONVERSATIONS, **_RESPONSE}),
    _select("channels_select", {"initial_channel": may(Words()), **_RESPONSE}),
)
MULTI_SELECTS: Final = (
    _static("multi_static_select", "initial_options", many=True),
    _select("multi_external_select", {"initial_options": may(_chosen(many=True)), **_QUERY}),
    _select("multi_users_select", {"initial_users": may(Items(of=Words()))}),
    _select("multi_conversations_select", {"initial_conversations": may(Items(of=Words())), **_CONVERSATIONS}),
    _select("multi_channels_select", {"initial_channels": may(Items(of=Words()))}),
)


def _lengths(raw: Mapping[str, Any]) -> Iterator[Complaint]:
    least, most = raw.get("min_length"), raw.get("max_length")
    if isinstance(least, int) and isinstance(most, int) and least > most:
        yield ("min_length",), f"is {least}, more than max_length, which is {most}"


def _values(raw: Mapping[str, Any]) -> Iterator[Complaint]:
    least, most = _decimal(raw.get("min_value")), _decimal(raw.get("max_value"))
    if least is not None and most is not None and least > most:
        yield ("min_value",), f"is {least}, more than max_value, which is {most}"


def _lines(raw: Mapping[str, Any]) -> Iterator[Complaint]:
    least, most = raw.get("min_lines"), raw.get("max_lines")
    if isinstance(least, int) and isinstance(most, int) and least > most:
        yield ("min_lines",), f"is {least}, more than max_lines, which is {most}"


def _decimal(raw: Any) -> Decimal | None:
    try:
        found = Decimal(raw) if isinstance(raw, str) and len(raw) < 100 else None
    except InvalidOperation:
        return None
    return found if found is not None and found.is_finite() else None


_NUMERIC: Final = Words(pattern=re.compile(r"[-+]?\d+(?:\.\d+)?", re.ASCII), like='a number in quotes, like "0.5"')
PLAIN_TEXT_INPUT: Final = _element(
    "plain_text_input",
    "plain-text-input",
    {"multiline": may(Truth()), "min_length": may(Number(least=0, most=3000)), "max_length": may(Number(least=1, most=3000))},
    _GIVEN,
    _ACTION,
    _DISPATCH,
    _FOCUS,
    _PLACEHOLDER,
    rules=(_lengths,),
)
NUMBER_INPUT: Final = _element(
    "number_input",
    "number-input",
    {
        "is_decimal_allowed": needed(Truth()),
        "initial_value": may(_NUMERIC),
        "min_value": may(_NUMERIC),
        "max_value": may(_NUMERIC),
    },
    _ACTION,
    _DISPATCH,
    _FOCUS,
    _PLACEHOLDER,
    rules=(_values,),
    elsewhere=_MODALS,
)
EMAIL_INPUT: Final = _element("email_text_input", "email-input", _GIVEN, _ACTION, _DISPATCH, _FOCUS, _PLACEHOLDER, elsewhere=_MODALS)
URL_INPUT: Final = _element("url_text_input", "url-input", _GIVEN, _ACTION, _DISPATCH, _FOCUS, _PLACEHOLDER, elsewhere=_MODALS)
FILE_INPUT: Final = _element(
    "file_input",
    "file-input",
    {"filetypes": may(Items(of=Words())), "max_files": may(Number(least=1, most=10))},
    _ACTION,
    elsewhere=_MODALS,
)
RICH_TEXT_INPUT: Final = _element(
    "rich_text_input",
    "rich-text-input",
    {
        "initial_value": may(Of((RICH_TEXT, *RICH_TEXT_INLINE))),
        "min_lines": may(Number(least=1, most=100)),
        "max_lines": may(Number(least=1, most=100)),
    },
    _ACTION,
    _DISPATCH,
    _FOCUS,
    _PLACEHOLDER,
    rules=(_lines,),
    elsewhere=_VIEWS,
)
URL_SOURCE: Final = _element("url", "url-source", {"url": needed(URL), "text": needed(Words(takes=Takes.PLAIN))}, name="URL source")

IN_SECTION: Final = (
    BUTTON,
    CHECKBOXES,
    DATEPICKER,
    IMAGE,
    *MULTI_SELECTS,
    OVERFLOW,
    RADIO_BUTTONS,
    *SELECTS,
    TIMEPICKER,
    WORKFLOW_BUTTON,
)
IN_ACTIONS: Final = (
    BUTTON,
    CHECKBOXES,
    DATEPICKER,
    DATETIMEPICKER,
    *MULTI_SELECTS,
    OVERFLOW,
    RADIO_BUTTONS,
    RICH_TEXT_INPUT,
    *SELECTS,
    TIMEPICKER,
    WORKFLOW_BUTTON,
)
IN_INPUT: Final = (
    CHECKBOXES,
    DATEPICKER,
    DATETIMEPICKER,
    EMAIL_INPUT,
    FILE_INPUT,
    *MULTI_SELECTS,
    NUMBER_INPUT,
    PLAIN_TEXT_INPUT,
    RADIO_BUTTONS,
    RICH_TEXT_INPUT,
    *SELECTS,
    TIMEPICKER,
    URL_INPUT,
)
