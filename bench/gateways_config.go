package main

// gateLua does the part of the gate's job that fits into a page: it finds the key in the body or the header, looks up its digest,
// removes the fields that choose a source, and puts the agent key into both. The relay of streams is nginx's.
const gateLua = `
local cjson = require "cjson.safe"
local sha256 = require "ffi_sha256"
local keys = require "keys"
ngx.req.read_body()
local body = ngx.req.get_body_data()
if not body then
	local file = ngx.req.get_body_file()
	if file then
		local f = io.open(file, "rb")
		body = f:read("*a")
		f:close()
	end
end
local fields = body and cjson.decode(body)
if type(fields) ~= "table" then return ngx.exit(400) end
local bearer = ngx.var.http_authorization
local token = bearer and bearer:match("^Bearer (.+)$") or fields.api_key
local agent = type(token) == "string" and keys[sha256(token)]
if not agent then
	ngx.status = 401
	ngx.header["Content-Type"] = "application/json"
	ngx.say('{"error":"invalid_api_key"}')
	return ngx.exit(401)
end
for _, name in ipairs({"selectedDocs", "active_docs", "retriever", "prompt_id", "agent_id", "isNoneDoc", "chunks"}) do
	fields[name] = nil
end
if bearer then
	ngx.req.set_header("Authorization", "Bearer " .. agent)
else
	fields.api_key = agent
end
ngx.req.set_body_data(cjson.encode(fields))
`

// nginxCommon is the beginning of both configurations, up to the upstream. There is no access log, as in the others.
const nginxCommon = `
daemon off;
user root; # the files are in a private folder; ignored unless it is started by root
worker_processes WORKERS;
pid DIR/nginx.pid;
events { worker_connections 4096; }
http {
	access_log off;
	client_body_temp_path DIR/body;
	proxy_temp_path DIR/proxy;
	fastcgi_temp_path DIR/fastcgi;
	uwsgi_temp_path DIR/uwsgi;
	scgi_temp_path DIR/scgi;
	upstream docsgpt {
		server BACKEND;
		keepalive 64;
	}
`

// nginxLuaConfig gets SHA-256 from OpenSSL, which nginx has loaded.
const nginxLuaConfig = `
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
` + nginxCommon + `	client_body_buffer_size 2m;
	client_max_body_size 4m;
	lua_package_path "DIR/?.lua;;";
	init_by_lua_block {
		local ffi = require "ffi"
		ffi.cdef "unsigned char *SHA256(const unsigned char *d, size_t n, unsigned char *md);"
		local digest = ffi.new("unsigned char[32]")
		package.loaded.ffi_sha256 = function(text)
			ffi.C.SHA256(text, #text, digest)
			local hex = {}
			for i = 0, 31 do hex[i + 1] = string.format("%02x", digest[i]) end
			return table.concat(hex)
		end
	}
	server {
		listen ADDRESS reuseport;
		location / {
			rewrite_by_lua_file DIR/gate.lua;
			proxy_pass http://docsgpt;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host $host;
			proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
			proxy_buffering off;
			proxy_read_timeout 10m;
		}
	}
}
`

// nginxMapConfig can only check keys in a header, since a map does not see bodies.
const nginxMapConfig = nginxCommon + `	client_max_body_size 4m;
	map_hash_max_size 16384;
	map_hash_bucket_size 256;
	map $http_authorization $agent {
		default "";
TOKENS	}
	server {
		listen ADDRESS reuseport;
		location / {
			if ($agent = "") { return 401; }
			proxy_pass http://docsgpt;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Authorization "Bearer $agent";
			proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
			proxy_buffering off;
			proxy_read_timeout 10m;
		}
	}
}
`

// envoyConfig has one agent key for all clients: api_key_auth cannot choose it by client.
const envoyConfig = `
static_resources:
  listeners:
  - address: {socket_address: {address: HOST, port_value: PORT}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: gate
          stream_idle_timeout: 600s
          http_filters:
          - name: envoy.filters.http.api_key_auth
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth
              key_sources: [{header: Authorization}]
              credentials:
CREDENTIALS
          - name: envoy.filters.http.local_ratelimit
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
              stat_prefix: limit
              token_bucket: {max_tokens: 1000000, tokens_per_fill: 1000000, fill_interval: 1s}
              filter_enabled: {default_value: {numerator: 100}}
              filter_enforced: {default_value: {numerator: 100}}
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
          route_config:
            virtual_hosts:
            - name: docsgpt
              domains: ["*"]
              routes:
              - match: {prefix: "/"}
                route: {cluster: docsgpt, timeout: 600s}
                request_headers_to_add:
                - {header: {key: Authorization, value: "Bearer AGENT_KEY"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}
  clusters:
  - name: docsgpt
    type: STATIC
    load_assignment:
      cluster_name: docsgpt
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: UPSTREAM_ADDRESS, port_value: UPSTREAM_NUMBER}}}}]}]
`

const litellmConfig = `
model_list:
- model_name: docsgpt-agent
  litellm_params: {model: openai/docsgpt-agent, api_base: "http://BACKEND/v1", api_key: "AGENT_KEY"}
general_settings: {master_key: "TOKEN"}
litellm_settings: {telemetry: false, num_retries: 0}
`
