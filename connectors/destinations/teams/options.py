"""What can be set for a Teams channel or chat."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from pydantic import Field

from crmbridge.contract import Options, Secret
from crmbridge.http import is_loopback


class TeamsOptions(Options):
    """One workflow that posts to one channel or chat."""

    url: Secret = Field(
        description="Address of a workflow's trigger *When a Teams webhook request is received*; whoever knows it may post."
    )

    def objections(self, *, public: bool) -> list[tuple[tuple[str | int, ...], str]]:
        return self.unusable() if self.url.literal else []

    def unusable(self) -> list[tuple[tuple[str | int, ...], str]]:
        """An address that is not Microsoft's, or that nobody may post to without a login."""
        complaint = url_complaint(self.url.reveal())
        return [(("url",), complaint)] if complaint else []


# The Power Platform API of each cloud; a trigger's address is ENVIRONMENT.environment.<one of them>. The first stands at
# https://learn.microsoft.com/en-us/troubleshoot/power-platform/power-automate/flow-run-issues/triggers-troubleshoot , the others
# in Microsoft's own clients (PowerPlatformCloud: gov, high, dod, mooncake). Read 2026-11-30.
_POWER_PLATFORM = (
    ".api.powerplatform.com",
    ".api.gov.powerplatform.microsoft.us",
    ".api.high.powerplatform.microsoft.us",
    ".api.appsplatform.us",
    ".api.powerplatform.partner.microsoftonline.cn",
)
# Azure Logic Apps, and Power Automate as it was: the page above says that the triggers of Power Automate ended there on 2025-11-30,
# the clouds of governments and of China excepted.
_LOGIC_APPS = (".logic.azure.com", ".logic.azure.us", ".logic.azure.cn")
# https://devblogs.microsoft.com/microsoft365dev/retirement-of-office-365-connectors-within-microsoft-teams/
_RETIRED = (".webhook.office.com", "outlook.office.com", "outlook.office365.com")


def url_complaint(url: str) -> str:
    """What is wrong with the address of a trigger, without naming it; empty if nothing is. This machine may stand in."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        asked = parse_qs(parts.query)
    except ValueError:
        parts, host, asked = urlsplit(""), "", {}
    here = bool(host) and is_loopback(url)
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and here)):
        return "is not an https address"
    if here:
        return ""
    if host.endswith(_RETIRED):
        return (
            "is the address of an Office 365 connector, which Microsoft has retired: make a workflow with the template "
            "*Send webhook alerts to a channel*, and copy its address"
        )
    if not host.endswith((*_POWER_PLATFORM, *_LOGIC_APPS)):
        return (
            "is not an address of Microsoft's (https://....environment.api.powerplatform.com/...): what is safe in Teams need not be "
            "elsewhere. For others write `type: webhook`"
        )
    if not any(asked.get("sig", ())):
        return (
            "has no `sig`, so its trigger asks for a login: set *Who can trigger the flow?* to *Anyone*, save the workflow, and copy the "
            "whole address again"
        )
    return ""


def is_old(url: str) -> bool:
    """True if `url` is one that a workflow may have had before Power Automate moved."""
    return (urlsplit(url).hostname or "").lower().endswith(_LOGIC_APPS[0])
