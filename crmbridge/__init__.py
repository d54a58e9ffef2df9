"""crmbridge: changes in a CRM become posts on Chirp, Slack, Microsoft Teams and X, and e-mail."""

__version__ = "0.1.0"
