-- Every statement of the store, each with what it does and why it is so. Read by crmbridge.schema.statements.

-- name: inbox_insert
-- Store a verified request, before its sender is answered.
INSERT INTO inbox (source, received_at, headers, query, body) VALUES (?, ?, ?, ?, ?)

-- name: inbox_waiting
-- List a source's requests that wait for interpretation, in order of arrival.
SELECT id, source, received_at, headers, query, body, record, crashes FROM inbox WHERE source = ? AND failure IS NULL AND id > ? ORDER BY id LIMIT ?

-- name: inbox_close
-- Remove requests with the transaction that records their changes. Takes a JSON list of ids: each statement is one more hand-over
-- between threads.
DELETE FROM inbox WHERE id IN (SELECT value FROM json_each(?))

-- name: inbox_fail
-- Keep for a person a request that nobody can interpret.
UPDATE inbox SET failure = ? WHERE id = ?

-- name: inbox_aside
-- Keep a record that cannot be interpreted, as it was seen. The newest state of a record replaces older ones.
INSERT INTO inbox (source, received_at, headers, query, body, failure, record) VALUES (?, ?, ?, '', ?, ?, ?)
ON CONFLICT (source, record) WHERE record IS NOT NULL
DO UPDATE SET received_at = excluded.received_at, headers = excluded.headers, body = excluded.body, failure = excluded.failure, crashes = 0

-- name: inbox_there
-- Ask whether a row that somebody tries again is still there.
SELECT count(*) FROM inbox WHERE id IN (SELECT value FROM json_each(?))

-- name: inbox_forget
-- Remove what was put aside of a record that is forgotten.
DELETE FROM inbox WHERE source = ? AND record = ?

-- name: suspects_old
-- Forget records that ended the process so long ago that nobody need handle them with care.
DELETE FROM suspects WHERE at < ?

-- name: inbox_mended
-- Remove records that were put aside and whose newer state could be interpreted.
DELETE FROM inbox WHERE source = ? AND record IN (SELECT value FROM json_each(?))

-- name: inbox_crashed
-- Count the requests that were interpreted when the process ended; one that did it too often is put aside. Takes a JSON list of ids.
UPDATE inbox SET crashes = crashes + 1, failure = iif(crashes + 1 >= :most, :why, NULL)
WHERE failure IS NULL AND id IN (SELECT value FROM json_each(:ids))

-- name: inbox_records
-- List the records that are put aside.
SELECT source, record, body FROM inbox WHERE record IS NOT NULL

-- name: suspects_put
-- Count a record of a polled source that was interpreted when the process ended.
INSERT INTO suspects (source, record_type, record_id, crashes, at) VALUES (?, ?, ?, 1, ?)
ON CONFLICT DO UPDATE SET crashes = crashes + 1, at = excluded.at

-- name: suspects_all
-- List the records that ended a process before; read at the start.
SELECT source, record_type, record_id, crashes FROM suspects

-- name: suspects_drop
-- Acquit a record that was interpreted, or put aside.
DELETE FROM suspects WHERE source = ? AND record_type = ? AND record_id = ?

-- name: deliveries_crashed
-- Queue again what was made ready when the process ended: no request was out. A delivery that did it too often is a dead letter. Takes a
-- JSON list of ids.
UPDATE deliveries SET crashes = crashes + 1, state = iif(crashes + 1 >= :most, 'dead', 'queued'),
  reason = iif(crashes + 1 >= :most, 'quarantined', reason), last_error = iif(crashes + 1 >= :most, :why, last_error)
WHERE state = 'sending' AND id IN (SELECT value FROM json_each(:ids))

-- name: delivery_unreadable
-- Make a dead letter of a delivery whose row cannot be read: nobody can publish it.
UPDATE deliveries SET state = 'dead', reason = 'quarantined', last_error = ? WHERE id = ? AND state = 'sending'

-- name: inbox_failed
-- List the requests and records that wait for a person.
SELECT id, source, received_at, failure, record FROM inbox WHERE failure IS NOT NULL AND id > ? ORDER BY id LIMIT ?

-- name: inbox_get
-- Read one request, for `show`.
SELECT id, source, received_at, headers, query, body, failure, record, crashes FROM inbox WHERE id = ? AND failure IS NOT NULL

