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
    scaled = max(1, round(long * _PART)) if isinstance(long, int) else long
    marks = [pytest.mark.long, pytest.mark.timeout(timeout)]
    brief = pytest.param(short, id="short", marks=pytest.mark.timeout(_SHORT))
    return pytest.mark.parametrize(name, [brief, pytest.param(scaled, id="long", marks=marks)])
