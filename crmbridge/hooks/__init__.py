"""The kit for sources that are called: proof of the sender, handshakes, and a map from a body to observations.

`Hook` does all of this by options. A source with code of its own takes the functions that it needs.
"""

from crmbridge.hooks.bodies import Form
from crmbridge.hooks.challenges import Challenge, Echo, Hello, VerifyToken
from crmbridge.hooks.hook import Hook
from crmbridge.hooks.map import KindMap, Map, Naming
from crmbridge.hooks.options import Found, HookOptions
from crmbridge.hooks.paths import Constant, Entries, Way
from crmbridge.hooks.proofs import Basic, Bearer, Hmac, HmacSha256, Jwt, Shown, Signature, StandardWebhooks, Unsigned
from crmbridge.hooks.signatures import is_basic, is_one_of, verify

__all__ = [
    "Basic",
    "Bearer",
    "Challenge",
    "Constant",
    "Echo",
    "Entries",
    "Form",
    "Found",
    "Hello",
    "Hmac",
    "HmacSha256",
    "Hook",
    "HookOptions",
    "Jwt",
    "KindMap",
    "Map",
    "Naming",
    "Shown",
    "Signature",
    "StandardWebhooks",
    "Unsigned",
    "VerifyToken",
    "Way",
    "is_basic",
    "is_one_of",
    "verify",
]
