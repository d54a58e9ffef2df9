"""What is wrong now: one list, from which `status`, alerts, metrics and pages are made. No code decides by a sentence in it.

`facts.py` holds what a daemon knows of its parts, in enums and numbers. `find.py` makes troubles of these facts, and is pure.
`watch.py` remembers since when each trouble is there. `alerts.py` tells people of them. `status.py` shows everything.
"""
