-- What the person on call needs: holding and releasing, looking for lost answers, pausing, explaining, taking back.

ALTER TABLE deliveries ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;  -- part of the key: a replay that is wanted again has a higher one
ALTER TABLE deliveries ADD COLUMN expires_at INTEGER;                     -- after that it is too old to be said; NULL: never
ALTER TABLE deliveries ADD COLUMN held_at    INTEGER;                     -- since when it waits for a person; its age stands still meanwhile
ALTER TABLE deliveries ADD COLUMN doubt_from INTEGER;                     -- when the attempt began whose answer was lost
ALTER TABLE deliveries ADD COLUMN look_at    INTEGER;                     -- when to look for it at the destination; NULL: a person decides
ALTER TABLE deliveries ADD COLUMN looks      INTEGER NOT NULL DEFAULT 0;  -- how often that was done

-- Lost answers to be looked for.
CREATE INDEX deliveries_doubted ON deliveries (destination, look_at) WHERE look_at IS NOT NULL;
-- What was said of a record: explain, forget.
CREATE INDEX deliveries_record ON deliveries (record, id);
CREATE INDEX events_record ON events (source, record_type, record_id, seq);

ALTER TABLE receipts ADD COLUMN retracted_at INTEGER;
-- From what people hold, an address or a network's id, to what we know.
CREATE INDEX receipts_remote ON receipts (remote_id) WHERE remote_id <> key;
-- How much was said lately: caps.
CREATE INDEX receipts_published ON receipts (destination, published_at);

-- Silence that a person ordered: it outlives restarts and reloads.
CREATE TABLE pauses (
    kind   TEXT    NOT NULL CHECK (kind IN ('all', 'destination', 'rule')),
    name   TEXT    NOT NULL,               -- '' for all
    reason TEXT    NOT NULL,
    since  INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

-- Troubles that people were told of, so that they are told once.
CREATE TABLE alerts (
    name  TEXT    PRIMARY KEY,
    since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Which daemon this database belongs to, and how often that was started: see crmbridge.store.identity.
CREATE TABLE identity (
    instance TEXT    NOT NULL,
    epoch    INTEGER NOT NULL
) STRICT;