-- name: inbox_retry
-- Let a request be interpreted again: a person says so.
UPDATE inbox SET failure = NULL, crashes = 0 WHERE failure IS NOT NULL AND id = ?

-- name: inbox_drop
-- Remove a request: a person says that it is of no use.
DELETE FROM inbox WHERE failure IS NOT NULL AND id = ?

-- name: source_get
-- Read how far a source was read.
SELECT cursor, baselined, polled_at FROM sources WHERE name = ?

-- name: source_all
-- Read how far all sources were read, for `status`.
SELECT name, cursor, baselined, polled_at FROM sources

-- name: source_move
-- Move a cursor, in the transaction that records what it has passed.
INSERT INTO sources (name, cursor, baselined, polled_at) VALUES (?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET cursor = excluded.cursor, baselined = excluded.baselined, polled_at = excluded.polled_at

-- name: observations_known
-- Find which ids of a JSON list were seen before.
SELECT observation_id, seen_at FROM observations WHERE source = ? AND observation_id IN (SELECT value FROM json_each(?))

-- name: observations_insert
-- Remember a JSON list of ids, for longer than their sender retries.
INSERT INTO observations (source, observation_id, seen_at) SELECT ?, value, ? FROM json_each(?) WHERE true ON CONFLICT DO NOTHING

-- name: snapshots_ids
-- List the records of a type that are there as far as we know, a page at a time. A walk through the source finds which of them are gone.
SELECT record_id FROM snapshots WHERE source = ? AND record_type = ? AND record_id > ? AND deleted = 0 ORDER BY record_id LIMIT ?

-- name: bodies_known
-- Read what told last of the records of a JSON list of [source, type, id].
SELECT source, record_type, record_id, digest, item, received_at FROM json_each(?) AS wanted CROSS JOIN bodies
WHERE source = json_extract(wanted.value, '$[0]') AND record_type = json_extract(wanted.value, '$[1]') AND record_id = json_extract(wanted.value, '$[2]')

-- name: bodies_put
-- Note what tells of records last now. Takes a JSON list of [source, type, id, digest, item, instant].
INSERT INTO bodies (source, record_type, record_id, digest, item, received_at)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM json_each(?) WHERE true
ON CONFLICT DO UPDATE SET digest = excluded.digest, item = excluded.item, received_at = excluded.received_at

-- name: bodies_drop
-- Forget what told of records last: something else told of them since, or nobody could interpret it. Takes a JSON list of [source, type,
-- id].
DELETE FROM bodies WHERE (source, record_type, record_id) IN (SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?))

-- name: repeats_put
-- Count repeats: one row for each, however often it comes again. Takes a JSON list of [id, source, type, same, name, first, last,
-- count].
INSERT INTO repeats (record_id, source, record_type, same, name, first_at, last_at, count)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7 FROM json_each(?) WHERE true
ON CONFLICT DO UPDATE SET first_at = excluded.first_at, last_at = excluded.last_at, count = count + excluded.count

-- name: repeats_of
-- List what came again of a record, for `explain`.
SELECT source, record_type, record_id, same, name, first_at, last_at, count FROM repeats WHERE record_id = ? ORDER BY last_at DESC LIMIT ?

-- name: walks_known
-- List the walks through a source that came to an end once.
SELECT record_type, compared FROM walks WHERE source = ?

-- name: walks_ended
-- Note that a walk came to its end: from now on what such a walk finds is news.
INSERT INTO walks (source, record_type, compared, ended_at) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET ended_at = excluded.ended_at

-- name: snapshots_get
-- Read the snapshots of a JSON list of [source, type, id]. CROSS JOIN: the list leads, the primary key follows.
SELECT source, record_type, record_id, revision, version, deleted, fields
FROM json_each(?) AS wanted CROSS JOIN snapshots
WHERE source = json_extract(wanted.value, '$[0]') AND record_type = json_extract(wanted.value, '$[1]') AND record_id = json_extract(wanted.value, '$[2]')

