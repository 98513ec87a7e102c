// Package caddyfileutil parses options in the Caddyfile, with the same errors for all directives.
package caddyfileutil

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// renamed maps option names from before the first release to their current names, for the error message.
var renamed = map[string]string{
	"allow":              "allow_fields",
	"max_body":           "max_body_size",
	"max_upload":         "max_upload_size",
	"first_byte_timeout": "response_header_timeout",
	"idle_timeout":       "stream_idle_timeout",
	"keep_alive":         "keepalive",
	"tls":                "tls_trust_pool, tls_client_auth, tls_server_name or tls_insecure_skip_verify",
	"docsgpt":            "docsgpt_version",
	"gate":               "public_url",
	"hosts":              "allowed_hosts",
	"ids":                "agent_ids",
	"published":          "only_published",
	"shared":             "include_shared",
	"off":                "exclude_keys",
	"patience":           "max_stale",
	"poll":               "poll_interval",
}

// Unrecognized returns the error for the subdirective at the cursor. known lists the valid subdirectives of its block, in
// the order of the error message.
func Unrecognized(d *caddyfile.Dispenser, known ...string) error {
	name := d.Val()
	if now, ok := renamed[name]; ok && slices.Contains(known, strings.SplitN(now, ",", 2)[0]) {
		return d.Errf("unrecognized subdirective '%s': it was renamed to %s", name, now)
	}
	return d.Errf("unrecognized subdirective '%s': must be one of %s", name, strings.Join(known, ", "))
}

// AlreadySpecified returns the error for the option at the cursor, which may be specified once.
func AlreadySpecified(d *caddyfile.Dispenser) error {
	return d.Errf("%s is already specified", d.Val())
}
