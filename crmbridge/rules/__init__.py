"""Events become messages: match, expression, template, audience, engine. Pure: no I/O, no clock."""