-- name: snapshots_conflict
-- Find a record that has another revision by now than was assumed. Takes a JSON list of [source, type, id, assumed revision]; null: no
-- snapshot.
SELECT 1 FROM json_each(?) AS wanted LEFT JOIN snapshots
ON source = wanted.value ->> 0 AND record_type = wanted.value ->> 1 AND record_id = wanted.value ->> 2
WHERE revision IS NOT wanted.value ->> 3 LIMIT 1

-- name: snapshots_put
-- Write the snapshots of records.
INSERT INTO snapshots (source, record_type, record_id, revision, version, deleted, fields) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET revision = excluded.revision, version = excluded.version, deleted = excluded.deleted, fields = excluded.fields

-- name: events_insert
-- Write changes into the journal. An id that is there already is the same change.
INSERT INTO events (id, source, record_type, record_id, revision, kind, occurred_at, recorded_at, actor, url, fields, before)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO NOTHING

-- name: event_get
-- Read one change, to render its messages again.
SELECT * FROM events WHERE id = ?

-- name: events_after
-- List changes behind a number, for `tail`.
SELECT * FROM events WHERE seq > ? ORDER BY seq LIMIT ?

-- name: events_since
-- List changes from an instant, for `replay`. Numbers grow with the time of recording, so the first row found is where to begin.
SELECT * FROM events WHERE seq >= (SELECT min(seq) FROM events INDEXED BY events_recorded WHERE recorded_at >= ?) ORDER BY seq LIMIT ?

-- name: events_of
-- List the changes of a record, for `explain`.
SELECT * FROM events WHERE source = ? AND record_type = ? AND record_id = ? ORDER BY seq DESC LIMIT ?

-- name: records_named
-- Find records by their id alone: people know it, and not where it is from. Sources and types are few, and stepped over one by one.
WITH RECURSIVE kind (pair) AS (
  SELECT (SELECT json_array(source, record_type) FROM snapshots ORDER BY source, record_type LIMIT 1)
  UNION ALL
  SELECT (SELECT json_array(source, record_type) FROM snapshots WHERE (source, record_type) > (kind.pair ->> 0, kind.pair ->> 1)
          ORDER BY source, record_type LIMIT 1) FROM kind WHERE pair IS NOT NULL)
SELECT s.source, s.record_type, s.record_id FROM kind CROSS JOIN snapshots AS s
WHERE s.source = kind.pair ->> 0 AND s.record_type = kind.pair ->> 1 AND s.record_id = ? LIMIT ?

-- name: snapshots_after
-- Read snapshots a page at a time, so that no read is long; for `explain` with a name.
SELECT source, record_type, record_id, revision, version, deleted, fields FROM snapshots
WHERE (source, record_type, record_id) > (?, ?, ?) ORDER BY source, record_type, record_id LIMIT ?

-- name: events_last
-- Find the number of the newest change, where `tail` begins.
SELECT coalesce(max(seq), 0) FROM events

-- name: deliveries_insert
-- Accept deliveries, each key once, whether it is still in the outbox or only its receipt is left.
INSERT INTO deliveries (key, event_id, generation, destination, channel, record, rule, step, thread, message, state, reason, due, last_error,
  accepted_at, expires_at, held_at, settled_at)
SELECT * FROM (VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)) AS new
WHERE NOT EXISTS (SELECT 1 FROM receipts WHERE key = new.column1)
ON CONFLICT (key) DO NOTHING

-- name: lanes
-- List a destination's lanes from :start to before :stop that have something queued, each with its earliest deliveries as JSON. Left out
-- are those of paused rules, those that wait for an earlier one of their record, and replies in a thread of which something is held. One
-- statement steps over the lanes, so that 20,000 of them cost milliseconds.
WITH RECURSIVE lane (channel) AS (
  SELECT min(channel) FROM deliveries INDEXED BY deliveries_queued WHERE state = 'queued' AND destination = :destination AND channel >= :start
  UNION ALL
  SELECT (SELECT min(channel) FROM deliveries INDEXED BY deliveries_queued
          WHERE state = 'queued' AND destination = :destination AND channel > lane.channel)
  FROM lane WHERE lane.channel IS NOT NULL)
