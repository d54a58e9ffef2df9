"""Outbound Messages: SOAP that is signed by nobody, so that a secret path and the org's id must do.

They carry the record as it is when they are sent, without order, and leave empty fields out; so each is only a hint to read the
record. https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/sforce_api_om_outboundmessaging_notifications.htm
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from xml.etree.ElementTree import Element

from connectors.sources.salesforce.options import OutboundMessages
from crmbridge.contract import Reply, WebhookRequest
from crmbridge.errors import InvalidRequest, InvalidSignature
from crmbridge.hooks import is_one_of
from crmbridge.http import parse_xml

_SOAP: Final = "{http://schemas.xmlsoap.org/soap/envelope/}"
_OUTBOUND: Final = "{http://soap.sforce.com/2005/09/outbound}"
_OBJECT: Final = "{urn:sobject.enterprise.soap.sforce.com}"
_TYPE: Final = "{http://www.w3.org/2001/XMLSchema-instance}type"
_ID: Final = re.compile(r"[A-Za-z0-9]{15}([A-Za-z0-9]{3})?", re.ASCII)
_SUFFIX: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
MAX_NOTIFICATIONS: Final = 100  # of one message, by its WSDL
_ACKNOWLEDGED: Final = (
    b'<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
    b'<notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>%s</Ack></notificationsResponse>'
    b"</soapenv:Body></soapenv:Envelope>"
)
"""The one answer that ends the vendor's retries, if it says true."""


def verify(options: OutboundMessages, request: WebhookRequest) -> None:
    """The secret path, then the org. Raises InvalidRequest."""
    if not is_one_of(request.path, options.path):
        raise InvalidSignature("the address lacks its secret last part: /hooks/NAME/SECRET")
    message = _message(request.body)
    organization = (message.findtext(f"{_OUTBOUND}OrganizationId") or "").strip()
    if not _ID.fullmatch(organization) or organization[:15] != options.organization_id[:15]:
        raise InvalidSignature("the message comes from another org than organization_id")


def named(body: bytes) -> Iterator[tuple[str, str]]:
    """(record type, 18 letter id) of each notification. Raises ValueError."""
    found = _unwrapped(_message(body)).findall(f"{_OUTBOUND}Notification")
    if len(found) > MAX_NOTIFICATIONS:
        raise ValueError(f"a message has more than {MAX_NOTIFICATIONS} notifications")
    for one in found:
        record = one.find(f"{_OUTBOUND}sObject")
        if record is None:
            raise ValueError("a notification has no sObject")
        kind = (record.get(_TYPE) or "").rpartition(":")[2]
        id = (record.findtext(f"{_OBJECT}Id") or "").strip()
        if not kind or not _ID.fullmatch(id):
            raise ValueError("a notification names no record")
        yield kind, long_id(id)


def long_id(id: str) -> str:
    """An id of 15 letters, in which case matters, as the API writes it: with three more that say which are capitals."""
    if len(id) != 15:
        return id
    groups = (id[start : start + 5] for start in (0, 5, 10))
    return id + "".join(_SUFFIX[sum(letter.isupper() << place for place, letter in enumerate(group))] for group in groups)


def reply(accepted: bool) -> Reply:
    """Yes ends it; no brings it again for 24 hours."""
    return Reply(200 if accepted else 503, _ACKNOWLEDGED % (b"true" if accepted else b"false"), "text/xml; charset=utf-8")


def _message(body: bytes) -> Element:
    try:
        return _unwrapped(parse_xml(body))
    except ValueError as error:
        raise InvalidRequest(str(error)) from None


def _unwrapped(root: Element) -> Element:
    """The `notifications` element, which may be the root itself."""
    if root.tag == f"{_OUTBOUND}notifications":
        return root
    found = root.find(f"{_SOAP}Body/{_OUTBOUND}notifications") if root.tag == f"{_SOAP}Envelope" else None
    if found is None:
        raise ValueError("the body is no Outbound Message")
    return found
