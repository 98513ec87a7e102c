-- Usage and quotas are totals, to which each gate adds what it has counted.

-- +goose Up
CREATE TABLE counters (
	only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	-- The newest revision of a row of usage or quotas. Each write locks this row, so revisions are in the order of the commits.
	revision bigint NOT NULL
);

-- The last batch that each writer has added to a table, so that no batch is added twice.
CREATE TABLE counter_writers (
	table_name text COLLATE "C" NOT NULL,
	id         text COLLATE "C" NOT NULL,
	seq        bigint NOT NULL,
	at         timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (table_name, id)
);
CREATE INDEX counter_writers_at ON counter_writers (at);

ALTER TABLE usage ADD revision bigint;
UPDATE usage SET revision = n FROM (SELECT id, row_number() OVER () AS n FROM usage) AS numbered WHERE usage.id = numbered.id;
ALTER TABLE usage ALTER revision SET NOT NULL;
CREATE UNIQUE INDEX usage_revision ON usage (revision);

ALTER TABLE quotas ADD revision bigint;
UPDATE quotas SET revision = n FROM (SELECT id, row_number() OVER () AS n FROM quotas) AS numbered WHERE quotas.id = numbered.id;
ALTER TABLE quotas ALTER revision SET NOT NULL;
CREATE UNIQUE INDEX quotas_revision ON quotas (revision);

INSERT INTO counters (revision) SELECT greatest((SELECT count(*) FROM usage), (SELECT count(*) FROM quotas));

-- +goose Down
ALTER TABLE quotas DROP revision;
ALTER TABLE usage DROP revision;
DROP TABLE counter_writers, counters;
