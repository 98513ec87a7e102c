package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// checkDatabases tells whether others can read the keys on their way from DocsGPT's database.
func (x *runner) checkDatabases(context.Context) {
	for _, feed := range slices.Sorted(maps.Keys(x.facts.Databases)) {
		c := x.facts.Databases[feed]
		hosts := strings.Join(c.Hosts, ", ")
		found := x.note
		if slices.ContainsFunc(c.Hosts, publicHost) {
			found = x.warn
		}
		switch c.Transport {
		case Plaintext:
			found("feeds.plain",
				fmt.Sprintf("The connection with the database of the feed %s at %s is not encrypted, and every agent key goes along.", feed, hosts),
				"Switch TLS on in the database, and take insecure_plaintext out of the feed's block. Within one compose file's own network, "+
					"where nobody else can be between, it may stay.")
		case Unverified:
			found("feeds.plain",
				fmt.Sprintf("The certificate of the database of the feed %s at %s is not verified, so whoever is between can read every "+
					"agent key.", feed, hosts),
				"With PostgreSQL take sslmode out of the address, or write sslmode=verify-full; with MongoDB take tlsInsecure out of it. Name "+
					"the certificate's authority with sslrootcert or tlsCAFile if it is none of the public ones.")
		case Verified:
			x.ok("feeds.plain", fmt.Sprintf("The connection with the database of the feed %s is encrypted, and its certificate is verified.", feed))
		case Local:
			x.ok("feeds.plain", fmt.Sprintf("The database of the feed %s is on this machine.", feed))
		}
	}
}
