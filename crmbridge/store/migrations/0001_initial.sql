-- Instants are integers: microseconds since 1970-01-01 UTC. JSON columns hold what crmbridge.model dumps.

-- Verified webhook requests that were answered 2xx and are not interpreted yet, or could not be.
CREATE TABLE inbox (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    source      TEXT    NOT NULL,
    received_at INTEGER NOT NULL,
    headers     TEXT    NOT NULL,
    query       TEXT    NOT NULL,
    body        BLOB    NOT NULL,
    failure     TEXT                      -- why it could not be parsed; NULL while it waits
) STRICT;

-- How far each source has been read. baselined: everything that existed at the first start is in snapshots.
CREATE TABLE sources (
    name       TEXT PRIMARY KEY,
    cursor     TEXT,
    baselined  INTEGER NOT NULL DEFAULT 0,
    polled_at  INTEGER
) STRICT, WITHOUT ROWID;

-- Redeliveries of what carries no vendor version are known by their observation id.
CREATE TABLE observations (
    source         TEXT    NOT NULL,
    observation_id TEXT    NOT NULL,
    seen_at        INTEGER NOT NULL,
    PRIMARY KEY (source, observation_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX observations_seen ON observations (seen_at);

-- The tracked fields of each record as last seen.
CREATE TABLE snapshots (
    source      TEXT    NOT NULL,
    record_type TEXT    NOT NULL,
    record_id   TEXT    NOT NULL,
    revision    INTEGER NOT NULL,         -- changes so far; 0 was learnt silently
    version     TEXT,                     -- the vendor's, where it has one
    deleted     INTEGER NOT NULL,
    fields      TEXT    NOT NULL,
    PRIMARY KEY (source, record_type, record_id)
) STRICT, WITHOUT ROWID;

-- The journal: every change, and every observation refused as stale.
CREATE TABLE events (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT    NOT NULL UNIQUE,
    source      TEXT    NOT NULL,
    record_type TEXT    NOT NULL,
    record_id   TEXT    NOT NULL,
    revision    INTEGER NOT NULL,
    kind        TEXT    NOT NULL,         -- created, updated, deleted, merged; or stale
    occurred_at INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    actor       TEXT,
    url         TEXT,
    fields      TEXT    NOT NULL,
    before      TEXT    NOT NULL
) STRICT;
CREATE INDEX events_recorded ON events (recorded_at);

-- The outbox. A delivery's instant is a column: nothing is written merely because time passes.
CREATE TABLE deliveries (
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
    state       TEXT    NOT NULL CHECK (state IN ('queued','sending','delivered','held','unknown','dead','superseded')),
    reason      TEXT    NOT NULL DEFAULT '',
    due         INTEGER NOT NULL,
    attempts    INTEGER NOT NULL DEFAULT 0,
    last_error  TEXT    NOT NULL DEFAULT '',
    accepted_at INTEGER NOT NULL,
    settled_at  INTEGER
) STRICT;
-- What may be leased, lane by lane, earliest first.
CREATE INDEX deliveries_queued ON deliveries (destination, channel, due, id) WHERE state = 'queued';
-- What holds back later deliveries of its record in its lane.
CREATE INDEX deliveries_open ON deliveries (destination, channel, record, id) WHERE state IN ('queued', 'sending', 'unknown');
-- What people look at.
CREATE INDEX deliveries_watched ON deliveries (state, id) WHERE state IN ('sending', 'held', 'unknown', 'dead');
-- What retention removes.
CREATE INDEX deliveries_settled ON deliveries (settled_at) WHERE settled_at IS NOT NULL;

-- Attempts that ended without a receipt.
CREATE TABLE attempts (
    delivery INTEGER NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    number   INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    outcome  TEXT    NOT NULL,
    error    TEXT    NOT NULL,
    PRIMARY KEY (delivery, number)
) STRICT, WITHOUT ROWID;

-- Proof of publication. Outlives deliveries, so that no replay says anything twice.
CREATE TABLE receipts (
    key          TEXT PRIMARY KEY,
    destination  TEXT    NOT NULL,
    channel      TEXT    NOT NULL,
    thread       TEXT,
    remote_id    TEXT    NOT NULL,
    url          TEXT,
    extra        TEXT    NOT NULL,
    published_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX receipts_thread ON receipts (destination, channel, thread, published_at) WHERE thread IS NOT NULL;

-- What a vendor or a failure told a destination to wait for; a restart never undercuts it.
CREATE TABLE waits (
    destination TEXT    NOT NULL,
    channel     TEXT    NOT NULL,         -- '*' for the whole destination, '!' for a pause
    until       INTEGER,                  -- NULL: until a person acts
    reason      TEXT    NOT NULL,
    since       INTEGER NOT NULL,
    PRIMARY KEY (destination, channel)
) STRICT, WITHOUT ROWID;
