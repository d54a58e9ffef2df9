"""crmbridge: changes in a CRM become posts on Chirp, Slack and X."""

__version__ = "0.1.0"
