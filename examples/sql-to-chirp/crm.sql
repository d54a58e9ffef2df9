CREATE TABLE party (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE ticket (
    id         INTEGER PRIMARY KEY,
    party      INTEGER NOT NULL REFERENCES party (id),
    subject    TEXT NOT NULL,
    state      TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    removed    INTEGER NOT NULL DEFAULT 0
);
INSERT INTO party VALUES (1, 'Parkers'), (2, 'Nordlicht');
INSERT INTO ticket VALUES (7, 1, 'Slow reports', 'open', '2026-11-01 08:00:00', 0), (8, 2, 'Cannot sign in', 'open', '2026-11-01 08:05:00', 0);
