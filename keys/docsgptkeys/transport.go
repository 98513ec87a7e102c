package docsgptkeys

import "github.com/docsgate/docsgate/internal/transport"

// Transport is how a connection to a database is protected against attackers on the network.
type Transport = transport.Transport

// The values of Transport, most secure first.
const (
	Local      = transport.Local
	Verified   = transport.Verified
	Unverified = transport.Unverified
	Plaintext  = transport.Plaintext
)

// Connection describes the connections of a feed to its database.
type Connection = transport.Connection

// IsLocal reports whether a host is certainly this machine.
func IsLocal(host string) bool { return transport.IsLocal(host) }

// AllowPlaintext is the name of the feed's option that allows plaintext connections to other machines, for errors.
const AllowPlaintext = transport.AllowPlaintext