SELECT channel, (
  SELECT json_group_array(json_object(
    'id', id, 'key', key, 'event_id', event_id, 'generation', generation, 'message', message, 'reason', reason, 'due', due,
    'attempts', attempts, 'last_error', last_error, 'accepted_at', accepted_at, 'expires_at', expires_at,
    'crashes', crashes, 'parent', coalesce(json(parent), iif(thread IS NULL, NULL, (
      SELECT json_object('remote_id', remote_id, 'url', url, 'extra', json(extra)) FROM receipts
      WHERE destination = :destination AND channel = lane.channel AND thread = first.thread AND remote_id <> '' AND retracted_at IS NULL
      ORDER BY published_at, key LIMIT 1)))))
  FROM (
    SELECT d.* FROM deliveries AS d INDEXED BY deliveries_queued
    WHERE d.state = 'queued' AND d.destination = :destination AND d.channel = lane.channel
      AND d.rule NOT IN (SELECT name FROM pauses WHERE kind = 'rule')
      AND NOT EXISTS (
        SELECT 1 FROM deliveries AS earlier INDEXED BY deliveries_open
        WHERE earlier.destination = d.destination AND earlier.channel = d.channel AND earlier.record = d.record
          AND earlier.id < d.id AND earlier.state IN ('queued', 'sending', 'unknown'))
      AND (d.thread IS NULL OR NOT EXISTS (
        SELECT 1 FROM deliveries AS held INDEXED BY deliveries_record
        WHERE held.record = d.record AND held.id < d.id AND held.state = 'held'
          AND held.thread = d.thread AND held.destination = d.destination AND held.channel = d.channel))
    ORDER BY d.due, d.id LIMIT :limit) AS first)
FROM lane WHERE channel IS NOT NULL AND (:stop IS NULL OR channel < :stop) AND channel NOT IN (SELECT value FROM json_each(:skip))

-- name: deliveries_lease
-- Mark deliveries as sending before their requests: after a crash we know that they may have been sent. What they reply to is kept from
-- the first attempt on, so that a repeat is the same to the byte.
UPDATE deliveries SET state = 'sending', attempts = attempts + 1, parent = coalesce(parent, ?) WHERE id IN (SELECT value FROM json_each(?))

-- name: deliveries_expire
-- End deliveries that are too old to be said and were not tried since they were due. Takes a JSON list of ids.
UPDATE deliveries SET state = 'dead', reason = 'expired', last_error = 'it was not said within its max_age' WHERE id IN (SELECT value FROM json_each(?))

-- name: deliveries_settle
-- Record what attempts led to. Takes a JSON list of [id, state, reason, due, error, uncounted attempts, settled_at, doubt_from,
-- look_at].
WITH ended AS MATERIALIZED (
  SELECT value ->> 0 AS id, value ->> 1 AS state, value ->> 2 AS reason, value ->> 3 AS due, value ->> 4 AS error,
    value ->> 5 AS uncounted, value ->> 6 AS settled_at, value ->> 7 AS doubt_from, value ->> 8 AS look_at FROM json_each(?))
UPDATE deliveries SET state = ended.state, reason = ended.reason, due = ended.due, last_error = ended.error,
  attempts = attempts - ended.uncounted, settled_at = ended.settled_at, doubt_from = coalesce(ended.doubt_from, deliveries.doubt_from),
  look_at = ended.look_at, looks = 0, crashes = 0
FROM ended WHERE deliveries.id = ended.id AND deliveries.state = 'sending'

-- name: thread_anew
-- End a thread whose first message is gone: nothing said in it so far is answered or edited any more. It does nothing where another
-- delivery has found that out before.
UPDATE receipts SET thread = NULL
WHERE destination = :destination AND channel = :channel AND thread = :thread AND :gone = (
  SELECT remote_id FROM receipts AS head WHERE head.destination = :destination AND head.channel = :channel AND head.thread = :thread
    AND head.remote_id <> '' AND head.retracted_at IS NULL ORDER BY head.published_at, head.key LIMIT 1)

-- name: delivery_anew
-- Let a delivery reply to nothing. Its next attempt finds what is first in its thread by then.
UPDATE deliveries SET parent = iif(state = 'delivered', 'null', NULL) WHERE id = ?

-- name: attempts_insert
-- Record why an attempt failed, and when.
INSERT INTO attempts (delivery, number, ended_at, outcome, error) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET ended_at = excluded.ended_at, outcome = excluded.outcome, error = excluded.error

