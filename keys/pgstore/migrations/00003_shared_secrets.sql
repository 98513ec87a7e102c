-- What all gates need to recognize what one of them has signed or encrypted.

-- +goose Up

-- The key IDs of the secrets that encrypt parts of bodies. The secrets are not in the database: each gate has them in a file or an option.
CREATE TABLE encryption_keys (
	id      text COLLATE "C" PRIMARY KEY,
	current boolean NOT NULL -- encrypts
);
CREATE UNIQUE INDEX encryption_keys_current ON encryption_keys (current) WHERE current;

-- The gates that are running, and the key IDs of the secrets that they have.
CREATE TABLE gates (
	id   text COLLATE "C" PRIMARY KEY, -- random, of a process
	name text NOT NULL,                -- for operators
	keys text[] NOT NULL,
	seen timestamptz NOT NULL
);

-- The secrets that sign IDs. The newest one whose time has come signs, and all of them are valid.
CREATE TABLE id_secrets (
	number   smallint PRIMARY KEY CHECK (number BETWEEN 0 AND 255),
	signs_at timestamptz NOT NULL,
	body     bytea NOT NULL -- encrypted
);

-- The conversations that no key may use. The identity is part of the signatures of their IDs: another one makes these IDs unknown.
CREATE TABLE blocklist (
	only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	identity uuid NOT NULL
);
INSERT INTO blocklist (identity) VALUES (gen_random_uuid());
CREATE TABLE blocked_conversations (
	id    bytea PRIMARY KEY, -- a fingerprint of the ID of the conversation
	key   bytea NOT NULL,    -- a fingerprint of the ID of the key
	since timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX blocked_conversations_key ON blocked_conversations (key);
CREATE INDEX blocked_conversations_since ON blocked_conversations (since);

-- +goose Down
DROP TABLE blocked_conversations, blocklist, id_secrets, gates, encryption_keys;
