"""Mistakes as people make them in a configuration, by a seeded die."""

from __future__ import annotations

import random

_WORDS = ("", "null", "[]", "{}", "true", "-1", "1e999", "'", '"', "{{ record.nope }}", "{% if %}", "&a", "*b", "\t", "ü")


def mutant(text: str, chance: random.Random) -> str:
    """One to three mistakes in `text`."""
    for _ in range(chance.randint(1, 3)):
        text = chance.choice(_WAYS)(text, chance)
    return text


def _line(text: str, chance: random.Random) -> tuple[list[str], int]:
    lines = text.splitlines(keepends=True) or [""]
    return lines, chance.randrange(len(lines))


def _lose_line(text: str, chance: random.Random) -> str:
    lines, at = _line(text, chance)
    return "".join(lines[:at] + lines[at + 1 :])


def _double_line(text: str, chance: random.Random) -> str:
    lines, at = _line(text, chance)
    return "".join([*lines[: at + 1], lines[at], *lines[at + 1 :]])


def _indent(text: str, chance: random.Random) -> str:
    lines, at = _line(text, chance)
    lines[at] = lines[at][1:] if lines[at].startswith(" ") and chance.random() < 0.5 else " " * chance.randint(1, 3) + lines[at]
    return "".join(lines)


def _value(text: str, chance: random.Random) -> str:
    lines, at = _line(text, chance)
    head, colon, _ = lines[at].partition(":")
    lines[at] = f"{head}{colon} {chance.choice(_WORDS)}\n"
    return "".join(lines)


def _key(text: str, chance: random.Random) -> str:
    lines, at = _line(text, chance)
    head, colon, rest = lines[at].partition(":")
    at_letter = chance.randrange(len(head) + 1)
    lines[at] = head[:at_letter] + chance.choice("xyz_ -") + head[at_letter:] + colon + rest
    return "".join(lines)


def _letter(text: str, chance: random.Random) -> str:
    at = chance.randrange(len(text) + 1)
    return text[:at] + chance.choice("{}[]:,#&*!|>'\"%@`\x00\n\u2028a0 ") + text[at + chance.randint(0, 1) :]


def _cut(text: str, chance: random.Random) -> str:
    return text[: chance.randrange(len(text) + 1)]


def _swap(text: str, chance: random.Random) -> str:
    lines, at = _line(text, chance)
    other = chance.randrange(len(lines))
    lines[at], lines[other] = lines[other], lines[at]
    return "".join(lines)


_WAYS = (_lose_line, _double_line, _indent, _value, _value, _key, _key, _letter, _cut, _swap)
