-- The usage of keys over time, to which each gate adds what it has counted.

-- +goose Up
CREATE TABLE usage_series (
	id         text COLLATE "C" NOT NULL, -- '': the sums over all keys
	resolution smallint NOT NULL,         -- of the bucket: 0: a minute, 1: an hour, 2: a day
	bucket     integer NOT NULL,          -- its number since 1970
	requests   bigint NOT NULL,           -- rejected ones included
	body       bytea NOT NULL,
	PRIMARY KEY (id, resolution, bucket)
);
CREATE INDEX usage_series_bucket ON usage_series (resolution, bucket);

-- Each write locks the row of this table, so that no counts are lost.
CREATE TABLE usage_series_lock (
	only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row)
);
INSERT INTO usage_series_lock DEFAULT VALUES;

-- +goose Down
DROP TABLE usage_series_lock, usage_series;
