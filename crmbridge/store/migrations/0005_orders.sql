-- What people ordered, kept longer than what they ordered it of.

CREATE TABLE orders (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    verb      TEXT    NOT NULL,
    arguments TEXT    NOT NULL,            -- JSON, cut short, without secrets
    meant     TEXT    NOT NULL,            -- a digest of what is meant: who goes on with an order means the same
    actor     TEXT    NOT NULL,            -- as they call themselves
    door      TEXT    NOT NULL,            -- how they came in, and what that proves of them
    began_at  INTEGER NOT NULL,
    last_at   INTEGER NOT NULL,            -- when a bite of it began or ended last
    running   INTEGER NOT NULL DEFAULT 1,  -- 1 while a bite of it is carried out
    ended_at  INTEGER,                     -- NULL while there is more of it to do
    counts    TEXT    NOT NULL DEFAULT '{}',  -- JSON: what it came to
    error     TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX orders_began ON orders (began_at);
CREATE INDEX orders_open ON orders (id) WHERE ended_at IS NULL;
