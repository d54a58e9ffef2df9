-- Sessions of people. Their database has the tables `person (id, login, name, removed_at)` and
-- `session (digest, person, created_at, seen_at, agent, address)`.

-- name: add_session
-- A new token at every sign-in: one planted before it is worth nothing.
INSERT INTO session (digest, person, created_at, seen_at, agent, address) VALUES (:digest, :person, :now, :now, :agent, :address)

-- name: sessions
-- A person's own, the last used first.
SELECT digest, created_at, seen_at, agent, address FROM session
WHERE person = :person AND seen_at > :idle AND created_at > :oldest ORDER BY seen_at DESC, digest LIMIT 100

-- name: session
-- Who is behind a cookie, if it is neither idle nor old and the person is still here.
SELECT person.id, person.login, person.name, session.seen_at FROM session
JOIN person ON person.id = session.person
WHERE session.digest = :digest AND session.seen_at > :idle AND session.created_at > :oldest AND person.removed_at IS NULL

-- name: see_session
-- Written rarely: reading the feed must not write at every page.
UPDATE session SET seen_at = :now WHERE digest = :digest

-- name: drop_session
-- Sign-out.
DELETE FROM session WHERE digest = :digest

-- name: drop_sessions
-- Sign-out everywhere; `kept` is the session that asked, or empty.
DELETE FROM session WHERE person = :person AND digest <> :kept

-- name: drop_old_sessions
-- Housekeeping at every sign-in.
DELETE FROM session WHERE seen_at <= :idle OR created_at <= :oldest
