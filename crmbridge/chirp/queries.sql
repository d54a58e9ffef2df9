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
SELECT code, digest, parent FROM post WHERE key = :key

-- name: parent_by_code
-- A reply belongs to the first post of its thread, only within its own channel, and not to one that nobody is shown.
SELECT first.id FROM post
JOIN post AS first ON first.id = coalesce(post.parent, post.id)
WHERE post.code = :code AND post.channel = :channel AND NOT first.gone

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
    SELECT newest.id FROM post AS newest WHERE newest.channel = follow.channel AND newest.id < :before AND NOT newest.gone
    ORDER BY newest.id DESC LIMIT :count
)
WHERE follow.person = :viewer
ORDER BY post.id DESC LIMIT :count

-- name: posts_of_channel
-- One channel, newest first.
SELECT post.id FROM post
JOIN readable ON readable.channel = post.channel AND readable.viewer = :viewer
WHERE post.channel = :channel AND post.id < :before AND NOT post.gone
ORDER BY post.id DESC LIMIT :count

-- name: news_followed
-- What a live timeline has not shown yet, oldest first.
SELECT post.id FROM post
JOIN readable ON readable.channel = post.channel AND readable.viewer = :viewer
JOIN follow ON follow.channel = post.channel AND follow.person = :viewer
WHERE post.id > :after AND NOT post.gone
ORDER BY post.id LIMIT :count

-- name: news_of_channel
-- What a live channel page has not shown yet, oldest first.
SELECT post.id FROM post
JOIN readable ON readable.channel = post.channel AND readable.viewer = :viewer
WHERE post.channel = :channel AND post.id > :after AND NOT post.gone
ORDER BY post.id LIMIT :count

-- name: replies
-- A thread, oldest first, as a conversation is read.
SELECT post.id FROM post
JOIN readable ON readable.channel = post.channel AND readable.viewer = :viewer
WHERE post.parent = :post AND post.id > :after AND NOT post.gone
ORDER BY post.id LIMIT :count

-- name: post_by_code
-- The post an address names; missing and forbidden look the same.
SELECT post.id FROM post
JOIN readable ON readable.channel = post.channel AND readable.viewer = :viewer
WHERE post.code = :code AND NOT post.gone

-- name: newest
-- Where a live page begins that names no last post.
SELECT coalesce(max(id), 0) AS id FROM post

-- name: post
-- All that is shown of one post.
SELECT post.id, post.code, post.rule, post.text, post.link, post.occurred_at, post.published_at,
    post.edited_at, post.deleted_at IS NOT NULL AS deleted,
    channel.code AS channel_code, channel.title AS channel_title,
    person.name AS author, post.author AS author_id,
    first.code AS parent_code, first.text AS parent_text,
    (SELECT count(*) FROM post AS reply WHERE reply.parent = post.id AND reply.deleted_at IS NULL) AS replies
FROM post
JOIN readable ON readable.channel = post.channel AND readable.viewer = :viewer
JOIN channel ON channel.id = post.channel
LEFT JOIN person ON person.id = post.author
LEFT JOIN post AS first ON first.id = post.parent
WHERE post.id = :id

-- name: own_post
-- A post of the bridge itself; people's posts are theirs.
SELECT id, parent, channel, deleted_at FROM post WHERE code = :code AND author IS NULL

-- name: edit_by_key
-- Says whether this edit was made, and whether it says the same.
SELECT digest FROM edit WHERE key = :key

-- name: add_edit
-- Kept for ever: a repeat may come late.
INSERT INTO edit (key, digest, post) VALUES (:key, :digest, :post)

-- name: edit_post
-- The words only: place, thread and the instant of publication stay.
UPDATE post SET text = :text, link = :link, rule = :rule, occurred_at = :occurred_at, edited_at = :now WHERE id = :id

-- name: delete_post
-- The words are gone for good; a post with replies still holds its place in the thread.
UPDATE post SET deleted_at = :now, text = '[]', link = NULL, rule = '',
    gone = NOT EXISTS (SELECT 1 FROM post AS reply WHERE reply.parent = post.id AND reply.deleted_at IS NULL)
WHERE id = :id

-- name: let_go
-- A deleted first post goes with its last reply.
UPDATE post SET gone = 1 WHERE id = :id AND deleted_at IS NOT NULL AND NOT gone
    AND NOT EXISTS (SELECT 1 FROM post AS reply WHERE reply.parent = post.id AND reply.deleted_at IS NULL)

-- name: untouch_channel
-- If the deleted post was the last of its channel, the one before it is now.
UPDATE channel SET last_post = coalesce(
    (SELECT post.id FROM post WHERE post.channel = :channel AND post.deleted_at IS NULL ORDER BY post.id DESC LIMIT 1), 0)
WHERE id = :channel AND last_post = :post

-- name: add_change
-- One line for each edit and deletion.
INSERT INTO change (post) VALUES (:post)

-- name: newest_change
-- Where a live page begins that names no last change.
SELECT coalesce(max(id), 0) AS id FROM change

-- name: changes_followed
-- What a live timeline shows otherwise by now.
SELECT change.id, post.code, post.gone FROM change
JOIN post ON post.id = change.post
JOIN readable ON readable.channel = post.channel AND readable.viewer = :viewer
JOIN follow ON follow.channel = post.channel AND follow.person = :viewer
WHERE change.id > :after
ORDER BY change.id LIMIT :count

-- name: changes_of_channel
-- What a live channel page shows otherwise by now.
SELECT change.id, post.code, post.gone FROM change
JOIN post ON post.id = change.post
JOIN readable ON readable.channel = post.channel AND readable.viewer = :viewer
WHERE post.channel = :channel AND change.id > :after
ORDER BY change.id LIMIT :count

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

-- name: add_link
-- A link that signs in once.
INSERT INTO one_time_link (digest, person, expires_at) VALUES (:digest, :person, :expires)

-- name: link
-- Whom a link would sign in.
SELECT person.name FROM one_time_link JOIN person ON person.id = one_time_link.person
WHERE one_time_link.digest = :digest AND one_time_link.expires_at > :now AND person.removed_at IS NULL

-- name: take_link
-- Taken and gone in one statement: no second use, however fast.
DELETE FROM one_time_link WHERE digest = :digest RETURNING person, expires_at

-- name: drop_links
-- The links of a person who was removed or has a new password, and every link that is over.
DELETE FROM one_time_link WHERE person = :person OR expires_at <= :now
