-- The parts of DocsGPT 0.17's schema that matter to the gate.
CREATE EXTENSION citext;
CREATE TABLE users (user_id text PRIMARY KEY);
CREATE TABLE sources (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id text NOT NULL, name text NOT NULL);
CREATE TABLE agents (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id text NOT NULL,
  name text NOT NULL,
  description text,
  agent_type text,
  status text NOT NULL,
  key citext UNIQUE,
  source_id uuid REFERENCES sources (id) ON DELETE SET NULL,
  extra_source_ids uuid[] NOT NULL DEFAULT '{}',
  tools jsonb NOT NULL DEFAULT '[]',
  limited_token_mode boolean NOT NULL DEFAULT false,
  token_limit integer,
  limited_request_mode boolean NOT NULL DEFAULT false,
  request_limit integer,
  shared boolean NOT NULL DEFAULT false,
  incoming_webhook_token citext UNIQUE,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  last_used_at timestamptz,
  legacy_mongo_id text
);
CREATE FUNCTION set_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN NEW.updated_at = clock_timestamp(); RETURN NEW; END $$;
CREATE TRIGGER agents_set_updated_at BEFORE UPDATE ON agents
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION set_updated_at();
CREATE FUNCTION cleanup_source() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE agents SET extra_source_ids = array_remove(extra_source_ids, OLD.id) WHERE OLD.id = ANY (extra_source_ids);
  RETURN OLD;
END $$;
CREATE TRIGGER sources_cleanup AFTER DELETE ON sources FOR EACH ROW EXECUTE FUNCTION cleanup_source();
