"""The keys of scheduled backups: whether and where one is made, when, and which stay."""

from datetime import datetime, timedelta, timezone

from flow.wire.keys import ABSENT
from flow.wire.proofs import proofs_of
from flow.wire.running import Running

from crmbridge.operate.copies import MANIFEST, manifest

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Kept(Running):
    """A daemon whose clock begins at eleven and is moved; it looks when it is told to."""

    def prepare(self) -> None:
        super().prepare()
        self.first = self.clock_shows = datetime.now(timezone.utc).replace(hour=11, minute=0, second=0, microsecond=0)

    def now(self) -> datetime:
        return self.clock_shows

    def look(self, after: timedelta) -> None:
        """So long after its beginning."""
        self.clock_shows = self.first + after
        self._run(self.app.backups.look())

    def backups(self, unit: timedelta = DAY) -> list[int]:
        """The days after the beginning of those that are there."""
        made = [manifest(one.parent) for one in self.folder.rglob(MANIFEST) if ".part" not in str(one)]
        return sorted((one.made - self.first) // unit for one in made if one and one.scheduled)


proves = proofs_of(Kept)


@proves("backup", (ABSENT, []), ({"folder": "kept"}, ["kept"]))
@proves("backup.folder", ("kept", ["kept"]), ("other/place", ["other/place"]))
def where_backups_go(stage):
    """The folders beside the configuration that hold one, once the daemon has looked."""
    stage.go().look(HOUR)
    return [str(one.parent.parent.relative_to(stage.folder)) for one in stage.folder.rglob(MANIFEST)]


@proves("backup.at", ("00:00", [0]), ("12:00", [2]), given={"backup": {"folder": "kept"}})
def when_one_is_made(stage):
    """The hour after the start, at eleven, of what is kept at one o'clock: of one day only the newest is."""
    stage.go()
    for after in (timedelta(0), HOUR - timedelta(minutes=1), 2 * HOUR):
        stage.look(after)
    return stage.backups(HOUR)


@proves("backup.keep.daily", (1, [30]), (3, [1, 8, 30]), given={"backup": {"folder": "kept", "keep": {"weekly": 0}}})
@proves("backup.keep.weekly", (0, [30]), (2, [8, 30]), given={"backup": {"folder": "kept", "keep": {"daily": 1}}})
def which_backups_stay(stage):
    """The days of those that are left of one at the beginning, and 1, 8 and 30 days after it."""
    stage.go()
    for days in (0, 1, 8, 30):
        stage.look(days * DAY)
    return stage.backups()
