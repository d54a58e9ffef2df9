"""What is wrong now: one list, from which `status`, alerts, metrics and pages are made. Nothing decides by a sentence.

`facts.py` holds what a daemon knows of its parts, in enums and numbers; `find.py` turns that into troubles, and is pure;
`watch.py` remembers since when each is there; `alerts.py` tells people; `status.py` shows everything.
"""