-- name: attempts_of
-- List the failed attempts of a delivery, for `show`.
SELECT number, ended_at, outcome, error FROM attempts WHERE delivery = ? ORDER BY number

-- name: receipts_insert
-- Keep the proof of a publication.
INSERT INTO receipts (key, destination, channel, thread, remote_id, url, extra, published_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING

-- name: receipt_get
-- Read the proof of a publication, for `show`.
SELECT remote_id, url, extra FROM receipts WHERE key = ?

-- name: receipt_first_of_thread
-- Find the message that a reply replies to.
SELECT remote_id, url, extra FROM receipts WHERE destination = ? AND channel = ? AND thread = ? AND remote_id <> '' AND retracted_at IS NULL ORDER BY published_at, key LIMIT 1

-- name: interrupted
-- List the attempts whose end nobody recorded: the process died.
SELECT * FROM deliveries INDEXED BY deliveries_watched
WHERE state IN ('sending', 'held', 'unknown', 'dead') AND state = 'sending' AND (:destination IS NULL OR destination = :destination)
ORDER BY id

-- name: wait_put
-- Extend a wait. It is never shortened, and a person's pause stays.
INSERT INTO waits (destination, channel, until, reason, since) VALUES (:destination, :channel, :until, :reason, :since)
ON CONFLICT DO UPDATE SET until = :until, reason = :reason, since = :since
WHERE :until > waits.until

-- name: pause_end
-- End the pause of a destination on which a person has acted. Its network's own waits stay.
DELETE FROM waits WHERE destination = ? AND until IS NULL

-- name: waits_all
-- List all waits; read at the start, and for `status`.
SELECT destination, channel, until, reason, since FROM waits

-- name: delivery_get
-- Find one delivery by its number or its key.
SELECT * FROM deliveries WHERE id = :id OR key = :key

-- name: delivery_requeue
-- Queue a delivery again: a person says so.
UPDATE deliveries SET state = 'queued', reason = :reason, due = :due, message = :message, channel = :channel, thread = :thread, parent = iif(message = :message, parent, NULL), settled_at = NULL,
  expires_at = iif(reason = 'expired' OR expires_at <= :due, NULL, expires_at), look_at = NULL, crashes = 0
WHERE id = :id AND state IN ('dead', 'unknown')

-- name: delivery_publish
-- Record that a delivery is published: a person says so.
UPDATE deliveries SET state = 'delivered', reason = :reason, settled_at = :now, look_at = NULL WHERE id = :id AND state = 'unknown'

-- name: counts
-- Count open and dead deliveries by what they are and why. Each part reads one partial index and no row.
SELECT destination, state, '', 0, count(*) FROM deliveries INDEXED BY deliveries_queued WHERE state = 'queued' GROUP BY destination
UNION ALL
SELECT destination, state, substr(reason, 1, instr(reason || ':', ':') - 1) AS kind, look_at IS NOT NULL AS looked_for, count(*)
FROM deliveries INDEXED BY deliveries_kinds WHERE state IN ('sending', 'held', 'unknown', 'dead')
GROUP BY destination, state, kind, looked_for

-- name: oldest_queued
-- Find how long the oldest delivery has been waiting, by destination.
SELECT destination, min(accepted_at) FROM deliveries INDEXED BY deliveries_queued WHERE state = 'queued' GROUP BY destination

-- name: inbox_counts
-- Count what waits and what failed, requests and records apart, with the oldest of each; for `status`.
SELECT source, failure IS NOT NULL, record IS NOT NULL, count(*), min(received_at) FROM inbox GROUP BY 1, 2, 3

-- name: purge_events
-- Remove changes that are past their time, in small bites. What is still to be said keeps its change.
DELETE FROM events WHERE seq IN (
  SELECT seq FROM events WHERE recorded_at < ? AND id NOT IN (
    SELECT event_id FROM deliveries INDEXED BY deliveries_watched WHERE state IN ('sending', 'held', 'unknown', 'dead')
    UNION ALL SELECT event_id FROM deliveries INDEXED BY deliveries_queued WHERE state = 'queued')
  ORDER BY recorded_at LIMIT ?)

-- name: purge_deliveries
-- Remove deliveries that are past their time. Their receipts stay.
DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries WHERE settled_at < ? ORDER BY settled_at LIMIT ?)

