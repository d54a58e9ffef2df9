"""Rows of exports become observations: each file once, in the order in which they were written, a page at a time."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

from connectors.sources.files import cursor as cursors
from connectors.sources.files import rows
from connectors.sources.files.cursor import Place, Progress, Reading
from connectors.sources.files.folder import File, Folder
from connectors.sources.files.heading import listed
from connectors.sources.files.lines import STRANGE
from connectors.sources.files.options import Export, FilesOptions
from crmbridge.contract import Promise, Right, Setting, each
from crmbridge.errors import FieldsGone, SourceError
from crmbridge.model import (
    Cursor,
    FieldValue,
    Observation,
    Page,
    Sensitivity,
    Unread,
    clean,
    digest,
    filled,
    identity,
    marked,
    parse_number,
)

_log = logging.getLogger(__name__)
_TRIED: Final = 10  # rows of a file, and files of a type, that a check looks at
_OVERLAP: Final = timedelta(minutes=1)  # by which the clocks of who writes the files and the records may differ


class FilesSource:
    """Implements `crmbridge.contract.Source` and `Baseline`."""

    def __init__(self, options: FilesOptions, setting: Setting) -> None:
        self._options = options
        self._setting = setting
        self._reading = options.reading(setting.days)
        self._folder = Folder(setting.folder / options.folder, options.settle, setting.now)
        self._warned: dict[str, File] = {}

    def enumerates(self) -> bool:
        return True

    def check(self) -> None:
        """The newest file of each type that can be read has all that is configured; where there are files, one of them can be read."""
        for name, one in self._options.types.items():
            troubles: list[str] = []
            for file in self._folder.files(one.match)[: -_TRIED - 1 : -1]:
                try:
                    part = self._part(name, file, (0, 0), _TRIED)
                    if part.rows and all(row.odd for row in part.rows):
                        raise ValueError(part.rows[0].odd)
                except (OSError, ValueError) as error:
                    troubles.append(f"{file.name}: {_words(error)}")
                    continue
                if part.columns and (gone := rows.missing(self._wanted(name), part.columns, part.rows)):
                    kind = FieldsGone if set(gone) <= self._setting.records.get(name, {}).keys() else SourceError
                    raise kind(f"{file.name} has no column {', '.join(gone)}; it has {listed(part.columns)}")
                break
            else:
                if troubles:
                    raise SourceError(troubles[0])

    def rights(self) -> Sequence[Right]:
        return [
            Right(
                name=f"read permission on {one.match} in {self._folder.path}",
                promise=Promise.CHANGES,
                lost=f"what the newest export of {name} says is not told",
                refused=self._denied(one),
            )
            for name, one in self._options.types.items()
        ]

    def _denied(self, one: Export) -> str:
        """Why the newest file of a type cannot be opened; empty if it can, or if there is none. Raises SourceError."""
        for file in self._folder.files(one.match)[-1:]:
            try:
                with self._folder.opened(file):
                    pass
            except PermissionError as error:
                return f"{file.name}: {_words(error)}"
            except (OSError, SourceError):  # it is gone, or another one: no right lacks
                pass
        return ""

    def poll(self, cursor: Cursor | None) -> Page:
        try:
            place = cursors.load(cursor)
        except (ValueError, KeyError, TypeError) as error:
            raise SourceError(str(error)) from None
        names = list(self._options.types)
        name = place.current if place.current in names else names[0]
        before = place.types.get(name, Progress())
        found, after, more, lacking = self._read(name, before)
        following = name if more else names[names.index(name) + 1] if name != names[-1] else None
        if not more:
            after = replace(after, whole=True)
        types = {one: place.types[one] for one in names if one in place.types} | {name: after}
        return Page(
            observations=tuple(found),
            cursor=cursors.dump(Place(types, following)),
            has_more=following is not None,
            learning=not before.whole,
            lacking=lacking,
            delayed=True,
        )

    def close(self) -> None:
        """Nothing stays open."""

    # --- reading

    def _read(self, name: str, progress: Progress) -> tuple[list[Observation], Progress, bool, dict[str, list[str]]]:
        """The next rows of a type, whether there may be more, and what fields lack. A file that cannot be read is put aside."""
        files, young = self._folder.looked(self._options.types[name].match)
        progress = self._still(progress, files)
        aside: list[Observation] = []
        for file in files:
            try:
                if not self._next(name, file, progress):
                    continue
                found, after, gone = self._page(name, file, progress)
            except OSError as error:  # it is looked at again: nothing says when it can be opened
                aside.append(self._aside(name, file, error))
                progress = replace(progress, now=None)
            except ValueError as error:
                aside.append(self._aside(name, file, error))
                progress = replace(progress, now=None).passed(file.at, self._as_configured(name, self._folder.digest(file)))
            else:
                return [*aside, *found], after, True, {} if gone is None else {name: gone}
        if aside and not progress.begun:
            # Nothing is known yet, so nothing is missed by waiting; and what would be learnt now is nothing.
            raise SourceError(f"{aside[0].unreadable}; mend the file, or take it away")
        if young and not progress.whole:
            # What is there before the first look is old, however young its file: it is learnt, and none of it is news.
            raise SourceError(f"{young[0]} may still be written: it is learnt once nothing has changed it for {self._options.settle:g} s")
        return aside, progress, False, {}

    def _still(self, progress: Progress, files: Sequence[File]) -> Progress:
        """Without the file at hand, if that is not what it was: what it is now is looked at as any other file."""
        now = progress.now
        if now is None:
            return progress
        if any(self._is(file, now) for file in files):
            return progress
        if not (self._folder.path / now.name).exists():
            _log.warning(
                "a file was taken away while it was read", extra={"source": self._setting.name, "file": now.name, "lines_read": now.line}
            )
        return replace(progress, now=None)

    def _is(self, file: File, now: Reading) -> bool:
        """Whether a file is the one at hand, and as it was."""
        try:
            return file.name == now.name and now.at in (0, file.at) and self._folder.digest(file) == now.digest
        except OSError:
            return False

    def _next(self, name: str, file: File, progress: Progress) -> bool:
        """Whether this file is to be read now. Raises OSError."""
        if progress.now is not None:
            return file.name == progress.now.name
        if file.at <= progress.mark:
            return False
        known = self._folder.digest(file)
        return not progress.knows(file.at, known) and not progress.knows(file.at, self._as_configured(name, known))

    def _as_configured(self, name: str, content: str) -> str:
        """What names a content that cannot be read as it is configured now: with other options it is tried again."""
        return digest(content, self._options.types[name].model_dump_json(), *sorted(self._wanted(name)))[:16]

    def _page(self, name: str, file: File, progress: Progress) -> tuple[list[Observation], Progress, list[str] | None]:
        """The next rows of a file; the configured fields that none of them has, where there are any.

        Raises ValueError for a file that is not what it should be, and OSError.
        """
        one = self._options.types[name]
        now = progress.now or Reading(file.name, self._folder.digest(file), at=file.at)
        begin = (now.offset, now.line)
        part = self._part(name, file, begin, self._options.page)
        gone = self._tell(name, file, part)
        written = min(file.written, self._setting.now())
        try:
            seen = each(
                part.rows,
                lambda row: self._observation(name, one, row, file, progress),
                record_type=name,
                id=lambda row: _id(row, one) or f"{now.name}:{row.line}",
                spec=self._setting.records.get(name),
                values=lambda row: row.values,
                now=self._setting.now(),
                all_or_none=not progress.begun,
            ).observations()
        except ValueError as error:
            if begin == (0, 0):
                raise
            # Good rows stand before, and may stand behind: so many odd ones are named at once.
            seen = [self._unreadable(name, f"{now.name}:{part.rows[0].line}", f"lines {part.rows[0].line} to {part.end[1]}: {error}")]
        seen = [replace(row, unreadable=f"{_called(file)}: {row.unreadable}") if row.unreadable else row for row in seen]
        progress = replace(progress, now=replace(now, offset=part.end[0], line=part.end[1], at=file.at))
        return seen, progress.finished(file.at, written.timestamp()) if part.whole else progress, gone

    def _part(self, name: str, file: File, begin: tuple[int, int], most: int) -> rows.Part:
        """Rows of a file from a place on. Raises ValueError for a file that is not what it should be, and OSError."""
        one, spec = self._options.types[name], self._setting.records.get(name, {})
        shown = {column for column, kind in spec.items() if kind.sensitivity is not Sensitivity.SECRET}
        with self._folder.opened(file) as opened:
            return rows.read(opened, _form(file.path, one), one, most, begin=begin, used=self._wanted(name), shown=shown)

    def _wanted(self, name: str) -> set[str]:
        """The columns that the configuration names."""
        one = self._options.types[name]
        return {one.id, *filter(None, (one.changed, one.created, one.deleted)), *self._setting.records.get(name, {})}

    # --- what people are told

    def _tell(self, name: str, file: File, part: rows.Part) -> list[str] | None:
        """What is odd about a file, and costs no row. Returns the configured fields that stand in none of its rows, if it has any."""
        facts = {"source": self._setting.name, "file": str(file.path)}
        if part.footer:
            _log.info("lines at the end of a file were taken for a footer", extra={**facts, "lines": "{} to {}".format(*part.footer)})
        if part.whole and not part.rows and not part.columns and _form(file.path, self._options.types[name]) == "csv":
            _log.warning("a file has no heading", extra=facts)
        if (gone := rows.missing(self._wanted(name), part.columns, part.rows)) and self._warned.get(name) != file:
            self._warned[name] = file
            _log.warning("configured fields stand in none of the rows of a file", extra={**facts, "fields": ", ".join(gone)})
        return [field for field in gone if field in self._setting.records.get(name, {})] if part.columns or part.rows else None

    def _aside(self, name: str, file: File, error: Exception) -> Observation:
        """A file that cannot be read, as one thing for a person to look at."""
        return self._unreadable(name, file.name, f"{_called(file)}: {_words(error)}")

    def _unreadable(self, name: str, id: str, words: str) -> Observation:
        return Observation(
            record_type=name, record_id=clean(id)[:1000], fields={"row": id}, occurred_at=self._setting.now(), unreadable=clean(words)
        )

    def _observation(self, name: str, one: Export, found: rows.Row, file: File, progress: Progress) -> Observation:
        if found.odd:
            raise ValueError(found.odd)
        row, line = found.values, found.line
        id = row.get(one.id)
        record_id = identity(id).strip()[:1000]
        if not record_id:
            raise ValueError(f"line {line} has no {one.id}")
        version, changed = self._version(one, row, line)
        made = self._instant(row.get(one.created)) if one.created else None
        spec = self._setting.records.get(name)
        special = {one.id, one.changed, one.created, one.deleted}
        fields: dict[str, FieldValue] = (
            {clean(column): self._reading.value(value) for column, value in row.items() if column not in special}
            if spec is None
            else {column: self._reading.read(row[column], kind) for column, kind in spec.items() if column in row}
        )
        for column, value in fields.items():
            if isinstance(value, Unread):
                fields[column] = replace(value, reason=f"{value.reason} ({file.name}, line {line})")
        return Observation(
            record_type=name,
            record_id=record_id,
            fields=fields,
            existed=made is not None and progress.until > 0 and made < datetime.fromtimestamp(progress.until, timezone.utc) - _OVERLAP,
            deleted=bool(one.deleted) and marked(row.get(one.deleted or "")),
            version=version,
            occurred_at=changed or min(file.written, self._setting.now()),
            url=filled(one.url, id=record_id) if one.url else None,
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


def _id(row: rows.Row, one: Export) -> Any:
    """What names a row, as far as it can be believed."""
    id = row.values.get(one.id)
    return None if row.odd and isinstance(id, str) and ("\0" in id or STRANGE in id) else id


def _called(file: File) -> str:
    """A file, and which one of that name: what is wrong with tomorrow's is told too."""
    return f"{clean(str(file.path))} of {file.written:%Y-%m-%d %H:%M:%S}Z"


def _words(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _form(path: Path, one: Export) -> str:
    return one.format or ("csv" if path.suffix.lower() in (".csv", ".tsv", ".txt") else "jsonl")
