"""Block Kit as data, and the one walk that checks a layout and writes it as Slack takes it.

`shapes` says what the table is written in; `objects`, `elements`, `rich_text` and `blocks` are the table; `check` walks.
"""

from connectors.destinations.slack.layout.check import flattened, laid_out

__all__ = ["flattened", "laid_out"]
