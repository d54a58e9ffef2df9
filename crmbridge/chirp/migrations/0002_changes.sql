-- What the bridge changes after it has published.

ALTER TABLE post ADD COLUMN edited_at INTEGER;      -- NULL: as it was published
ALTER TABLE post ADD COLUMN deleted_at INTEGER;     -- then its words, link and rule are gone; its key and digest stay
ALTER TABLE post ADD COLUMN gone INTEGER NOT NULL DEFAULT 0;  -- 1: deleted and without replies, so that nobody is shown it

-- Every edit there was, so that a repeat is told from a conflict, and an old one never undoes a newer one.
CREATE TABLE edit (
    key    TEXT    PRIMARY KEY,
    digest TEXT    NOT NULL,
    post   INTEGER NOT NULL REFERENCES post (id)
) STRICT, WITHOUT ROWID;

-- Edits and deletions in their order, for open pages.
CREATE TABLE change (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    post INTEGER NOT NULL REFERENCES post (id)
) STRICT;
