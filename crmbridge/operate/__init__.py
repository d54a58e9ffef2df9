"""What people ask and order. It is the same whether a daemon runs (over its admin socket) or only its database is there.

`port` is what every order works on. `verbs` puts all orders and questions together. Each other module is one kind of them.
"""
