"""The short and the long form of a proof."""

import os

import pytest

_PART = float(os.environ.get("CRMBRIDGE_LONG", "1"))


def forms(name: str, short: object, long: object, *, timeout: int) -> pytest.MarkDecorator:
    """Run with `short` always, and with `long` under `-m long` (`timeout` seconds; CRMBRIDGE_LONG=0.2 takes a fifth of a number)."""
    scaled = max(1, round(long * _PART)) if isinstance(long, int) else long
    marks = [pytest.mark.long, pytest.mark.timeout(timeout)]
    return pytest.mark.parametrize(name, [pytest.param(short, id="short"), pytest.param(scaled, id="long", marks=marks)])
