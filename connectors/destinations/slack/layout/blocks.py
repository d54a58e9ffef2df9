"""Blocks, and what a message may hold of them: https://docs.slack.dev/reference/block-kit/blocks (read 2026-11-30)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from connectors.destinations.slack.layout import elements, objects
from connectors.destinations.slack.layout.objects import HTTPS_URL, URL, plain, text
from connectors.destinations.slack.layout.rich_text import RICH_TEXT
from connectors.destinations.slack.layout.shapes import REFERENCE, Takes, shown
from crmbridge.contract import Unsaid
from crmbridge.contract.layout.shapes import Complaint, Field, Items, Number, ObjectKind, Of, Path, Truth, Words, may, needed, one_of

_PAGES: Final = f"{REFERENCE}blocks/"
_ID: Final = {"block_id": may(Words(most=255))}
_SHOWN: Final = Words(takes=Takes.PLAIN)


def _block(type: str, fields: Mapping[str, Field], *, elsewhere: str = "", **more: Any) -> ObjectKind:
    page = f"{_PAGES}{type.replace('_', '-')}-block"
    more |= {"note": shown(f"{type} block", elsewhere)} if elsewhere else {}
    return ObjectKind(name=f"{type} block", page=page, type=type, fields={**fields, **_ID}, **more)


def _words(most: int, takes: Takes = Takes.PLAIN) -> Words:
    return Words(most=most, takes=takes)


_ICON: Final = Of((elements.IMAGE,))

# --- tables


def _columns(raw: Mapping[str, Any]) -> Iterator[Complaint]:
    rows, settings = raw.get("rows"), raw.get("column_settings")
    widths = [len(row) for row in rows if isinstance(row, list)] if isinstance(rows, list) else []
    if isinstance(settings, list) and widths and len(settings) > max(widths):
        yield ("column_settings",), f"{len(settings)} columns are set, and the table has {max(widths)}"


def _alike(raw: Mapping[str, Any]) -> Iterator[Complaint]:
    rows = [row for row in raw.get("rows") or () if isinstance(row, list)] if isinstance(raw.get("rows"), list) else []
    for index, row in enumerate(rows):
        if len(row) != len(rows[0]):
            yield ("rows", index), f"{len(row)} cells, and the first row has {len(rows[0])}: all rows need the same number"
    for index, cell in enumerate(rows[0] if rows else ()):
        if isinstance(cell, Mapping) and cell.get("type") not in ("raw_text", "raw_number"):
            yield ("rows", 0, index), "the first row is the header: its cells are raw_text or raw_number"
    column = raw.get("row_header_column_index")
    if rows and isinstance(column, int) and not isinstance(column, bool) and column >= len(rows[0]):
        yield ("row_header_column_index",), f"is {column}, and the last column is {len(rows[0]) - 1}"


_CELL_PAGE: Final = f"{_PAGES}data-table-block"
RAW_TEXT: Final = ObjectKind(name="raw_text cell", page=_CELL_PAGE, type="raw_text", fields={"text": needed(_SHOWN)})
RAW_NUMBER: Final = ObjectKind(
    name="raw_number cell", page=_CELL_PAGE, type="raw_number", fields={"value": needed(Number(whole=False)), "text": may(_SHOWN)}
)
_COLUMN: Final = ObjectKind(
    name="column setting",
    page=f"{_PAGES}table-block",
    fields={"align": may(one_of("left", "center", "right")), "is_wrapped": may(Truth())},
)
TABLE: Final = _block(
    "table",
    {
        "rows": needed(Items(of=Items(of=Of((RAW_TEXT, RAW_NUMBER, RICH_TEXT)), most=20), most=100)),
        "column_settings": may(Items(of=Of((_COLUMN,)), most=20, least=0)),
    },
    rules=(_columns,),
)
DATA_TABLE: Final = _block(
    "data_table",
    {
        "rows": needed(Items(of=Items(of=Of((RAW_TEXT, RAW_NUMBER, RICH_TEXT, elements.BUTTON)), most=20), least=2, most=201)),
        "caption": needed(_SHOWN),
        "page_size": may(Number(least=1, most=100)),
        "row_header_column_index": may(Number(least=0)),
    },
    rules=(_alike,),
)

# --- charts

_CHARTS: Final = f"{_PAGES}data-visualization-block"
_SEGMENT: Final = ObjectKind(
    name="segment of a pie", page=_CHARTS, fields={"label": needed(_words(20)), "value": needed(Number(above=0, whole=False))}
)
_POINT: Final = ObjectKind(name="data point", page=_CHARTS, fields={"label": needed(_words(20)), "value": needed(Number(whole=False))})
_SERIES: Final = ObjectKind(
    name="data series", page=_CHARTS, fields={"name": needed(_words(20)), "data": needed(Items(of=Of((_POINT,)), most=20))}
)
_AXES: Final = ObjectKind(
    name="axis config",
    page=_CHARTS,
    fields={
        "categories": needed(Items(of=_words(20), most=20)),
        "x_label": may(_words(50)),
        "y_label": may(_words(50)),
    },
)


def _plotted(raw: Mapping[str, Any]) -> Iterator[Complaint]:
    """Every series names each category once, and no two series are alike by name."""
    series = raw.get("series")
    axes = raw.get("axis_config")
    categories = axes.get("categories") if isinstance(axes, Mapping) else None
    known = categories if isinstance(categories, list) and all(isinstance(one, str) for one in categories) else None
    for name, count in Counter(known or ()).items():
        if count > 1:
            yield ("axis_config", "categories"), f'"{name}" stands there {count} times'
    names: set[str] = set()
    for index, one in enumerate(series if isinstance(series, list) else ()):
        if not isinstance(one, Mapping):
            continue
        if isinstance(one.get("name"), str):
            if one["name"] in names:
                yield ("series", index, "name"), f'another series is called "{one["name"]}"'
            names.add(one["name"])
        points = one.get("data")
        labels = [point.get("label") for point in points if isinstance(point, Mapping)] if isinstance(points, list) else []
        if known and labels and all(isinstance(label, str) for label in labels) and sorted(map(str, labels)) != sorted(set(known)):
            yield ("series", index, "data"), "needs exactly one point for each of axis_config.categories"


def _plot(type: str) -> ObjectKind:
    fields = {"series": needed(Items(of=Of((_SERIES,)), most=12)), "axis_config": needed(Of((_AXES,)))}
    return ObjectKind(name=f"{type} chart", page=_CHARTS, type=type, fields=fields, rules=(_plotted,))


_PIE: Final = ObjectKind(name="pie chart", page=_CHARTS, type="pie", fields={"segments": needed(Items(of=Of((_SEGMENT,)), most=12))})
DATA_VISUALIZATION: Final = _block(
    "data_visualization", {"title": needed(_words(50)), "chart": needed(Of((_PIE, _plot("bar"), _plot("area"), _plot("line"))))}
)

# --- the others

CARD: Final = _block(
    "card",
    {
        "hero_image": may(_ICON),
        "icon": may(_ICON),
        "slack_icon": may(Of((objects.SLACK_ICON,))),
        "title": may(text(150)),
        "subtitle": may(text(150)),
        "body": may(text(200)),
        "subtext": may(text(200)),
        "actions": may(Items(of=Of((elements.BUTTON,)), most=3)),
    },
    any_of=(("hero_image", "title", "actions", "body"),),
    only_one=(("icon", "slack_icon"),),
)
_TASK_STATUS: Final = one_of("pending", "in_progress", "complete", "error")
TASK_CARD: Final = _block(
    "task_card",
    {
        "task_id": needed(Words(takes=Takes.BARE)),
        "title": needed(_SHOWN),
        "details": may(Of((RICH_TEXT,))),
        "output": may(Of((RICH_TEXT,))),
        "sources": may(Items(of=Of((elements.URL_SOURCE,)), least=0)),
        "status": may(_TASK_STATUS),
    },
)
ACTIONS: Final = _block("actions", {"elements": needed(Items(of=Of(elements.IN_ACTIONS), most=25))})
CONTEXT: Final = _block("context", {"elements": needed(Items(of=Of((elements.IMAGE, objects.PLAIN_TEXT, objects.MRKDWN)), most=10))})
DIVIDER: Final = _block("divider", {})
FILE: Final = _block(
    "file", {"external_id": needed(Words()), "source": needed(one_of("remote"))}, elsewhere="in messages that hold a remote file"
)
HEADER: Final = _block("header", {"text": needed(plain(150)), "level": may(Number(least=1, most=4))})
IMAGE: Final = _block(
    "image",
    {
        "alt_text": needed(_words(2000, Takes.BARE)),
        "image_url": may(URL),
        "slack_file": may(Of((objects.SLACK_FILE,))),
        "title": may(plain(2000)),
    },
    any_of=(("image_url", "slack_file"),),
    only_one=(("image_url", "slack_file"),),
)
INPUT: Final = _block(
    "input",
    {
        "label": needed(plain(2000)),
        "element": needed(Of(elements.IN_INPUT)),
        "hint": may(plain(2000)),
        "optional": may(Truth()),
        "dispatch_action": may(Truth()),
    },
)
SECTION: Final = _block(
    "section",
    {
        "text": may(text(3000)),
        "fields": may(Items(of=text(2000), most=10)),
        "accessory": may(Of(elements.IN_SECTION)),
        "expand": may(Truth()),
    },
    any_of=(("text", "fields"),),
)
VIDEO: Final = _block(
    "video",
    {
        # The page says "less than 200" and "less than 50"; 200 characters of alternative text is Slack's own refusal, on no page.
        "alt_text": needed(_words(200, Takes.BARE)),
        "title": needed(plain(200)),
        "description": may(plain(200)),
        "author_name": may(_words(50)),
        "provider_name": may(_SHOWN),
        "provider_icon_url": may(URL),
        "title_url": may(HTTPS_URL),
        "thumbnail_url": needed(URL),
        "video_url": needed(HTTPS_URL),
    },
    note="a video block needs the scope links.embed:write, and its address among the app's unfurl domains",
)


def _folded(raw: Mapping[str, Any]) -> Iterator[Complaint]:
    if raw.get("default_collapsed") is True and raw.get("is_collapsible") is not True:
        yield ("default_collapsed",), "goes only with `is_collapsible: true`"
    if raw.get("has_header_divider") is True and raw.get("is_collapsible") is True:
        yield ("has_header_divider",), "does not go with `is_collapsible: true`"


CONTAINER: Final = _block(
    "container",
    {
        "title": may(plain(150)),
        "rich_text_title": may(Of((RICH_TEXT,))),
        "subtitle": may(text(150)),
        "child_blocks": needed(
            Items(of=Of((ACTIONS, CONTEXT, DIVIDER, FILE, HEADER, IMAGE, INPUT, RICH_TEXT, SECTION, TABLE, VIDEO)), most=10)
        ),
        "width": may(one_of("narrow", "standard", "wide", "full")),
        "icon": may(_ICON),
        "is_collapsible": may(Truth()),
        "default_collapsed": may(Truth()),
        "has_header_divider": may(Truth()),
    },
    any_of=(("title", "rich_text_title"),),
    rules=(_folded,),
)
BLOCKS: Final = (
    ACTIONS,
    _block(
        "alert", {"text": needed(text(200)), "level": may(one_of("default", "info", "warning", "error", "success"))}, elsewhere="in modals"
    ),
    CARD,
    _block("carousel", {"elements": needed(Items(of=Of((CARD,)), most=10))}),
    CONTAINER,
    CONTEXT,
    _block("context_actions", {"elements": needed(Items(of=Of((elements.FEEDBACK_BUTTONS, elements.ICON_BUTTON)), most=5))}),
    DATA_TABLE,
    DATA_VISUALIZATION,
    DIVIDER,
    FILE,
    HEADER,
    IMAGE,
    INPUT,
    _block("markdown", {"text": needed(Words(most=12_000))}),
    _block("plan", {"title": needed(_SHOWN), "tasks": may(Items(of=Of((TASK_CARD,), typed=False), least=0)), "status": may(_TASK_STATUS)}),
    RICH_TEXT,
    SECTION,
    TABLE,
    TASK_CARD,
    VIDEO,
)
LAYOUT: Final = Items(of=Of(BLOCKS), most=50)
"""All of a message: https://docs.slack.dev/reference/block-kit/blocks says how many blocks."""


