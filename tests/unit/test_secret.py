"""A secret is read where it lies, as it is now, and shows nowhere."""

import copy
import json
import os
import pickle
import time

import pytest
from pydantic import ValidationError

from crmbridge.contract import Options, Secret
from crmbridge.contract import options as contract
from crmbridge.telemetry import redact

CANARY = "c4nary-s3cret"


class Told(Options):
    token: Secret


def test_where_it_may_lie(tmp_path, monkeypatch):
    """In the environment, in a file, in a systemd credential, or, for examples, in the configuration itself."""
    monkeypatch.setenv("CRMBRIDGE_TEST_TOKEN", CANARY)
    (tmp_path / "token").write_text(f"{CANARY}\r\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    for raw in ({"env": "CRMBRIDGE_TEST_TOKEN"}, {"file": str(tmp_path / "token")}, {"credential": "token"}, CANARY):
        secret = Told(token=raw).token
        assert secret.reveal() == CANARY
        assert (raw == CANARY) is secret.literal


def test_a_file_is_looked_at_a_few_times_a_second(tmp_path):
    """Not at every message: that would be two system calls for each."""
    path = tmp_path / "token"
    path.write_text("first-token")
    secret = Secret("file", str(path))
    assert secret.reveal() == "first-token"
    path.write_text("second-one!")

    assert secret.reveal() == "first-token"
    time.sleep(contract._LOOK_AGAIN)
    assert secret.reveal() == "second-one!"


def test_a_file_is_read_again_when_it_changes(tmp_path, monkeypatch):
    """A rotated token needs no restart: written in place, or put in place by a rename."""
    monkeypatch.setattr(contract, "_LOOK_AGAIN", 0.0)
    path = tmp_path / "token"
    path.write_text("first-token")
    secret = Secret("file", str(path))
    assert "first-token" == secret.reveal() == secret.reveal()

    path.write_text("second-one!")
    os.utime(path, ns=(1, 1))
    assert secret.reveal() == "second-one!"

    (tmp_path / "new").write_text("third-token")
    os.utime(tmp_path / "new", ns=(1, 1))
    (tmp_path / "new").rename(path)
    assert secret.reveal() == "third-token"
    assert [redact(word) for word in ("first-token", "second-one!", "third-token")] == ["***"] * 3


def test_only_the_line_end_is_no_part_of_it(tmp_path):
    """Spaces may be."""
    (tmp_path / "token").write_text(" a token \n\n")

    assert Secret("file", str(tmp_path / "token")).reveal() == " a token "


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        "{}".format,
        "{!r:>20}".format,
        lambda one: f"{one}",
        lambda one: [one],
        lambda one: {"token": one},
        lambda one: Told(token=one),
        lambda one: Told(token=one).model_dump(),
        lambda one: Told(token=one).model_dump_json(),
    ],
)
def test_it_shows_as_stars(show):
    """However it is printed."""
    said = str(show(Secret("literal", CANARY)))

    assert CANARY not in said
    assert "***" in said


def test_it_cannot_be_carried_off():
    """Pickling it, or making JSON of it, is an error rather than a leak."""
    secret = Secret("literal", CANARY)
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        json.dumps(secret)
    with pytest.raises(TypeError):
        copy.deepcopy(secret)


def test_equality_is_of_the_place(tmp_path):
    """So that a reload sees a changed configuration, and not a rotated file."""
    one, same, other = Secret("file", "a"), Secret("file", "a"), Secret("file", "b")

    assert one == same != other
    assert one != "***"
    assert Secret("env", "a") != one
    assert len({one, same, other}) == 2


def test_what_is_missing_is_said(tmp_path, monkeypatch):
    """With the place, and never with a value."""
    monkeypatch.delenv("CRMBRIDGE_TEST_TOKEN", raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe" + CANARY.encode())
    cases = {
        ("env", "CRMBRIDGE_TEST_TOKEN"): "the secret env CRMBRIDGE_TEST_TOKEN is empty or not set",
        ("file", str(tmp_path / "gone")): f"the secret file {tmp_path / 'gone'} cannot be read: No such file or directory",
        ("file", str(tmp_path / "empty")): f"the secret file {tmp_path / 'empty'} is empty or not set",
        ("file", str(tmp_path / "bytes")): f"the secret file {tmp_path / 'bytes'} cannot be read: not UTF-8",
        ("file", str(tmp_path)): f"the secret file {tmp_path} is not a regular file",
        ("credential", "token"): "credential 'token': $CREDENTIALS_DIRECTORY is not set; see LoadCredential= in systemd.exec(5)",
    }
    for (kind, name), expected in cases.items():
        with pytest.raises(ValueError) as caught:
            Secret(kind, name).reveal()
        assert expected == str(caught.value)


def test_a_fifo_is_not_waited_for(tmp_path):
    """Reading it would hang the daemon."""
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ValueError, match="is not a regular file"):
        Secret("file", str(tmp_path / "fifo")).reveal()


@pytest.mark.parametrize("raw", ["", None, 5, [], {}, {"env": ""}, {"env": 5}, {"path": "x"}, {"env": "a", "file": "b"}])
def test_what_is_no_secret(raw):
    """Is refused with how one is written."""
    with pytest.raises(ValidationError, match=r"\{env: NAME\}, \{file: PATH\} or \{credential: NAME\}"):
        Told(token=raw)
