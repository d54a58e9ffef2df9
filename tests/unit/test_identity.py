"""A database that is not the one that ran here last must not speak; a crash is no reason for silence."""

import pytest

from crmbridge.store import identity
from crmbridge.store.identity import Marker, objection

OURS = Marker("one", 5, 77, "machine")


@pytest.mark.parametrize(
    ("stored", "marker", "inode", "here", "words"),
    [
        (None, None, 1, "machine", ""),  # new
        (("one", 5), OURS, 77, "machine", ""),  # a restart
        (("one", 6), OURS, 77, "machine", ""),  # a crash between database and marker
        (("one", 4), OURS, 77, "machine", "rolled back"),
        (("two", 5), OURS, 77, "machine", "another instance"),
        (("one", 5), None, 77, "machine", "restored from a backup or copied"),
        (("one", 5), OURS, 78, "machine", "another file"),
        (("one", 5), OURS, 77, "other", "another machine"),
        (("one", 5), Marker("one", 5, 77, ""), 77, "machine", ""),  # a container that has no machine id
    ],
)
def test_what_is_ours(stored, marker, inode, here, words):
    """Each way to put a wrong one in place has its words."""
    assert (words in objection(stored, marker, inode, here)) if words else objection(stored, marker, inode, here) == ""


def test_the_marker_is_whole_or_not_there(tmp_path):
    """Written beside the database, for its owner only; what cannot be read is none."""
    database = tmp_path / "crmbridge.db"
    database.touch()
    assert identity.read(database) is None
    identity.write(database, "one", 3)

    found = identity.read(database)
    assert (found.instance, found.epoch, found.inode) == ("one", 3, database.stat().st_ino)
    assert identity.mark_file(database).stat().st_mode & 0o777 == 0o600
    for wrong in ("", "[]", "{}", '{"instance": "one"}', "\0"):
        identity.mark_file(database).write_text(wrong)
        assert identity.read(database) is None
