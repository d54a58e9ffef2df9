-- What people ordered, kept longer than what they ordered it of.

CREATE TABLE orders (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    verb      TEXT    NOT NULL,
    arguments TEXT    NOT NULL,            -- JSON, long lists cut short, without secrets
    actor     TEXT    NOT NULL,            -- as they call themselves
    door      TEXT    NOT NULL,            -- how they came in, and what that proves of them
    began_at  INTEGER NOT NULL,
    ended_at  INTEGER,                     -- NULL while it is carried out
    counts    TEXT    NOT NULL DEFAULT '{}',  -- JSON: what it came to
    error     TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX orders_began ON orders (began_at);
CREATE INDEX orders_open ON orders (id) WHERE ended_at IS NULL;
