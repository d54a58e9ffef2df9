"""Rows of exports become observations: each file once, in the order in which they were written, a page at a time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

from connectors.sources.files import cursor as cursors
from connectors.sources.files import rows
from connectors.sources.files.cursor import Place, Progress, Reading
from connectors.sources.files.options import Export, FilesOptions
from crmbridge.contract import Setting, each
from crmbridge.errors import SourceError
from crmbridge.model import Cursor, FieldValue, Observation, Page, clean, parse_number

_UNFINISHED: Final = (".tmp", ".part", ".partial", ".swp", "~")
_FALSE: Final = (None, False, 0, "", "0", "f", "false", "False", "no")
_OVERLAP: Final = timedelta(minutes=1)  # by which the clocks of who writes the files and the records may differ


class FilesSource:
    """Implements `crmbridge.contract.Source` and `Baseline`."""

    def __init__(self, options: FilesOptions, setting: Setting) -> None:
        self._options = options
        self._setting = setting
        self._reading = options.reading(setting.days)
        self._folder = setting.folder / options.folder
        self._digests: dict[str, tuple[tuple[int, int, int], str]] = {}

    def enumerates(self) -> bool:
        return True

    def check(self) -> None:
        for name, one in self._options.types.items():
            for path, _ in self._files(one)[:1]:
                with self._opened(path) as file:
                    try:
                        found, _, _ = rows.read(file, _form(path, one), one, 0, 0, 1)
                    except ValueError as error:
                        raise SourceError(f"{path.name}: {error}") from None
                wanted = {one.id, *filter(None, (one.changed, one.created, one.deleted)), *self._setting.records.get(name, {})}
                if not found:
                    continue
                if found[0].odd:
                    raise SourceError(f"{path.name}: {found[0].odd}")
                if _form(path, one) == "csv" and (missing := sorted(wanted - found[0].values.keys())):
                    raise SourceError(f"{path.name} has no column {', '.join(missing)}; it has {', '.join(found[0].values)}")

    def poll(self, cursor: Cursor | None) -> Page:
        try:
            place = cursors.load(cursor)
        except (ValueError, KeyError, TypeError) as error:
            raise SourceError(str(error)) from None
        names = list(self._options.types)
        name = place.current if place.current in names else names[0]
        before = place.types.get(name, Progress())
        found, after, more = self._read(name, before)
        following = name if more else names[names.index(name) + 1] if name != names[-1] else None
        if not more:
            after = replace(after, whole=True)
        types = {one: place.types[one] for one in names if one in place.types} | {name: after}
        return Page(
            observations=tuple(found),
            cursor=cursors.dump(Place(types, following)),
            has_more=following is not None,
            learning=not before.whole,
        )

    def close(self) -> None:
        """Nothing stays open."""

    # --- reading

    def _read(self, name: str, progress: Progress) -> tuple[list[Observation], Progress, bool]:
        """The next rows of a type, and whether there may be more."""
        one = self._options.types[name]
        files = self._files(one)
        written = {path.name: at for path, at in files}
        if progress.now is not None:
            current = self._folder / progress.now.name
            if progress.now.name not in written or self._digest(current) != progress.now.digest:
                # It was taken away, or replaced: what it is now is looked at as any other file.
                progress = replace(progress, now=None)
        if progress.now is None:
            for path, _ in files:
                if (known := self._digest(path)) not in progress.done:
                    progress = replace(progress, now=Reading(path.name, known))
                    break
            else:
                return [], progress, False
        now = progress.now
        assert now is not None
        path = self._folder / now.name
        with self._opened(path) as file:
            try:
                found, offset, line = rows.read(file, _form(path, one), one, now.offset, now.line, self._options.page)
                at = datetime.fromtimestamp(written[now.name], timezone.utc)
                read = each(
                    found,
                    lambda row: self._observation(name, one, row, at, progress),
                    record_type=name,
                    id=lambda row: row.values.get(one.id) or f"{now.name}:{row.line}",
                    spec=self._setting.records.get(name),
                    values=lambda row: row.values,
                    now=self._setting.now(),
                    all_or_none=not progress.whole,
                )
            except ValueError as error:
                raise SourceError(f"{path}: {error}; mend the file, or take it away") from None
        seen = [replace(one, unreadable=f"{path}: {one.unreadable}") if one.unreadable else one for one in read.observations()]
        if len(found) < self._options.page:
            return seen, progress.finished(written[now.name]), True
        return seen, replace(progress, now=replace(now, offset=offset, line=line)), True

    def _files(self, one: Export) -> list[tuple[Path, float]]:
        """Files that are whole, the oldest first."""
        found = []
        limit = self._setting.now().timestamp() - self._options.settle
        try:
            for path in self._folder.iterdir():
                if path.match(one.match) and not path.name.startswith(".") and not path.name.endswith(_UNFINISHED) and path.is_file():
                    stat = path.stat()
                    if stat.st_mtime <= limit or self._options.settle == 0:
                        found.append((path, stat.st_mtime))
        except OSError as error:
            raise SourceError(f"{self._folder}: {error.strerror}") from None
        return sorted(found, key=lambda pair: (pair[1], pair[0].name))

    def _digest(self, path: Path) -> str:
        """What names its content; read again only when the file is another by its facts."""
        try:
            stat = path.stat()
            facts = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
            known = self._digests.get(path.name)
            if known is None or known[0] != facts:
                known = self._digests[path.name] = (facts, rows.digest(path))
            return known[1]
        except OSError as error:
            raise SourceError(f"{path}: {error.strerror}") from None

    def _opened(self, path: Path) -> Any:
        try:
            return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")
        except OSError as error:
            raise SourceError(f"{path}: {error.strerror}") from None

    def _observation(self, name: str, one: Export, found: rows.Row, written: datetime, progress: Progress) -> Observation:
        if found.odd:
            raise ValueError(found.odd)
        row, line = found.values, found.line
        id = row.get(one.id)
        if id is None or isinstance(id, (dict, list, bool)) or str(id).strip() == "":
            raise ValueError(f"line {line} has no {one.id}")
        record_id = clean(str(id)).strip()[:1000]
        version, changed = self._version(one, row, line)
        made = self._instant(row.get(one.created)) if one.created else None
        spec = self._setting.records.get(name)
        special = {one.id, one.changed, one.created, one.deleted}
        fields: dict[str, FieldValue] = (
            {clean(column): self._reading.value(value) for column, value in row.items() if column not in special}
            if spec is None
            else {column: self._reading.read(row[column], kind) for column, kind in spec.items() if column in row}
        )
        return Observation(
            record_type=name,
            record_id=record_id,
            fields=fields,
            existed=made is not None and progress.until > 0 and made < datetime.fromtimestamp(progress.until, timezone.utc) - _OVERLAP,
            deleted=bool(one.deleted) and row.get(one.deleted or "") not in _FALSE,
            version=version,
            occurred_at=changed or written,
            url=one.url.replace("{id}", record_id) if one.url else None,
        )

    def _version(self, one: Export, row: Mapping[str, Any], line: int) -> tuple[str | None, datetime | None]:
        """What can be put in order, and the instant that it means. In the hour that comes twice nothing can be."""
        if one.changed is None:
            return None, None
        value = row.get(one.changed)
        text = "" if value is None else str(value).strip()
        if parse_number(text) is not None:
            return text, self._instant(text)
        try:
            moment = self._reading.instant(text, self._setting.now())
        except ValueError as error:
            raise ValueError(f"line {line}: {one.changed} is neither an instant nor a number: {text[:60]!r}: {error}") from None
        return None if self._reading.is_double(text) else moment.isoformat(), moment

    def _instant(self, value: Any) -> datetime | None:
        try:
            return self._reading.instant(str(value), self._setting.now()) if value is not None else None
        except ValueError:
            return None


def _form(path: Path, one: Export) -> str:
    return one.format or ("csv" if path.suffix.lower() in (".csv", ".tsv", ".txt") else "jsonl")
