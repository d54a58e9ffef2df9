UPDATE ticket SET state = 'solved', updated_at = datetime('now') WHERE id = 7;
UPDATE ticket SET removed = 1, updated_at = datetime('now', '+1 second') WHERE id = 8;
INSERT INTO ticket VALUES (9, 1, 'New printer', 'open', datetime('now', '+2 seconds'), 0);
