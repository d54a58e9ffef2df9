"""What goes wrong while a vendor's answers are read, said as the poller understands it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from crmbridge.errors import SourceError
from crmbridge.http.mark import describe
from crmbridge.http.vendor import VendorRefused
from crmbridge.model import cursors


@contextlib.contextmanager
def reading(whose: str, what: str = "") -> Iterator[None]:
    """Whatever goes wrong in this block is a SourceError: a cursor that is not ours, and an answer of another shape, too.

    `whose`: the vendor's name; `what` is read, if that is to be said. A refusal stays one, with its status.
    """
    of = f"{what}: " if what else ""
    try:
        yield
    except VendorRefused as error:
        raise VendorRefused(f"{of}{error}", error.status, error.body, error.retry_at) from None
    except cursors.NotOurs as error:
        raise SourceError(str(error)) from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        words = str(error) if type(error) is ValueError else describe(error)
        raise SourceError(f"{of}{whose}'s answer cannot be read: {words}") from None
