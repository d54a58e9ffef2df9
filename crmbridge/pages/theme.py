"""The look of a site: its templates, and the files that its pages need, kept in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import jinja2

_TYPES: Final = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml; charset=utf-8"}


class File:
    """A file of a site. Its address changes with its content."""

    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        self.type = _TYPES[path.suffix]
        self.version = hashlib.sha256(self.data).hexdigest()[:12]


class Theme:
    """The templates and files of one site, from the folders `templates` and `static` in `folder`.

    Its templates extend `page.html` of this package, which holds what no page may lack. `error.html` is shown for errors, with
    `status`, `heading` and `advice`.
    """

    def __init__(
        self,
        folder: Path,
        root: str,
        *,
        filters: Mapping[str, Callable[..., Any]],
        words: Mapping[str, Any],
        now: Callable[[], datetime],
    ) -> None:
        """Load a site's templates and files. `root` is the path of the site, like `/chirp`. `words` are known to every template."""
        self.root = root
        self.files = {path.name: File(path) for path in sorted((folder / "static").iterdir()) if path.suffix in _TYPES}
        self._now = now
        self._templates = jinja2.Environment(
            loader=jinja2.ChoiceLoader([jinja2.FileSystemLoader(each / "templates") for each in (folder, Path(__file__).parent)]),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {"ago": self._ago, "absolute": absolute, "iso": datetime.isoformat, "hue": hue, **filters}
        self._templates.globals |= {"static": self._address, **words}

    def render(self, template: str, **values: Any) -> str:
        """Fill in a template."""
        return self._templates.get_template(template).render(values)

    def _address(self, name: str) -> str:
        return f"{self.root}/static/{name}?v={self.files[name].version}"

    def _ago(self, moment: datetime, *, long: bool = False) -> str:
        return ago(moment, self._now(), long=long)


# --- words for times and colours ----------------------------------------------------------------


def ago(moment: datetime, now: datetime, *, long: bool = False) -> str:
    """Say how long ago a moment is: `5 min`, or `5 min ago` if `long`; beyond a week, its date.

    feed.js says the same in the reader's own time zone, with `long` for elements of the class `ago`.
    """
    seconds = (now - moment).total_seconds()
    if seconds < 60:
        return "now"
    for name, unit, limit in (("min", 60, 3600), ("h", 3600, 86400), ("d", 86400, 7 * 86400)):
        if seconds < limit:
            return f"{int(seconds // unit)} {name}{' ago' if long else ''}"
    return f"{moment.day} {moment:%b}" if moment.year == now.year else f"{moment.day} {moment:%b %Y}"


def absolute(moment: datetime) -> str:
    """Write the whole instant, for the tooltip."""
    return f"{moment:%A} {moment.day} {moment:%B %Y, %H:%M} UTC"


def hue(code: str) -> int:
    """Choose one of eight colours for a channel or person. It is always the same for one code."""
    return hashlib.sha256(code.encode()).digest()[0] % 8
