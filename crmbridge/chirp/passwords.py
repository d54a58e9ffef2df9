"""Passwords: which ones are accepted, and how they are kept, as scrypt hashes (RFC 7914)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from crmbridge.chirp.text import clean

SHORTEST_PASSWORD, LONGEST_PASSWORD = 10, 200  # characters
_LEAST_STRENGTH: Final = 3  # of zxcvbn's scores 0 to 4; 3 takes over a hundred million guesses
_JUDGED: Final = 72  # characters that zxcvbn looks at
OWN_WORDS: Final = ("crmbridge", "chirp")
"""Words that somebody who guesses at this feed tries too."""


def password_problem(password: str, names: Sequence[str] = ()) -> str:
    """Say why a new password is refused; empty if it is accepted. `names` belong to its person: they are guessed first.

    Length counts more than a mixture of characters, and nothing on the lists of first guesses is accepted: NIST SP 800-63B, 3.1.1.2.
    """
    if len(password) < SHORTEST_PASSWORD:
        return f"A password needs at least {SHORTEST_PASSWORD} characters; a few words are easy to remember."
    if len(password) > LONGEST_PASSWORD:
        return f"A password can have at most {LONGEST_PASSWORD} characters."
    from zxcvbn import zxcvbn  # imported here: its lists take a moment to load, and few ever need them

    found = zxcvbn(clean(password)[:_JUDGED], user_inputs=[*OWN_WORDS, *(one for one in names if one)])
    if found["score"] >= _LEAST_STRENGTH:
        return ""
    why = found["feedback"]["warning"].rstrip(".") or "It is among what is guessed first"
    return f"This password is easy to guess. {why}. Take a few words that do not belong together."


@dataclass(frozen=True, slots=True)
class Cost:
    """The work that scrypt does. OWASP rates it equal to n=2**17, p=1, and it needs only 16 MiB at a time."""

    n: int = 2**14
    r: int = 8
    p: int = 5


def hash_password(password: str, salt: bytes, cost: Cost) -> str:
    """Hash a password as `scrypt$n$r$p$salt$hash`, with salt and hash in base64."""
    made = hashlib.scrypt(clean(password).encode(), salt=salt, n=cost.n, r=cost.r, p=cost.p, maxmem=64 * 1024 * 1024, dklen=32)
    return f"scrypt${cost.n}${cost.r}${cost.p}${base64.b64encode(salt).decode()}${base64.b64encode(made).decode()}"


def password_matches(password: str, stored: str) -> bool:
    """Say whether `stored` was made from `password`."""
    _, n, r, p, salt, _ = stored.split("$")
    made = hash_password(password, base64.b64decode(salt), Cost(int(n), int(r), int(p)))
    return hmac.compare_digest(made.encode(), stored.encode())
