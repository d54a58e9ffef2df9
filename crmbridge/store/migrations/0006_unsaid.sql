-- 0006_unsaid.sql
-- What ended without being said is `unsaid`: a shadow's, one that a person dropped, one that a summary stands for. It was called
-- superseded, as if a later message had always taken its place. SQLite changes no CHECK, so that the table is built anew; the
-- references of `attempts` are checked at the end of the migration, not by each statement (crmbridge.db).
CREATE TABLE deliveries_new (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    key         TEXT    NOT NULL UNIQUE,
    event_id    TEXT    NOT NULL,
    destination TEXT    NOT NULL,
    channel     TEXT    NOT NULL,         -- '' where a destination has none
    record      TEXT    NOT NULL,
    rule        TEXT    NOT NULL,
    step        TEXT    NOT NULL,
    thread      TEXT,
    parent      TEXT,                     -- what it replies to, frozen at the first attempt; 'null': nothing
    message     TEXT    NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('queued','sending','delivered','held','unknown','dead','unsaid')),
    reason      TEXT    NOT NULL DEFAULT '',
    due         INTEGER NOT NULL,
    attempts    INTEGER NOT NULL DEFAULT 0,
    last_error  TEXT    NOT NULL DEFAULT '',
    accepted_at INTEGER NOT NULL,
    settled_at  INTEGER,
    generation  INTEGER NOT NULL DEFAULT 0,  -- part of the key: a replay that is wanted again has a higher one
    expires_at  INTEGER,                     -- after that it is too old to be said; NULL: never
    held_at     INTEGER,                     -- since when it waits for a person; its age stands still meanwhile
    doubt_from  INTEGER,                     -- when the attempt began whose answer was lost
    look_at     INTEGER,                     -- when to look for it at the destination; NULL: a person decides
    looks       INTEGER NOT NULL DEFAULT 0,  -- how often that was done
    crashes     INTEGER NOT NULL DEFAULT 0   -- how often the process ended while this was made ready to be sent
) STRICT;

INSERT INTO deliveries_new (id, key, event_id, destination, channel, record, rule, step, thread, parent, message, state, reason, due,
    attempts, last_error, accepted_at, settled_at, generation, expires_at, held_at, doubt_from, look_at, looks, crashes)
SELECT id, key, event_id, destination, channel, record, rule, step, thread, parent, message,
    CASE state WHEN 'superseded' THEN 'unsaid' ELSE state END, reason, due,
    attempts, last_error, accepted_at, settled_at, generation, expires_at, held_at, doubt_from, look_at, looks, crashes
FROM deliveries;

-- A number that was given once is never given again, also where retention removed what had it.
DELETE FROM sqlite_sequence WHERE name = 'deliveries_new';
INSERT INTO sqlite_sequence (name, seq) SELECT 'deliveries_new', seq FROM sqlite_sequence WHERE name = 'deliveries';

DROP TABLE deliveries;
ALTER TABLE deliveries_new RENAME TO deliveries;

-- What may be leased, lane by lane, earliest first.
CREATE INDEX deliveries_queued ON deliveries (destination, channel, due, id) WHERE state = 'queued';
-- What holds back later deliveries of its record in its lane.
CREATE INDEX deliveries_open ON deliveries (destination, channel, record, id) WHERE state IN ('queued', 'sending', 'unknown');
-- What people look at.
CREATE INDEX deliveries_watched ON deliveries (state, id) WHERE state IN ('sending', 'held', 'unknown', 'dead');
-- What waits for a person, by what it is and why: counted every few seconds.
CREATE INDEX deliveries_kinds ON deliveries (state, destination, reason, look_at) WHERE state IN ('sending', 'held', 'unknown', 'dead');
-- What retention removes.
CREATE INDEX deliveries_settled ON deliveries (settled_at) WHERE settled_at IS NOT NULL;
-- Lost answers to be looked for.
CREATE INDEX deliveries_doubted ON deliveries (destination, look_at) WHERE look_at IS NOT NULL;
-- What was said of a record: explain, forget.
CREATE INDEX deliveries_record ON deliveries (record, id);
