-- What came to DocsGPT's table agents from 0.19 to 1.1, on top of 0.17. Releases after 1.1.0 keep origins in config.
ALTER TABLE agents ADD COLUMN slug citext;
ALTER TABLE agents ADD COLUMN config jsonb NOT NULL DEFAULT '{}';
ALTER TABLE agents ADD COLUMN resource_sponsors jsonb NOT NULL DEFAULT '{}';

-- The table token_usage, with the index of request IDs, and without foreign keys.
CREATE TABLE token_usage (
  id bigserial PRIMARY KEY, user_id text, api_key text, agent_id uuid,
  prompt_tokens integer NOT NULL DEFAULT 0, generated_tokens integer NOT NULL DEFAULT 0,
  "timestamp" timestamptz NOT NULL DEFAULT now(), mongo_id text, source text NOT NULL DEFAULT 'agent_stream', request_id text,
  model_id text, cached_tokens integer, cache_write_tokens integer, cost numeric(12,8) NOT NULL DEFAULT 0, duration_ms integer,
  ttft_ms integer
);
CREATE INDEX token_usage_request_id_idx ON token_usage (request_id) WHERE request_id IS NOT NULL;
