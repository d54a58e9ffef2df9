"""Passwords: which are taken, and how they are kept: as scrypt hashes (RFC 7914)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from crmbridge.chirp.text import clean

SHORTEST_PASSWORD, LONGEST_PASSWORD = 10, 200  # characters
_LEAST_STRENGTH: Final = 3  # of zxcvbn's 0 to 4: over a hundred million guesses
_JUDGED: Final = 72  # characters that zxcvbn looks at
OWN_WORDS: Final = ("crmbridge", "chirp")
"""Who guesses at this feed tries these too."""


def password_problem(password: str, names: Sequence[str] = ()) -> str:
    """Why a new password is not taken; empty if it is. `names` are of its person: who guesses tries them first.

    Length before mixture, and nothing that is on the lists of what is guessed first: NIST SP 800-63B, 3.1.1.2.
    """
    if len(password) < SHORTEST_PASSWORD:
        return f"A password needs at least {SHORTEST_PASSWORD} characters; a few words are easy to remember."
    if len(password) > LONGEST_PASSWORD:
        return f"A password can have at most {LONGEST_PASSWORD} characters."
    from zxcvbn import zxcvbn  # its lists take a moment to load, and few ever need them

    found = zxcvbn(clean(password)[:_JUDGED], user_inputs=[*OWN_WORDS, *(one for one in names if one)])
    if found["score"] >= _LEAST_STRENGTH:
        return ""
    why = found["feedback"]["warning"].rstrip(".") or "It is among what is guessed first"
    return f"This password is easy to guess. {why}. Take a few words that do not belong together."


@dataclass(frozen=True, slots=True)
class Cost:
    """scrypt's work: OWASP's equal of n=2**17, p=1 that needs only 16 MiB at a time."""

    n: int = 2**14
    r: int = 8
    p: int = 5


def hash_password(password: str, salt: bytes, cost: Cost) -> str:
    """`scrypt$n$r$p$salt$hash`, both in base64."""
    made = hashlib.scrypt(clean(password).encode(), salt=salt, n=cost.n, r=cost.r, p=cost.p, maxmem=64 * 1024 * 1024, dklen=32)
    return f"scrypt${cost.n}${cost.r}${cost.p}${base64.b64encode(salt).decode()}${base64.b64encode(made).decode()}"


def password_matches(password: str, stored: str) -> bool:
    """True if `stored` was made from `password`."""
    _, n, r, p, salt, _ = stored.split("$")
    made = hash_password(password, base64.b64decode(salt), Cost(int(n), int(r), int(p)))
    return hmac.compare_digest(made.encode(), stored.encode())
