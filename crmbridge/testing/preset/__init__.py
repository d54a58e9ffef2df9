"""What every preset must survive besides the contract of all sources, and a stand-in of a vendor that answers JSON.

from crmbridge.testing.preset import Json, PresetContract
"""

from __future__ import annotations

from crmbridge.testing.preset.judge import Fact, fits
from crmbridge.testing.preset.standin import TOKEN, Dialogue, Json
from crmbridge.testing.preset.suite import PresetContract

__all__ = ["TOKEN", "Dialogue", "Fact", "Json", "PresetContract", "fits"]
