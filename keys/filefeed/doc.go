// Package filefeed is the feed of keys from a key file. It parses and validates the file, YAML or JSON, reports every fault
// with its line, and watches the file for changes.
//
// The file is a mapping with the field keys, which is a list of records:
//
//	keys:
//	  - id: docs-site              # public, unique: letters, digits, ".", "_" and "-"
//	    name: Docs site widget     # for people; default: the id
//	    sha256: 5e88…              # of the token, as "docsgate keys hash" prints it
//	    source: ["7d0c…-uuid"]     # the binding: one or more source ids …
//	  - id: support
//	    token: "{env.SUPPORT_TOKEN}"
//	    agent: "{env.DOCSGPT_AGENT_KEY}"  # … or an upstream DocsGPT key
//	    state: disabled            # active is the default
//	    not_before: 2026-01-01T00:00:00Z
//	    expires: 2027-01-01        # a date means 00:00 UTC
//
// A token or an agent key is never in the file itself, but specified by a placeholder that is resolved when the file is loaded.
//
// A file with any fault is rejected as a whole. Every fault is reported with its line and how to fix it. Faults never contain a
// value that could be a secret, since people paste tokens into all kinds of places.
package filefeed