-- name: purge_observations
-- Remove observation ids that are past their time.
DELETE FROM observations WHERE (source, observation_id) IN (SELECT source, observation_id FROM observations WHERE seen_at < ? ORDER BY seen_at LIMIT ?)

-- name: purge_bodies
-- Remove what told last of records and is past its time.
DELETE FROM bodies WHERE (source, record_type, record_id) IN (SELECT source, record_type, record_id FROM bodies WHERE received_at < ? ORDER BY received_at LIMIT ?)

-- name: purge_repeats
-- Remove repeats that are past their time.
DELETE FROM repeats WHERE (record_id, source, record_type, same, name) IN (
  SELECT record_id, source, record_type, same, name FROM repeats WHERE last_at < ? ORDER BY last_at LIMIT ?)

-- name: probe_put
-- Write some pages, to learn whether the disk takes them again. A statement that changes nothing succeeds on a full disk too.
INSERT INTO waits (destination, channel, until, reason, since) VALUES ('', '', 0, hex(zeroblob(16384)), 0)

-- name: probe_remove
-- Remove what the probe wrote.
DELETE FROM waits WHERE destination = ''

-- name: doubted
-- List lost answers to be looked for, the longest overdue first. One more than asked for tells when the next one is due.
SELECT * FROM deliveries INDEXED BY deliveries_doubted WHERE destination = ? AND look_at IS NOT NULL AND state = 'unknown' ORDER BY look_at LIMIT ?

-- name: delivery_looked
-- Record that a message was not found.
UPDATE deliveries SET look_at = :again, looks = looks + 1 WHERE id = :id AND state = 'unknown'

-- name: spent
-- Count what a cap counts: the publications since an instant.
SELECT count(*) FROM receipts WHERE destination = ? AND published_at >= ?

-- name: deliveries_in
-- Find the ids of open and dead deliveries in a selection, and of unsaid ones if they are asked for.
WITH open AS (
  SELECT * FROM deliveries INDEXED BY deliveries_watched WHERE state IN ('sending', 'held', 'unknown', 'dead')
  UNION ALL SELECT * FROM deliveries INDEXED BY deliveries_queued WHERE state = 'queued'
  UNION ALL SELECT * FROM deliveries INDEXED BY deliveries_settled
    WHERE instr(:states, 'unsaid') AND settled_at IS NOT NULL AND state = 'unsaid')
SELECT id FROM open
WHERE state IN (SELECT value FROM json_each(:states))
  AND (:ids IS NULL OR id IN (SELECT value FROM json_each(:ids)))
  AND (:destination IS NULL OR destination = :destination) AND (:channel IS NULL OR channel = :channel)
  AND (:rule IS NULL OR rule = :rule) AND (:record IS NULL OR record = :record)
  AND (:reason IS NULL OR substr(reason, 1, length(:reason)) = :reason)
  AND (:since IS NULL OR accepted_at >= :since) AND (:until IS NULL OR accepted_at < :until) AND id > :after
ORDER BY id * :direction LIMIT :limit

-- name: deliveries_rows
-- Read the deliveries of a JSON list of ids.
SELECT * FROM deliveries WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id

-- name: deliveries_count
-- Count the deliveries that an order would touch.
WITH open AS (
  SELECT * FROM deliveries INDEXED BY deliveries_watched WHERE state IN ('sending', 'held', 'unknown', 'dead')
  UNION ALL SELECT * FROM deliveries INDEXED BY deliveries_queued WHERE state = 'queued'
  UNION ALL SELECT * FROM deliveries INDEXED BY deliveries_settled
    WHERE instr(:states, 'unsaid') AND settled_at IS NOT NULL AND state = 'unsaid')
SELECT count(*) FROM open
WHERE state IN (SELECT value FROM json_each(:states))
  AND (:ids IS NULL OR id IN (SELECT value FROM json_each(:ids)))
  AND (:destination IS NULL OR destination = :destination) AND (:channel IS NULL OR channel = :channel)
  AND (:rule IS NULL OR rule = :rule) AND (:record IS NULL OR record = :record)
  AND (:reason IS NULL OR substr(reason, 1, length(:reason)) = :reason)
  AND (:since IS NULL OR accepted_at >= :since) AND (:until IS NULL OR accepted_at < :until)

