-- What happens in the CRM. A line `-- after N s: WORDS` says when, and what a colleague would call it.

-- after 1 s: The project team marks the roll-out at Parkers as live
UPDATE project SET status = 'live' WHERE id = 'P-1';

-- after 3 s: Ann Meyer, whom Susan knows from Parkers, is promoted
UPDATE contact SET title = 'Chief Financial Officer' WHERE id = 'C-1';

-- after 2 s: A phone number is corrected: nobody needs to hear of it
UPDATE contact SET mobile = '+44 7700 900456' WHERE id = 'C-1';

-- after 2 s: Tom closes the extension at Parkers
UPDATE opportunity SET stage = 'Closed Won', amount = 92000 WHERE id = 'O-1';

-- after 2 s: A new account, whose name tries to ping everyone
INSERT INTO account (id, name, city, owner) VALUES ('A-400', '<!channel> Söhne & Co', 'Graz', 'Mia Larsen');

-- after 2 s: A large contract is won at an account whose name looks like a web address
UPDATE opportunity SET stage = 'Closed Won' WHERE id = 'O-3';

-- after 2 s: The pilot at Nordlicht is lost
UPDATE opportunity SET stage = 'Closed Lost' WHERE id = 'O-2';
