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