-- name: deliveries_hold
-- Hold queued deliveries: a person, a flood or a cap says so.
UPDATE deliveries SET state = 'held', reason = :why, held_at = :now WHERE id IN (SELECT value FROM json_each(:chosen)) AND state = 'queued'

-- name: deliveries_release
-- Queue held deliveries: a person says so. Their age stood still meanwhile.
UPDATE deliveries SET state = 'queued', reason = '', due = :now, expires_at = expires_at + :now - held_at, held_at = NULL
WHERE id IN (SELECT value FROM json_each(:chosen)) AND state = 'held'

-- name: deliveries_drop
-- Leave deliveries unsaid: a person says so.
UPDATE deliveries SET state = 'unsaid', reason = :why, settled_at = :now, look_at = NULL
WHERE id IN (SELECT value FROM json_each(:chosen)) AND state IN ('queued', 'held', 'unknown', 'dead')

-- name: deliveries_older
-- Find the deliveries of a JSON list of ids that have a newer queued one of the same rule, step, channel and record.
SELECT old.id FROM deliveries AS old WHERE old.id IN (SELECT value FROM json_each(?)) AND EXISTS (
  SELECT 1 FROM deliveries AS new INDEXED BY deliveries_open
  WHERE new.destination = old.destination AND new.channel = old.channel AND new.record = old.record AND new.id > old.id
    AND new.state IN ('queued', 'sending', 'unknown') AND new.state = 'queued' AND new.rule = old.rule AND new.step = old.step)

-- name: deliveries_of
-- List the deliveries about a record, for `explain`.
SELECT * FROM deliveries INDEXED BY deliveries_record WHERE record = ? ORDER BY id DESC LIMIT ?

-- name: deliveries_published
-- List what was published and not taken back, newest first, behind a number.
SELECT d.*, r.published_at FROM deliveries AS d INDEXED BY deliveries_settled JOIN receipts AS r ON r.key = d.key
WHERE d.settled_at IS NOT NULL AND d.state = 'delivered' AND r.retracted_at IS NULL
  AND (:ids IS NULL OR d.id IN (SELECT value FROM json_each(:ids)))
  AND (:destination IS NULL OR d.destination = :destination) AND (:channel IS NULL OR d.channel = :channel)
  AND (:rule IS NULL OR d.rule = :rule) AND (:record IS NULL OR d.record = :record)
  AND (:since IS NULL OR d.settled_at >= :since) AND (:until IS NULL OR d.settled_at < :until) AND (:below IS NULL OR d.id < :below)
ORDER BY d.id DESC LIMIT :limit

-- name: receipts_named
-- Find our keys by what a network calls its messages.
SELECT key FROM receipts INDEXED BY receipts_remote WHERE remote_id = ? AND remote_id <> key

-- name: receipt_retract
-- Record that a message was taken back.
UPDATE receipts SET retracted_at = ? WHERE key = ?

-- name: pauses_all
-- List a person's pauses; read at the start, and for `status`.
SELECT kind, name, reason, since FROM pauses ORDER BY since

-- name: pause_put
-- Record a person's pause. The first reason stands.
INSERT INTO pauses (kind, name, reason, since) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING

-- name: pause_drop
-- End a person's pause.
DELETE FROM pauses WHERE kind = ? AND name = ?

-- name: alerts_all
-- List the troubles that people were told of.
SELECT name, since FROM alerts

-- name: alert_put
-- Record that people are told of a trouble.
INSERT INTO alerts (name, since) VALUES (?, ?) ON CONFLICT DO NOTHING

-- name: alert_drop
-- Record that a trouble is over.
DELETE FROM alerts WHERE name = ?

-- name: recent
-- List what was accepted lately, which a flood guard must know after a restart. The last rows are the last accepted.
SELECT rule, destination, channel, accepted_at, state = 'held' AND reason = 'surge' FROM deliveries
WHERE id > (SELECT max(id) FROM deliveries) - ? AND accepted_at >= ? ORDER BY id