# --- what holds for a message as a whole

_MARKDOWN: Final = 12_000  # characters of all markdown blocks together
_CELLS: Final = {"table": 10_000, "data_table": 20_000}  # characters in the cells of a table, and of all of its kind in a message
_MOST_OF: Final = {"table": 1, "data_visualization": 2}


def whole(blocks: Sequence[Any]) -> Iterator[tuple[Path, str, str]]:
    """What is wrong with the blocks together: the place, the complaint and the page."""
    seen: Counter[str] = Counter()
    lengths: Counter[str] = Counter()
    for path, block in _all(blocks):
        kind = block.get("type")
        if not isinstance(kind, str):
            continue
        page = f"{_PAGES}{kind.replace('_', '-')}-block"
        seen[kind] += 1
        if kind in _MOST_OF and seen[kind] == _MOST_OF[kind] + 1:
            yield path, f"a message takes {_MOST_OF[kind]} {kind} block{'s' if _MOST_OF[kind] > 1 else ''} at most", page
        most = _MARKDOWN if kind == "markdown" else _CELLS.get(kind)
        if most is None:
            continue
        own = length(block.get("text")) if kind == "markdown" else length(block.get("rows"))
        before, lengths[kind] = lengths[kind], lengths[kind] + own
        if before <= most < lengths[kind] and not (kind == "markdown" and own > most):
            of = "all markdown blocks" if kind == "markdown" else f"the cells of all {kind} blocks"
            yield path, f"{lengths[kind]} characters in {of}, Slack takes at most {most}", page


def _all(blocks: Sequence[Any]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    for index, block in enumerate(blocks):
        if isinstance(block, Mapping):
            yield (index,), block
            children = block.get("child_blocks")
            for inner, child in enumerate(children if isinstance(children, list) else ()):
                if isinstance(child, Mapping):
                    yield (index, "child_blocks", inner), child


def length(raw: Any) -> int:
    """Characters of the texts in a part of a layout; what a text that is not known yet has at least."""
    if isinstance(raw, str):
        return len(raw)
    if isinstance(raw, Mapping):
        inner = [raw[name] for name in ("text", "elements") if name in raw]
        return sum(map(length, inner))
    if isinstance(raw, list):
        return sum(map(length, raw))
    return raw.least if isinstance(raw, Unsaid) else 0
