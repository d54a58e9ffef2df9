"""Adaptive Cards as data, as far as Teams shows them, and the walk that checks a card and writes it as Teams takes it.

`base`, `actions`, `inputs`, `elements` and `card` are the table, in the shapes of `crmbridge.contract.layout`; `check` walks along it.
"""

from connectors.destinations.teams.layout.check import finished, laid_out

__all__ = ["finished", "laid_out"]
