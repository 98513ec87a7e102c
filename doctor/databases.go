package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// checkDatabases checks that the connections to DocsGPT's databases, which carry agent keys, are encrypted and verified.
func (x *runner) checkDatabases(context.Context) {
	for _, feed := range slices.Sorted(maps.Keys(x.input.Databases)) {
		c := x.input.Databases[feed]
		hosts := strings.Join(c.Hosts, ", ")
		report := x.note
		if slices.ContainsFunc(c.Hosts, publicHost) {
			report = x.warn
		}
		switch c.Transport {
		case Plaintext:
			report("feeds.plaintext",
				fmt.Sprintf("The connection to the database of the feed %s at %s is not encrypted, so anyone on the network path can read every agent key.", feed, hosts),
				"Enable TLS in the database, and remove insecure_plaintext from the feed's block. It is acceptable inside the private network "+
					"of one compose file.")
		case Unverified:
			report("feeds.plaintext",
				fmt.Sprintf("The certificate of the database of the feed %s at %s is not verified, so an attacker on the network path can read "+
					"every agent key.", feed, hosts),
				"For PostgreSQL, remove sslmode from the address or set sslmode=verify-full; for MongoDB, remove tlsInsecure. If the "+
					"certificate authority is not a public one, name it with sslrootcert or tlsCAFile.")
		case Verified:
			x.ok("feeds.plaintext", fmt.Sprintf("The connection to the database of the feed %s is encrypted, and its certificate is verified.", feed))
		case Local:
			x.ok("feeds.plaintext", fmt.Sprintf("The database of the feed %s is on this machine.", feed))
		}
	}
}

// checkPrivileges checks that the database users of feeds can only read: the address of a database with more permissions is as
// valuable as DocsGPT itself.
func (x *runner) checkPrivileges(context.Context) {
	const fix = "Connect as a user that can only read: for PostgreSQL run the output of \"docsgate adopt --print-grants ROLE\", for MongoDB " +
		"grant the role read; see docs/adopting.md."
	for _, feed := range slices.Sorted(maps.Keys(x.input.Privileges)) {
		switch p := x.input.Privileges[feed]; {
		case p.Err != nil:
			x.unknown("feeds.privileges", fmt.Sprintf("What the database user of the feed %s may do is unknown: %v.", feed, p.Err),
				"Check the database, and run the doctor again.")
		case p.User == "" && p.Superuser:
			x.warn("feeds.privileges", fmt.Sprintf("The database of the feed %s does not require authentication, so everyone who reaches it "+
				"can read and change all keys.", feed), "Enable authentication in the database. "+fix)
		case p.Superuser:
			x.warn("feeds.privileges", fmt.Sprintf("The feed %s connects to its database as %q, which may do everything there.", feed, p.User), fix)
		case p.Writes:
			x.note("feeds.privileges", fmt.Sprintf("The feed %s connects to its database as %q, which may change keys; the feed only reads.",
				feed, p.User), fix)
		default:
			x.ok("feeds.privileges", fmt.Sprintf("The database user of the feed %s can only read.", feed))
		}
	}
}

// checkExclusions checks that the IDs in exclude_keys exist.
func (x *runner) checkExclusions(context.Context) {
	if ids := x.input.Keys.UnknownExclusions; len(ids) > 0 {
		x.fail("feeds.exclude_keys", fmt.Sprintf("exclude_keys contains %s, but no such agent has a key. The gate does not start, because the "+
			"key that was meant would stay valid.", strings.Join(ids, ", ")),
			"Correct or remove the ID; docs/ids.md shows where to find IDs.")
	}
}
