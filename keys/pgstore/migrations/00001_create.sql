-- Everything is in the schema that is first in search_path. Bodies are encoded by the package recordcodec.

-- +goose Up
CREATE TABLE state (
	only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	-- The format that the writers of this database use. A gate that does not know it rejects the database.
	format   integer NOT NULL,
	-- The newest revision of a record or an override, and the newest sequence of an audit entry. Each write locks this row, so
	-- revisions are in the order of the commits.
	revision bigint NOT NULL,
	seq      bigint NOT NULL
);
INSERT INTO state (format, revision, seq) VALUES (1, 0, 0);

CREATE TABLE keys (
	id       text COLLATE "C" PRIMARY KEY,
	revision bigint NOT NULL UNIQUE,
	body     bytea NOT NULL
);

-- The SHA-256 digests of all current and previous tokens.
CREATE TABLE tokens (
	digest bytea PRIMARY KEY,
	key_id text COLLATE "C" NOT NULL REFERENCES keys ON DELETE CASCADE
);
CREATE INDEX tokens_key_id ON tokens (key_id);

CREATE TABLE overrides (
	id       text COLLATE "C" PRIMARY KEY,
	revision bigint NOT NULL,
	body     bytea NOT NULL
);

CREATE TABLE audit (
	seq    bigint PRIMARY KEY,
	key_id text COLLATE "C" NOT NULL, -- '' for an action on the whole store
	body   bytea NOT NULL
);
CREATE INDEX audit_key_id ON audit (key_id, seq) WHERE key_id <> '';

CREATE TABLE idempotency_records (
	name text COLLATE "C" PRIMARY KEY,
	at   timestamptz NOT NULL DEFAULT now(),
	body bytea NOT NULL
);
CREATE INDEX idempotency_records_at ON idempotency_records (at);

CREATE TABLE usage (
	id   text COLLATE "C" PRIMARY KEY,
	body bytea NOT NULL
);

CREATE TABLE quotas (
	id   text COLLATE "C" PRIMARY KEY,
	body bytea NOT NULL
);

-- +goose Down
DROP TABLE quotas, usage, idempotency_records, audit, overrides, tokens, keys, state;
