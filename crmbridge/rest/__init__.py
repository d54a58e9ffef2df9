"""The engine of sources whose CRM is read by data: a JSON API described by options (`rest`), or by a preset of them.

A preset whose vendor does what no data says derives its source from `RestSource` or one of those that can more, and its rows from `Rows`.
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
