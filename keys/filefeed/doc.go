// Package filefeed is the key file as a feed of keys: it reads and checks the file, YAML or JSON, says what is wrong with it
// line by line, and watches it for changes.
//
// The file is one mapping with one member, keys, which is a list of records:
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
//	    expires: 2027-01-01        # the day begins at 00:00 UTC
//
// A token or an agent key is never in the file itself, only as a placeholder that is resolved while the file is loaded.
//
// A file with any fault in it is refused as a whole, and every fault is reported, with its line and how to mend it. No
// fault repeats a value that could be a secret: people paste tokens into all kinds of places.
package filefeed
