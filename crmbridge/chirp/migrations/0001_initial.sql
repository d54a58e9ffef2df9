-- The feed's own database. Instants are microseconds since 1970-01-01 UTC.

CREATE TABLE person (
    id         INTEGER PRIMARY KEY,
    login      TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    password   TEXT,                -- scrypt$n$r$p$salt$hash; NULL: no sign-in by password
    created_at INTEGER NOT NULL,
    removed_at INTEGER              -- a removed person's posts keep their author
) STRICT;
CREATE UNIQUE INDEX person_login ON person (login) WHERE removed_at IS NULL;

-- Only a digest of the cookie is stored: who reads this file cannot sign in with it.
CREATE TABLE session (
    digest     BLOB    PRIMARY KEY,
    person     INTEGER NOT NULL REFERENCES person (id),
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX session_person ON session (person);

CREATE TABLE one_time_link (
    digest     BLOB    PRIMARY KEY,
    person     INTEGER NOT NULL REFERENCES person (id),
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- `key` is identity and never shown; `code` stands in addresses; `title` is a label and may repeat.
CREATE TABLE channel (
    id         INTEGER PRIMARY KEY,
    key        TEXT    NOT NULL UNIQUE,
    code       TEXT    NOT NULL UNIQUE,
    title      TEXT    NOT NULL,
    folded     TEXT    NOT NULL,    -- the title as search compares it
    audience   TEXT    NOT NULL CHECK (audience IN ('company', 'team', 'public')),
    created_at INTEGER NOT NULL,
    last_post  INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX channel_last_post ON channel (last_post DESC);

-- `id` orders posts as they were published. `text` is [[0, words of the author], [1, words from a record], ...].
CREATE TABLE post (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    code         TEXT    NOT NULL UNIQUE,
    key          TEXT    NOT NULL UNIQUE,   -- 'api:' or 'form:<person>:' and what the sender chose
    digest       TEXT    NOT NULL,          -- of the content: tells a repeat from a conflict
    channel      INTEGER NOT NULL REFERENCES channel (id),
    parent       INTEGER REFERENCES post (id),  -- always the first post of a thread
    author       INTEGER REFERENCES person (id),    -- NULL: a rule speaks
    rule         TEXT    NOT NULL DEFAULT '',
    source       TEXT    NOT NULL DEFAULT '',
    record_type  TEXT    NOT NULL DEFAULT '',
    record_id    TEXT    NOT NULL DEFAULT '',
    text         TEXT    NOT NULL,
    link         TEXT,
    occurred_at  INTEGER NOT NULL,
    published_at INTEGER NOT NULL
) STRICT;
CREATE INDEX post_channel ON post (channel, id);
CREATE INDEX post_parent ON post (parent, id) WHERE parent IS NOT NULL;

CREATE TABLE follow (
    person  INTEGER NOT NULL REFERENCES person (id),
    channel INTEGER NOT NULL REFERENCES channel (id),
    since   INTEGER NOT NULL,
    PRIMARY KEY (person, channel)
) STRICT, WITHOUT ROWID;
CREATE INDEX follow_channel ON follow (channel);

-- Who may read which channel. Every read of the feed joins it, so that grants of private channels change only this view.
CREATE VIEW readable (channel, viewer) AS
    SELECT channel.id, person.id
    FROM channel CROSS JOIN person
    WHERE person.removed_at IS NULL AND channel.audience = 'company';
