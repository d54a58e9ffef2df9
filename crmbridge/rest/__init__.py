"""The engine of sources whose CRM is read by data: a JSON API described by options (`rest`), or by a preset of them."""

from crmbridge.rest.login_options import Auth
from crmbridge.rest.options import Resource, RestOptions
from crmbridge.rest.preset import preset
from crmbridge.rest.source import RestSource, build

__all__ = ["Auth", "Resource", "RestOptions", "RestSource", "build", "preset"]
