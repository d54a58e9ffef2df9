"""Messages go out: lease, pace, publish, settle. What to do after an attempt is decided by pure functions."""
