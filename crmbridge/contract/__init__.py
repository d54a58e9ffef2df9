"""What a connector is: the protocols it may fulfil, the options it takes, the facts it states.

A connector is a folder with a `CONNECTOR`. It implements only what its vendor can do; with `isinstance`, the core finds
out which abilities an object has. Any method may be `def` (run in that connector's own bounded executor) or `async def`
(run on the loop). A connector picks one of the two for each method.

A destination makes exactly one attempt and never retries; a source makes one read and stores nothing.
"""

from crmbridge.contract.calls import LONGEST_ATTEMPT, Caller, Maybe
from crmbridge.contract.connector import Connector, Manifest, Setting, VendorPage, wanted
from crmbridge.contract.destination import (
    Ability,
    Batched,
    Deletable,
    Destination,
    Editable,
    Findable,
    Limits,
    Rate,
    Spoken,
    Uses,
    odd_abilities,
)
from crmbridge.contract.layout import LaidOut, LayoutFault, Unsaid
from crmbridge.contract.options import Options, Secret, Secrets, Written, ZoneName, login_secret, revealed
from crmbridge.contract.rights import Entitled, Promise, Right
from crmbridge.contract.rows import ReadRows, each, without
from crmbridge.contract.source import (
    CREDENTIALS,
    Acknowledging,
    Baseline,
    Describing,
    Discreet,
    FieldInfo,
    Greeting,
    Member,
    Reply,
    Rereading,
    Rewindable,
    Source,
    Streaming,
    Stretch,
    Teams,
    Walk,
    Walking,
    WebhookRequest,
    WebhookSource,
)
from crmbridge.contract.spans import Duration, DurationOrOff, every, show_duration

__all__ = [
    "CREDENTIALS",
    "LONGEST_ATTEMPT",
    "Ability",
    "Acknowledging",
    "Baseline",
    "Batched",
    "Caller",
    "Connector",
    "Deletable",
    "Describing",
    "Destination",
    "Discreet",
    "Duration",
    "DurationOrOff",
    "Editable",
    "Entitled",
    "FieldInfo",
    "Findable",
    "Greeting",
    "LaidOut",
    "LayoutFault",
    "Limits",
    "Manifest",
    "Maybe",
    "Member",
    "Options",
    "Promise",
    "Rate",
    "ReadRows",
    "Reply",
    "Rereading",
    "Rewindable",
    "Right",
    "Secret",
    "Secrets",
    "Setting",
    "Source",
    "Spoken",
    "Streaming",
    "Stretch",
    "Teams",
    "Unsaid",
    "Uses",
    "VendorPage",
    "Walk",
    "Walking",
    "WebhookRequest",
    "WebhookSource",
    "Written",
    "ZoneName",
    "each",
    "every",
    "login_secret",
    "odd_abilities",
    "revealed",
    "show_duration",
    "wanted",
    "without",
]
