"""What can be set for an endpoint."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from crmbridge.contract import Options, Secret
from crmbridge.http import is_loopback

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS = ("content-type", "content-length", "host", "transfer-encoding", "webhook-id", "webhook-timestamp", "webhook-signature")


class WebhookOptions(Options):
    """One endpoint."""

    url: str | Secret = Field(description="Address of the endpoint; write it as a secret if whoever knows it may post.", repr=False)
    secret: Secret = Field(description="Signing secret shared with the receiver: `whsec_` and base64.")
    headers: Mapping[str, Secret] = Field(default_factory=dict, description="Further request headers by name, such as Authorization.")
    allow_http: bool = Field(default=False, description="Allow an unencrypted address that is not this machine.")

    @field_validator("headers")
    @classmethod
    def _names(cls, value: Mapping[str, Secret]) -> Mapping[str, Secret]:
        for name in value:
            if not _HEADER.fullmatch(name) or name.lower() in _OURS:
                raise ValueError(f"the header {name!r} cannot be set")
        return value

    @model_validator(mode="after")
    def _address(self) -> WebhookOptions:
        if isinstance(self.url, str):
            require_address(self.url, self.allow_http)
        return self


def require_address(url: str, allow_http: bool) -> None:
    """Raises ValueError, without the address, unless `url` is one that we post to."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("the url is not an http or https address")
    if parts.scheme == "http" and not allow_http and not is_loopback(url):
        raise ValueError("the url is not https; set allow_http: true to accept that")
