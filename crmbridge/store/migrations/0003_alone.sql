-- One failing thing fails alone: what cannot be interpreted is put aside with what was seen of it, and what ends the process is counted.

ALTER TABLE inbox ADD COLUMN record  TEXT;                        -- type/id of a record that was read and put aside; NULL: a webhook request
ALTER TABLE inbox ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0;  -- how often the process ended while this was interpreted
-- Of a record the newest state that was put aside counts.
CREATE UNIQUE INDEX inbox_record ON inbox (source, record) WHERE record IS NOT NULL;

ALTER TABLE deliveries ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0;  -- how often the process ended while this was made ready to be sent

-- What waits for a person, by what it is and why: counted every few seconds.
CREATE INDEX deliveries_kinds ON deliveries (state, destination, reason, look_at) WHERE state IN ('sending', 'held', 'unknown', 'dead');
-- Troubles have other names now: what lasts is told once more.
DELETE FROM alerts;

-- Records of polled sources during whose interpretation the process ended.
CREATE TABLE suspects (
    source      TEXT    NOT NULL,
    record_type TEXT    NOT NULL,
    record_id   TEXT    NOT NULL,
    crashes     INTEGER NOT NULL,
    at          INTEGER NOT NULL,          -- when it was last
    PRIMARY KEY (source, record_type, record_id)
) STRICT, WITHOUT ROWID;
