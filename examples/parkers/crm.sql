-- A small CRM kept in house: accounts with their people, deals and projects.
-- Every row carries the instant of its last change, to the millisecond; the triggers keep it.

CREATE TABLE account (
    id      TEXT PRIMARY KEY,
    name    TEXT NOT NULL,
    city    TEXT,
    owner   TEXT NOT NULL,
    changed TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);
CREATE TABLE contact (
    id      TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES account (id),
    name    TEXT NOT NULL,
    title   TEXT NOT NULL,
    mobile  TEXT,
    changed TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);
CREATE TABLE opportunity (
    id       TEXT PRIMARY KEY,
    account  TEXT NOT NULL REFERENCES account (id),
    name     TEXT NOT NULL,
    stage    TEXT NOT NULL,
    amount   NUMERIC,
    currency TEXT NOT NULL DEFAULT 'EUR',
    owner    TEXT NOT NULL,
    changed  TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);
CREATE TABLE project (
    id      TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES account (id),
    product TEXT NOT NULL,
    status  TEXT NOT NULL,
    lead    TEXT NOT NULL,
    users   INTEGER NOT NULL,
    changed TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);

CREATE TRIGGER account_changed AFTER UPDATE ON account WHEN NEW.changed = OLD.changed BEGIN
    UPDATE account SET changed = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id = NEW.id;
END;
CREATE TRIGGER contact_changed AFTER UPDATE ON contact WHEN NEW.changed = OLD.changed BEGIN
    UPDATE contact SET changed = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id = NEW.id;
END;
CREATE TRIGGER opportunity_changed AFTER UPDATE ON opportunity WHEN NEW.changed = OLD.changed BEGIN
    UPDATE opportunity SET changed = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id = NEW.id;
END;
CREATE TRIGGER project_changed AFTER UPDATE ON project WHEN NEW.changed = OLD.changed BEGIN
    UPDATE project SET changed = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id = NEW.id;
END;

INSERT INTO account (id, name, city, owner) VALUES
    ('A-100', 'Parkers', 'Leeds', 'Tom Becker'),
    ('A-200', 'Nordlicht', 'Bremen', 'Mia Larsen'),
    ('A-300', 'Booking.example', 'Utrecht', 'Tom Becker');
INSERT INTO contact (id, account, name, title, mobile) VALUES
    ('C-1', 'A-100', 'Ann Meyer', 'Head of Purchasing', '+44 7700 900123'),
    ('C-2', 'A-200', 'Jan Peters', 'Logistics Manager', '+49 151 5550100');
INSERT INTO opportunity (id, account, name, stage, amount, owner) VALUES
    ('O-1', 'A-100', 'Fleetline extension', 'Negotiation', 86000, 'Tom Becker'),
    ('O-2', 'A-200', 'Fleetline pilot', 'Proposal', 24500, 'Mia Larsen'),
    ('O-3', 'A-300', 'Support contract', 'Negotiation', 118000, 'Tom Becker');
INSERT INTO project (id, account, product, status, lead, users) VALUES
    ('P-1', 'A-100', 'Fleetline', 'rolling out', 'Priya Shah', 340),
    ('P-2', 'A-200', 'Fleetline', 'planned', 'Omar Haddad', 55);
