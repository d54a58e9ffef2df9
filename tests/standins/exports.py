"""Exports in a folder and a files source that reads them, without a store: what it tells, and what it names as unreadable."""

import os
from datetime import datetime, timedelta, timezone

from connectors.sources.files import CONNECTOR
from crmbridge.contract import Setting
from crmbridge.model import FieldSpec, Sensitivity

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)
SPEC = {"Name": FieldSpec(), "Stage": FieldSpec(), "Note": FieldSpec(sensitivity=Sensitivity.SECRET)}


class Exports:
    """A folder, a source on it, and a clock that moves when it is told to."""

    def __init__(self, folder, *, types=None, spec=SPEC, settle=0, page=500, begun=True, **deals):
        self.folder, self.now, self.cursor = folder, NOW, None
        self.given = {"types": types or {"Deal": {"match": "*.csv", "id": "Id", **deals}}, "settle": settle, "page": page}
        self.spec = spec
        self.restart()
        if begun:  # the baseline is learnt: what comes is news
            self.poll()

    def restart(self, **deals):
        """The source anew, with other options of its files."""
        types = {name: {**one, **deals} for name, one in self.given["types"].items()}
        options = CONNECTOR.options(**{"folder": str(self.folder), **self.given, "types": types})
        records = dict.fromkeys(types, self.spec) if self.spec is not None else {}
        self.source = CONNECTOR.build(options, Setting(name="crm", now=lambda: self.now, records=records))

    def tick(self, seconds=60):
        self.now += timedelta(seconds=seconds)

    def put(self, name, content, *, at=None):
        """A file that is written now, or `at` so many seconds from now."""
        path = self.folder / name
        path.write_bytes(content)
        stamp = self.now.timestamp() + (at or 0)
        os.utime(path, (stamp, stamp))
        return path

    def page(self):
        """One read."""
        page = self.source.poll(self.cursor)
        self.cursor = page.cursor
        return page

    def seen(self):
        """Observations of a poll, to its end."""
        found, more = [], True
        while more:
            page = self.page()
            found += page.observations
            more = page.has_more
        return found

    def poll(self):
        """What is told of a poll, and what is named as unreadable."""
        found = self.seen()
        told = [(one.record_id, dict(one.fields)) for one in found if not one.unreadable]
        return told, [one.unreadable for one in found if one.unreadable]

    def ids(self):
        """Of the records that are told."""
        told, named = self.poll()
        assert named == []
        return [id for id, _ in told]
