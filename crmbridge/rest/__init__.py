"""The engine of sources that read a CRM by data: a JSON API described by options (`rest`), or by a preset of such options.

Where data cannot describe a vendor, its preset derives a source from `RestSource` or one of its richer kinds, and its rows from `Lists`.
"""

from crmbridge.rest.api import Api
from crmbridge.rest.asking import Found, Request
from crmbridge.rest.build import build, reachable
from crmbridge.rest.login_options import Auth
from crmbridge.rest.options import Listing, Resource, RestOptions, Single
from crmbridge.rest.passes import stamped
from crmbridge.rest.preset import preset
from crmbridge.rest.rows import DELETED, Lists, Stream
from crmbridge.rest.source import RestSource, WholeRestSource
from crmbridge.rest.values import CLOSED, FieldReader, Fields, Shape, described

__all__ = [
    "CLOSED",
    "DELETED",
    "Api",
    "Auth",
    "FieldReader",
    "Fields",
    "Found",
    "Listing",
    "Lists",
    "Request",
    "Resource",
    "RestOptions",
    "RestSource",
    "Shape",
    "Single",
    "Stream",
    "WholeRestSource",
    "build",
    "described",
    "preset",
    "reachable",
    "stamped",
]
