"""Pipedrive: polled through API v2, and called by webhooks v2, which say old values."""

from connectors.sources.pipedrive.called import make
from connectors.sources.pipedrive.options import PipedriveMore
from crmbridge.rest import preset

CONNECTOR = preset(__file__, make=make, more=PipedriveMore)
