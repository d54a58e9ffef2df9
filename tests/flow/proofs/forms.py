"""The short and the long form of a proof.

Neither is limited by what it takes in all, for that is the machine's affair: its waits end where nothing moves (`until`). What
ends it here only keeps a proof that hangs from lasting for ever.
"""

import os

import pytest

_PART = float(os.environ.get("CRMBRIDGE_LONG", "1"))
_SHORT = 1200  # seconds: half a minute alone, and as much more as a machine is busy


def forms(name: str, short: object, long: object, *, timeout: int) -> pytest.MarkDecorator:
    """Run with `short` always, and with `long` under `-m long` (CRMBRIDGE_LONG=0.2 takes a fifth of a number).

    `timeout` is what ends the long form, in seconds.
    """
    return pytest.mark.parametrize(name, [short_form(short, id="short"), long_form(long, id="long", timeout=timeout)])


def short_form(*values: object, id: str) -> object:
    """Values that are run with always."""
    return pytest.param(*values, id=id, marks=pytest.mark.timeout(_SHORT))


def long_form(*values: object, id: str, timeout: int) -> object:
    """Values that are run with under `-m long`."""
    scaled = [max(1, round(one * _PART)) if isinstance(one, int) else one for one in values]
    return pytest.param(*scaled, id=id, marks=[pytest.mark.long, pytest.mark.timeout(timeout)])
