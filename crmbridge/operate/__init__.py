"""What people ask and order, the same whether a daemon runs (over its admin socket) or only its database is there.

`port` is what every order works on, `desk` puts all of them together; each other module is one kind of question or order.
"""
