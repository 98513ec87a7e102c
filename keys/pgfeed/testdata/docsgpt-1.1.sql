-- What came to DocsGPT's table agents from 0.19 to 1.1, on top of 0.17. Releases after 1.1.0 keep origins in config.
ALTER TABLE agents ADD COLUMN slug citext;
ALTER TABLE agents ADD COLUMN config jsonb NOT NULL DEFAULT '{}';
ALTER TABLE agents ADD COLUMN resource_sponsors jsonb NOT NULL DEFAULT '{}';
