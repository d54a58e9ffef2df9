"""Is it there? Our own timeline as X gives it, compared with what we meant to post. Pure.

X shows every address as t.co; the original stands in `entities.urls[].expanded_url`, and `& < >` are HTML entities:
https://docs.x.com/x-api/fundamentals/data-dictionary
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from connectors.destinations.twitter.text import HAIR, ZW
from crmbridge.errors import OutcomeUnknown

FIELDS = ("entities", "note_tweet", "referenced_tweets")
MARGIN = timedelta(seconds=60)  # X's clock and ours may differ
# https://docs.x.com/x-api/posts/user-posts-timeline-by-user-id : at most 100 for each request.
PAGE = 100
PAGES = 3

_ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">"}
_ENTITY = re.compile("|".join(_ENTITIES))
_SCHEME = re.compile(r"https?://", re.IGNORECASE)
_LAST_SLASH = re.compile(r"/(?=\s|\Z)")


def among(said: Mapping[str, Any], text: str, reply_to: str | None) -> str | None:
    """The id of the post in a timeline's answer that says `text` and replies to `reply_to`; None if there is none.

    Raises OutcomeUnknown if the answer cannot be read.
    """
    posts, meta = said.get("data", []), said.get("meta")
    if not isinstance(posts, list) or not isinstance(meta, dict):
        raise OutcomeUnknown("X answered 200 with something unreadable")
    wanted = _plainly(text)
    for post in posts:
        if isinstance(post, dict) and isinstance(post.get("id"), str) and _replies_to(post) == reply_to and _plainly(shown(post)) == wanted:
            return str(post["id"])
    return None


def shown(post: Mapping[str, Any]) -> str:
    """A post's whole text with its original addresses."""
    note = post.get("note_tweet")  # the whole of a long post
    holder = note if isinstance(note, dict) and isinstance(note.get("text"), str) else post
    text = str(holder.get("text") or "")
    entities = holder.get("entities")
    urls = entities.get("urls") if isinstance(entities, dict) else None
    for url in urls if isinstance(urls, list) else ():
        if isinstance(url, dict) and isinstance(url.get("media_key"), str) and isinstance(url.get("url"), str) and url["url"]:
            text = text.replace(url["url"], "")  # X's own address of the picture, behind the text
        elif isinstance(url, dict) and isinstance(url.get("url"), str) and isinstance(url.get("expanded_url"), str) and url["url"]:
            text = text.replace(url["url"], url["expanded_url"])
    return _ENTITY.sub(lambda found: _ENTITIES[found.group()], text)


def _plainly(text: str) -> str:
    """What is left once everything is gone that X may add or drop: invisible spaces, blanks, the scheme and last slash of an address."""
    text = unicodedata.normalize("NFC", text).replace(ZW, "").replace(HAIR, "")
    return " ".join(_LAST_SLASH.sub("", _SCHEME.sub("", text)).split())


def _replies_to(post: Mapping[str, Any]) -> str | None:
    """The id of the post that this one replies to."""
    referenced = post.get("referenced_tweets")
    for one in referenced if isinstance(referenced, list) else ():
        if isinstance(one, dict) and one.get("type") == "replied_to":
            return str(one.get("id"))
    return None
