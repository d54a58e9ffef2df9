"""What every page of crmbridge has: who visits and since when, forms that are proved to be ours, headers, a look."""

from crmbridge.pages.frame import Frame, PageError, Visit, missing
from crmbridge.pages.look import Look
from crmbridge.pages.sessions import Person, Sessions

__all__ = ["Frame", "Look", "PageError", "Person", "Sessions", "Visit", "missing"]
