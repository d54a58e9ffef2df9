-- name: channel_by_key
-- Identity of a channel is its key; two channels may share a title.
SELECT id, title FROM channel WHERE key = :key

-- name: add_channel
-- A channel is made when it is first spoken to.
INSERT INTO channel (key, code, title, folded, audience, created_at) VALUES (:key, :code, :title, :folded, :audience, :now)

-- name: retitle
-- The newest title wins: accounts are renamed in the CRM.
UPDATE channel SET title = :title, folded = :folded WHERE id = :id

-- name: post_by_key
-- Says whether a post with this key is there, and whether it says the same.
SELECT code, digest FROM post WHERE key = :key

-- name: parent_by_code
-- A reply belongs to the first post of its thread, and only within its own channel.
SELECT coalesce(parent, id) AS id FROM post WHERE code = :code AND channel = :channel

-- name: add_post
-- One post, by a rule or a person.
INSERT INTO post (code, key, digest, channel, parent, author, rule, source, record_type, record_id, text, link, occurred_at, published_at)
VALUES (:code, :key, :digest, :channel, :parent, :author, :rule, :source, :record_type, :record_id, :text, :link, :occurred_at, :now)

-- name: touch_channel
-- Keeps the list of channels in order of their last post without a scan of posts.
UPDATE channel SET last_post = :post WHERE id = :channel

-- name: posts_followed
-- The timeline: the newest page of each followed channel, then the newest of those; its cost does not grow with the feed.
SELECT post.id FROM follow
JOIN readable ON readable.channel = follow.channel AND readable.viewer = :viewer
JOIN post ON post.id IN (
    SELECT newest.id FROM post AS newest WHERE newest.channel = follow.channel AND newest.id < :before ORDER BY newest.id DESC LIMIT :count
)
WHERE follow.person = :viewer
ORDER BY post.id DESC LIMIT :count

-- name: posts_of_channel
-- One channel, newest first.
SELECT post.id FROM post
JOIN readable ON readable.channel = post.channel AND readable.viewer = :viewer
WHERE post.channel = :channel AND post.id < :before
ORDER BY post.id DESC LIMIT :count

-- name: news_followed
-- What a live timeline has not shown yet, oldest first.
SELECT post.id FROM post
JOIN readable ON readable.channel = post.channel AND readable.viewer = :viewer
JOIN follow ON follow.channel = post.channel AND follow.person = :viewer
WHERE post.id > :after
ORDER BY post.id LIMIT :count

-- name: news_of_channel
-- What a live channel page has not shown yet, oldest first.
SELECT post.id FROM post
JOIN readable ON readable.channel = post.channel AND readable.viewer = :viewer
WHERE post.channel = :channel AND post.id > :after
ORDER BY post.id LIMIT :count

-- name: replies
-- A thread, oldest first, as a conversation is read.
SELECT post.id FROM post
JOIN readable ON readable.channel = post.channel AND readable.viewer = :viewer
WHERE post.parent = :post AND post.id > :after
ORDER BY post.id LIMIT :count

-- name: post_by_code
-- The post an address names; missing and forbidden look the same.
SELECT post.id FROM post
JOIN readable ON readable.channel = post.channel AND readable.viewer = :viewer
WHERE post.code = :code

-- name: newest
-- Where a live page begins that names no last post.
SELECT coalesce(max(id), 0) AS id FROM post

-- name: post
-- All that is shown of one post.
SELECT post.id, post.code, post.rule, post.text, post.link, post.occurred_at, post.published_at,
    channel.code AS channel_code, channel.title AS channel_title,
    person.name AS author, post.author AS author_id,
    first.code AS parent_code, first.text AS parent_text,
    (SELECT count(*) FROM post AS reply WHERE reply.parent = post.id) AS replies
FROM post
JOIN readable ON readable.channel = post.channel AND readable.viewer = :viewer
JOIN channel ON channel.id = post.channel
LEFT JOIN person ON person.id = post.author
LEFT JOIN post AS first ON first.id = post.parent
WHERE post.id = :id

-- name: channel
-- A channel's page head; missing and forbidden look the same.
SELECT channel.id, channel.code, channel.title, channel.last_post, newest.published_at AS last_at,
    (SELECT count(*) FROM follow WHERE follow.channel = channel.id) AS followers,
    EXISTS (SELECT 1 FROM follow WHERE follow.channel = channel.id AND follow.person = :viewer) AS followed
FROM channel
JOIN readable ON readable.channel = channel.id AND readable.viewer = :viewer
LEFT JOIN post AS newest ON newest.id = channel.last_post
WHERE channel.code = :code

-- name: channels
-- All channels by their last post; `wanted` is a LIKE pattern over folded titles.
SELECT channel.id, channel.code, channel.title, channel.last_post, newest.published_at AS last_at,
    newest.text AS last_text,
    (SELECT count(*) FROM follow WHERE follow.channel = channel.id) AS followers,
    EXISTS (SELECT 1 FROM follow WHERE follow.channel = channel.id AND follow.person = :viewer) AS followed
FROM channel
JOIN readable ON readable.channel = channel.id AND readable.viewer = :viewer
LEFT JOIN post AS newest ON newest.id = channel.last_post
WHERE channel.folded LIKE :wanted ESCAPE '\' AND channel.last_post < :before
ORDER BY channel.last_post DESC LIMIT :count

-- name: channels_followed
-- The short list beside every page.
SELECT channel.code, channel.title FROM follow
JOIN readable ON readable.channel = follow.channel AND readable.viewer = :viewer
JOIN channel ON channel.id = follow.channel
WHERE follow.person = :viewer
ORDER BY channel.last_post DESC LIMIT :count

-- name: follow
-- Following twice is following.
INSERT INTO follow (person, channel, since) VALUES (:person, :channel, :now) ON CONFLICT DO NOTHING

-- name: unfollow
-- The posts stay; they only leave the timeline.
DELETE FROM follow WHERE person = :person AND channel = :channel

-- name: person_by_login
-- Someone who may sign in; removed people are nobody.
SELECT id, login, name, password FROM person WHERE login = :login AND removed_at IS NULL

-- name: people
-- Everyone who may sign in, for the administrator.
SELECT login, name, password IS NOT NULL AS has_password, created_at FROM person WHERE removed_at IS NULL ORDER BY login

-- name: add_person
-- A login is unique among those who are not removed.
INSERT INTO person (login, name, password, created_at) VALUES (:login, :name, :password, :now)

-- name: set_password
-- Ends with the person's sessions, in the same transaction.
UPDATE person SET password = :password WHERE id = :person

-- name: remove_person
-- The row stays, so that posts keep their author; the login is free again.
UPDATE person SET removed_at = :now, password = NULL WHERE id = :person

-- name: drop_follows
-- A removed person follows nothing.
DELETE FROM follow WHERE person = :person

-- name: add_session
-- A new token at every sign-in: one planted before it is worth nothing.
INSERT INTO session (digest, person, created_at, seen_at) VALUES (:digest, :person, :now, :now)

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

-- name: add_link
-- A link that signs in once.
INSERT INTO one_time_link (digest, person, expires_at) VALUES (:digest, :person, :expires)

-- name: take_link
-- Taken and gone in one statement: no second use, however fast.
DELETE FROM one_time_link WHERE digest = :digest RETURNING person, expires_at

-- name: drop_links
-- A removed person's links, and every link that is over.
DELETE FROM one_time_link WHERE person = :person OR expires_at <= :now