-- name: identity
-- Read whose database this is.
SELECT instance, epoch FROM identity

-- name: identity_put
-- Make the database ours, from this start on.
INSERT INTO identity (instance, epoch) VALUES (?, ?)

-- name: identity_drop
-- Remove the row that says whose it is; there is one.
DELETE FROM identity

-- name: sending_of
-- Ask whether something of a record is being sent, so that it may not be forgotten now.
SELECT count(*) FROM deliveries INDEXED BY deliveries_record WHERE record = ? AND state = 'sending'

-- name: forget_receipts
-- Remove a record's receipts. They are found by its deliveries, so this goes before them.
DELETE FROM receipts WHERE key IN (SELECT key FROM deliveries INDEXED BY deliveries_record WHERE record = ?)

-- name: forget_deliveries
-- Remove a record's deliveries with their attempts.
DELETE FROM deliveries WHERE record = ?

-- name: forget_events
-- Remove a record's changes, with its old values and new ones.
DELETE FROM events WHERE source = ? AND record_type = ? AND record_id = ?

-- name: forget_snapshots
-- Remove a record's snapshot.
DELETE FROM snapshots WHERE source = ? AND record_type = ? AND record_id = ?

-- name: forget_bodies
-- Remove what told of a record last.
DELETE FROM bodies WHERE source = ? AND record_type = ? AND record_id = ?

-- name: forget_repeats
-- Remove what came again of a record.
DELETE FROM repeats WHERE source = ? AND record_type = ? AND record_id = ?

-- name: keys_known
-- Find the keys that a replay need not say again.
SELECT key FROM deliveries WHERE key IN (SELECT value FROM json_each(:keys))
UNION SELECT key FROM receipts WHERE key IN (SELECT value FROM json_each(:keys))

-- name: shift_queued
-- Move the instants of deliveries when the clock was set back: a wait of so many seconds stays one of so many.
UPDATE deliveries SET due = max(:now, due + :by) WHERE state = 'queued' AND due > :now

-- name: shift_doubted
-- Move the instants at which lost answers are looked for.
UPDATE deliveries SET look_at = max(:now, look_at + :by) WHERE look_at IS NOT NULL AND look_at > :now

-- name: shift_waits
-- Move the waits that networks asked for.
UPDATE waits SET until = max(:now, until + :by) WHERE until > :now

-- name: order_insert
-- Write an order down before it is carried out, so that an end in between shows.
INSERT INTO orders (verb, arguments, meant, actor, door, began_at, last_at) VALUES (:verb, :arguments, :meant, :actor, :door, :now, :now)

-- name: order_reopen
-- Go on with an order that the same person was at just now: its next bite.
UPDATE orders SET running = 1, last_at = :now
WHERE id = :id AND verb = :verb AND meant = :meant AND actor = :actor AND door = :door
  AND ended_at IS NULL AND NOT running AND last_at >= :since

-- name: order_counts
-- Record what an order came to so far.
SELECT counts FROM orders WHERE id = ?

-- name: order_end
-- End a bite of an order, and the order unless there is more to do.
UPDATE orders SET running = 0, last_at = :now, counts = :counts, error = :error,
  ended_at = CASE WHEN :more THEN NULL ELSE :now END WHERE id = :id

-- name: orders_cut_short
-- Mark the orders whose process is gone. A backup holds its own order, half done: where it was restored, that is no order to repeat.
UPDATE orders SET running = 0, ended_at = :now, error = iif(verb = 'backup', 'this database may be the backup that it made', :error)
WHERE ended_at IS NULL

-- name: orders_given
-- List orders, the newest first.
SELECT * FROM orders WHERE (:since IS NULL OR began_at >= :since) AND (:id IS NULL OR id = :id) ORDER BY id DESC LIMIT :limit

-- name: forget_orders
-- Remove a record's name from the orders that named it.
UPDATE orders SET arguments = replace(arguments, json_quote(:record), '"***"') WHERE instr(arguments, json_quote(:record))

-- name: purge_orders
-- Remove orders that are past their time and no longer carried out.
DELETE FROM orders WHERE id IN (SELECT id FROM orders WHERE began_at < ? AND NOT running ORDER BY began_at LIMIT ?)
