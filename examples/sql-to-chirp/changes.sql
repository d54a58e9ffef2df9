UPDATE ticket SET state = 'solved', updated_at = '2026-11-02 10:00:00' WHERE id = 7;
UPDATE ticket SET removed = 1, updated_at = '2026-11-02 10:00:01' WHERE id = 8;
INSERT INTO ticket VALUES (9, 1, 'New printer', 'open', '2026-11-02 10:00:02', 0);
