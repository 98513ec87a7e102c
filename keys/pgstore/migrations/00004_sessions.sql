-- The sessions of consoles, at all gates.

-- +goose Up
CREATE TABLE sessions (
	digest  bytea PRIMARY KEY, -- SHA-256 of the admin token's digest and the cookie
	expires timestamptz NOT NULL
);
CREATE INDEX sessions_expires ON sessions (expires);

-- +goose Down
DROP TABLE sessions;
