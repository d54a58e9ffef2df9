"""Block Kit as data, and the one walk that checks a layout and writes it as Slack takes it.

`objects`, `elements`, `rich_text` and `blocks` are the table, in the shapes of `crmbridge.contract.layout`; `check` walks along it.
"""

from connectors.destinations.slack.layout.check import flattened, laid_out

__all__ = ["flattened", "laid_out"]
