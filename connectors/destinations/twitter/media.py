"""A post's picture: fetched, made anew, given to X with its words, before the post itself. What fails of it costs the picture.

https://docs.x.com/x-api/media/introduction, https://docs.x.com/x-api/media/create-media-metadata (read 2026-11-30)
"""

from __future__ import annotations

import base64
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from connectors.destinations.twitter.api import Api
from connectors.destinations.twitter.errors import meaning
from connectors.destinations.twitter.options import TwitterOptions
from crmbridge.contract import Setting
from crmbridge.errors import Rejected, Transient
from crmbridge.http import INSTALL, NoPicture, Pictures, can_make, looking, made_anew
from crmbridge.model import Media, begin, clean, plain, visible

UPLOAD: Final = "/2/media/upload"
METADATA: Final = "/2/media/metadata"
SCOPE: Final = "media.write"
MOST: Final = 5 * 1000 * 1000
"""Bytes of an image: "<= 5 MB", https://docs.x.com/x-api/media/quickstart/best-practices (read 2026-11-30)."""
SIDE: Final = 4096
"""Pixels. X names no limit; nothing it shows is larger."""
ALT: Final = 1000
"""Characters of alternative text: CreateMediaMetadataMetadataAltText in X's OpenAPI description 2.167 (read 2026-11-30)."""

_BUDGET: Final = 12.0  # seconds for all of it: the post needs its own within the same attempt
_PATIENCE: Final = timedelta(minutes=2)  # that a message waits for a picture that cannot be fetched
_REMEMBERED: Final = 1000  # messages that wait so


class XPictures:
    """The pictures of one account's posts."""

    def __init__(self, options: TwitterOptions, setting: Setting, api: Api) -> None:
        self._api = api
        self._now = setting.now
        self._pictures = Pictures(setting.network, options.media_from)
        self._failing: OrderedDict[str, datetime] = OrderedDict()

    def given(self, media: Media, key: str) -> str:
        """The id under which X holds the picture, its words included.

        Raises NoPicture where the post is to go out without it, and a DeliveryError where it is to wait: nothing was posted.
        """
        if media.fault:
            raise NoPicture(media.fault)
        if not can_make():
            raise NoPicture(f"pictures need an extra: {INSTALL}")
        alt = alternative(media)
        if not alt:
            raise NoPicture("it has no alternative text")
        if not self._api.login.grants(SCOPE):
            raise NoPicture(f"the token has no {SCOPE}")
        ends = time.monotonic() + _BUDGET
        try:
            data = self._pictures.fetch(media.url, _BUDGET * 0.6)
        except Transient as error:
            raise self._patiently(error, key) from None
        self._failing.pop(key, None)
        picture = made_anew(data, most=MOST, side=SIDE)
        with looking():
            body = {"media": base64.b64encode(picture.data).decode(), "media_category": "tweet_image"}
            held = self._asked(lambda client, user: client.request("POST", UPLOAD, json=body, user_auth=user), ends)
            info = held.get("processing_info")
            if isinstance(info, dict) and info.get("state") == "failed":
                raise NoPicture("X cannot read it")
            said = {"id": held["id"], "metadata": {"alt_text": {"text": alt}}}
            self._asked(lambda client, user: client.request("POST", METADATA, json=said, user_auth=user), ends)
        return str(held["id"])

    def _patiently(self, error: Transient, key: str) -> Exception:
        """The error for as long as we wait for a picture; then that there is none."""
        now = self._now()
        since = self._failing.setdefault(key, now)
        while len(self._failing) > _REMEMBERED:
            self._failing.popitem(last=False)
        if now - since < _PATIENCE:
            return error
        del self._failing[key]
        return NoPicture(f"{error}, for {_PATIENCE // timedelta(minutes=1)} minutes")

    def _asked(self, call: Callable[[Any, bool], object], ends: float) -> dict[str, Any]:
        """The `data` of an answer. What X refuses for good costs the picture; what it says of the account is an error like any other."""
        if time.monotonic() > ends:
            raise Transient("the picture took too long", code="picture")
        answer = self._api.ask(call)
        try:
            said = answer.json()
        except ValueError:
            said = None
        data = said.get("data") if isinstance(said, dict) else None
        if 200 <= answer.status_code < 300 and isinstance(data, dict) and isinstance(data.get("id"), str):
            return data
        error = meaning(answer.status_code, answer.headers, said, self._now())
        if isinstance(error, Rejected):
            raise NoPicture(f"X does not take it: {error}") from None
        raise error

    def close(self) -> None:
        """Close connections; safe to call twice."""
        self._pictures.close()


def alternative(media: Media) -> str:
    """What the picture shows, as X counts it: at most 1,000 characters, whether an emoji is one of them or two."""
    words = begin(visible(clean(plain(media.alt))).strip(), ALT)
    while len(words.encode("utf-16-le", "surrogatepass")) > 2 * ALT:
        words = begin(words, len(words) - 1)
    return words.strip()
