"""Errors in reading a vendor's answers, as SourceErrors that the poller understands."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from crmbridge.errors import SourceError
from crmbridge.http.mark import describe
from crmbridge.http.vendor import VendorRefused
from crmbridge.model import cursors


@contextlib.contextmanager
def reading(whose: str, what: str = "") -> Iterator[None]:
    """Turn every error in this block into a SourceError, also for a cursor that is not ours and for an answer of an unexpected shape.

    `whose` is the vendor's name. `what` is the thing that is read, if the error should name it. A VendorRefused stays one, with its status.
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
