-- A repeat is what the sender repeats: the same id, or the same bytes with nothing else of the record between.

-- The request that told of a record last, where its sender gives neither version nor id.
CREATE TABLE bodies (
    source      TEXT    NOT NULL,
    record_type TEXT    NOT NULL,
    record_id   TEXT    NOT NULL,
    digest      TEXT    NOT NULL,
    item        INTEGER NOT NULL,         -- which of its items told of it last
    received_at INTEGER NOT NULL,
    PRIMARY KEY (source, record_type, record_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX bodies_received ON bodies (received_at);

-- What was taken for a repeat, for `explain`: one row for a record and an id or body, however often that came again.
CREATE TABLE repeats (
    record_id   TEXT    NOT NULL,         -- first: people know an id, not where it is from
    source      TEXT    NOT NULL,
    record_type TEXT    NOT NULL,
    same        TEXT    NOT NULL CHECK (same IN ('id', 'bytes')),
    name        TEXT    NOT NULL,         -- the sender's id, or the digest of the body
    first_at    INTEGER NOT NULL,         -- when it was new
    last_at     INTEGER NOT NULL,         -- when it came again last
    count       INTEGER NOT NULL,
    PRIMARY KEY (record_id, source, record_type, same, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX repeats_last ON repeats (last_at);

-- Walks that came to an end: what the first one finds is older than anybody looked, and is learnt silently.
CREATE TABLE walks (
    source      TEXT    NOT NULL,
    record_type TEXT    NOT NULL,
    compared    INTEGER NOT NULL,         -- 1: whole records, 0: their ids alone
    ended_at    INTEGER NOT NULL,
    PRIMARY KEY (source, record_type, compared)
) STRICT, WITHOUT ROWID;
