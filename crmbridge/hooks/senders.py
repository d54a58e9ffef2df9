"""What is known of senders: one file for each in `senders/`, loaded strictly. The user's own keys win over a file's.

Each key of `signature`, `challenge` and `map` is taken from the user if he writes it, else from the file. But if the user names a `scheme`
other than the file's, the whole of that part is the user's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from crmbridge.model import nearest

_PARTS: Final = ("signature", "challenge", "map")


class _FromFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class About(_FromFile):
    """Where the facts in a sender's file come from."""

    title: str
    page: str = Field(pattern=r"^https://[!-~]+$")
    read: str = Field(pattern=r"^20[0-9]{2}-[0-9]{2}-[0-9]{2}$")
    """The day on which the page was read, as far as it could be."""
    proves: str
    """How the sender proves itself, in words."""
    asks: str
    """The sender's handshake, in words. Empty where there is none."""
    lacks: str
    """What the sender's webhooks do not tell."""
    wants: str = ""
    """What a user must write besides the secret. The rest of the file says how."""
    proved: Literal["published vector", "own computation", "unproven"]
    """The evidence that the signature is read correctly."""


class KnownSender(_FromFile):
    """One sender, as its file describes it. The options are checked where they are used, together with the user's."""

    about: About
    signature: dict[str, Any]
    challenge: dict[str, Any] | None = None
    body: Literal["json", "form"] = "json"
    accepted: str = "202"
    map: dict[str, Any]


@cache
def names() -> tuple[str, ...]:
    """List all known senders, in order."""
    folder = files(__package__) / "senders"
    return tuple(sorted(Path(one.name).stem for one in folder.iterdir() if one.name.endswith(".yaml")))


@cache
def read_sender(name: str) -> KnownSender:
    """Read the file of a sender. Raises KeyError for an unknown name.

    A mistake in the file is a mistake of this package; it raises pydantic's ValidationError.
    """
    if name not in names():
        raise KeyError(name)
    text = (files(__package__) / "senders" / f"{name}.yaml").read_text("utf-8")
    return KnownSender.model_validate(yaml.load(text, yaml.BaseLoader))  # noqa: S506  # nosec B506  # BaseLoader reads texts only: it makes no true of `on` and no number of `1.10`


def _is_known(name: str) -> str:
    if name in names():
        return name
    near = nearest(name, names())
    facts = {"name": name, "hint": f'did you mean "{near}"?' if near else f"there are {', '.join(names())}"}
    raise PydanticCustomError("sender", "`{name}` is no sender that is known; {hint}", facts)


Sender = Annotated[str, AfterValidator(_is_known), WithJsonSchema({"enum": list(names())})]


def with_sender(raw: Mapping[str, Any], mapped: Collection[str]) -> Mapping[str, Any]:
    """Add to the options of a user what is known of the sender that they name. `mapped` are the keys of a map that count."""
    name = raw.get("sender")
    if not isinstance(name, str) or name not in names():
        return raw
    one = read_sender(name)
    found = {"body": one.body, "accepted": one.accepted, **raw}
    for part in _PARTS:
        given, own = raw.get(part), getattr(one, part)
        if part == "map":
            own = {key: value for key, value in own.items() if key in mapped}
        if own is None or (part in raw and not isinstance(given, Mapping)):
            continue
        given = given or {}
        other = "scheme" in given and given["scheme"] != own.get("scheme")
        found[part] = given if other else {**own, **given}
        if part == "challenge" and not other and isinstance(own.get("token"), dict) and isinstance(given.get("token"), Mapping):
            found[part]["token"] = {**own["token"], **given["token"]}
    return found


def table() -> str:
    """List all senders in a Markdown table."""
    lines = ["| sender | proves itself by | asks first | does not tell | you write besides | document | proved by |", "| --- " * 7 + "|"]
    for name in names():
        one = read_sender(name).about
        sender = f"[`{name}`](../../../crmbridge/hooks/senders/{name}.yaml) ({one.title})"
        cells = [sender, one.proves, one.asks or "nothing", one.lacks, one.wants, f"[{one.read}]({one.page})", one.proved]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
