"""What every page of crmbridge has: its visitor and their session, forms that are proved to be ours, headers, and a theme."""

from crmbridge.pages.frame import Frame, PageError, Visit, missing
from crmbridge.pages.sessions import Person, Sessions
from crmbridge.pages.theme import Theme

__all__ = ["Frame", "PageError", "Person", "Sessions", "Theme", "Visit", "missing"]
