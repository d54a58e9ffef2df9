"""Messages as JSON lines, appended durably."""

from __future__ import annotations

import json
import os
import stat
import threading
from datetime import timezone
from pathlib import Path

from connectors.destinations.file.options import FileOptions
from crmbridge.contract import Limits, Setting
from crmbridge.errors import AuthFailed, DeliveryError, OutcomeUnknown, Transient
from crmbridge.http import begin
from crmbridge.model import Message, Receipt, Text, unmarked

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class FileDestination:
    """A file of JSON lines. The only writer of that file, or a short write could not be taken back."""

    limits = Limits(concurrency=1)

    def __init__(self, options: FileOptions, setting: Setting) -> None:
        self._path = setting.folder / options.path
        self._lock = threading.Lock()

    def measure(self, text: Text) -> int:
        """Characters of the plain text."""
        return len(unmarked(text))

    def check(self) -> None:
        """Open the file as publishing does, making it if it is not there."""
        os.close(self._open())

    def publish(self, message: Message, key: str, parent: Receipt | None) -> Receipt:
        """Append one line, and return once it is on disk."""
        self._append(line(message, key, parent))
        return Receipt(remote_id=key)

    def edit(self, receipt: Receipt, message: Message, key: str) -> Receipt:
        """Append what a message that was appended says from now on; `edits` names its key."""
        self._append(line(message, key, None, edits=receipt.remote_id))
        return receipt

    def delete(self, receipt: Receipt) -> None:
        """Append that a message is taken back; `deletes` names its key."""
        self._append(_encode({"deletes": receipt.remote_id}).encode("utf-8", "replace") + b"\n")

    def _append(self, data: bytes) -> None:
        with self._lock:
            descriptor = self._open()
            try:
                append(descriptor, data)
            finally:
                os.close(descriptor)

    def _open(self) -> int:
        try:
            fresh = not self._path.exists()
            # O_NONBLOCK, so that a pipe without a reader is an error and not a wait; O_RDWR, to look at the last byte.
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
            descriptor = os.open(self._path, flags, 0o600)
        except OSError as error:
            raise _unopened(error) from None
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise AuthFailed("the path is not a regular file", code="not_a_file")
            if fresh:
                _sync_folder(self._path.parent)
        except OSError as error:
            os.close(descriptor)
            raise Transient(f"the file cannot be opened: {error.strerror}") from None
        except DeliveryError:
            os.close(descriptor)
            raise
        return descriptor

    def close(self) -> None:
        """Nothing stays open between messages, so that the file can be rotated at any time."""


def append(descriptor: int, data: bytes) -> None:
    """Write one line whole and sync it.

    Raises Transient if the file is certainly as before, OutcomeUnknown if the line may be in it.
    """
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":  # a power cut tore the line before
        data = b"\n" + data
    reason = "short write"
    begin()
    try:
        if os.write(descriptor, data) == len(data):
            _flush(descriptor)
            return
    except OSError as error:
        reason = error.strerror or "write failed"
    try:
        os.ftruncate(descriptor, size)
        os.fsync(descriptor)
    except OSError:
        raise OutcomeUnknown(f"the line was not written whole ({reason}), and what was written cannot be taken back") from None
    raise Transient(f"the file took nothing: {reason}")


def _flush(descriptor: int) -> None:
    """After a failed fsync nobody knows which pages are on disk, and a second one may falsely succeed."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise OutcomeUnknown(f"the line was written, but may not be on disk: {error.strerror}") from None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unopened(error: OSError) -> DeliveryError:
    """Nothing was written; what a person must repair pauses the destination."""
    text = f"the file cannot be opened: {error.strerror}"
    if isinstance(error, (PermissionError, FileNotFoundError, IsADirectoryError, NotADirectoryError)):
        return AuthFailed(text, code="path")
    return Transient(text)


def line(message: Message, key: str, parent: Receipt | None, edits: str | None = None) -> bytes:
    """The message as one line of UTF-8 JSON."""
    channel = message.channel
    record = message.record
    entry = {
        "key": key,
        "occurred_at": message.occurred_at.astimezone(timezone.utc).isoformat(),
        "destination": message.destination,
        "channel": channel.key if channel else None,
        "title": channel.title if channel else None,
        "text": unmarked(message.text),
        "link": message.link,
        "thread": message.thread,
        "parent": parent.remote_id if parent else None,
        "rule": message.rule,
        "step": message.step,
        "record": {"source": record.source, "type": record.type, "id": record.id},
        "audience": message.audience,
        **({"edits": edits} if edits is not None else {}),
    }
    return _encode(entry).encode("utf-8", "replace") + b"\n"
