-- A gate that has a copy of the keys finds out by these whether the copy is of this key store, and whether the database has lost writes:
-- by a failover to a standby server that had not received them, or by the restore of a backup.

-- +goose Up
ALTER TABLE state
	ADD store_id uuid NOT NULL DEFAULT gen_random_uuid(),
	-- The newest revision of an override. The removal of an override has one, too.
	ADD overrides_revision bigint NOT NULL DEFAULT 0;

-- The newest writes by the last of their revisions.
CREATE TABLE commits (
	revision bigint PRIMARY KEY,
	id       uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO commits (revision) SELECT revision FROM state;

-- +goose Down
DROP TABLE commits;
ALTER TABLE state DROP store_id, DROP overrides_revision;
