package mongofeed

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"

	"github.com/docsgate/docsgate/keys/docsgptkeys"
)

// errAddress does not contain the cause: the errors of the driver contain parts of the address, and any part of a malformed address
// may be the password.
var errAddress = errors.New("the address of DocsGPT's database is not valid: it must have the form " +
	"mongodb://user:password@host:27017/database; in user and password write @ as %40, : as %3A, / as %2F, # as %23, ? as %3F " +
	"and % as %25; the files of tlsCAFile and tlsCertificateKeyFile must exist")

const (
	scheme      = "mongodb://"
	schemeSRV   = "mongodb+srv://"
	defaultPort = "27017"
)

// address is a parsed address of a database.
type address struct {
	uri        string
	hosts      int // that uri names; 0: the DNS does
	database   string
	name       string
	connection docsgptkeys.Connection
}

// parseAddress parses an address. Unless plaintext is allowed, servers on other machines require TLS.
func parseAddress(uri, database string, plaintext bool) (address, error) {
	uri = strings.TrimSpace(uri)
	if uri == "" {
		return address{}, errors.New("the address of DocsGPT's database is empty: it is DocsGPT's own MONGO_URI")
	}
	a := address{uri: uri}
	plain, srv := strings.CutPrefix(uri, schemeSRV)
	if srv {
		uri = scheme + withoutSRVOptions(plain) // parsing the original would query DNS, which may be unavailable
	}
	cs, err := connstring.ParseAndValidate(uri)
	if err != nil || options.Client().ApplyURI(uri).Validate() != nil {
		return address{}, errAddress
	}
	hosts := slices.Clone(cs.Hosts)
	switch {
	case srv && (len(hosts) != 1 || strings.ContainsAny(hosts[0], ":/")):
		return address{}, errAddress
	case !srv:
		a.hosts = len(hosts)
		for i, h := range hosts {
			hosts[i] = withPort(h)
		}
	}
	a.database = database
	if a.database == "" && cs.Database != "admin" {
		a.database = cs.Database
	}
	if a.database == "" {
		a.database = defaultDatabase
	}
	where := strings.Join(hosts, ",")
	if strings.ContainsAny(where, "@?#% \t\r\n") || strings.ContainsAny(a.database, `/\. "$*<>:|?@#%`+"\t\r\n\x00") {
		// An unescaped character in the password moves the rest of it into the host or the database.
		return address{}, errAddress
	}
	a.name = "docsgpt:" + where + "/" + a.database
	a.connection = connectionOf(cs, srv)
	if a.connection.Transport == docsgptkeys.Plaintext && !plaintext {
		return address{}, errPlaintext(a.connection.Hosts[0])
	}
	return a, nil
}

// withoutSRVOptions removes the options of SRV addresses from an address without its scheme.
func withoutSRVOptions(rest string) string {
	head, query, ok := strings.Cut(rest, "?")
	if !ok {
		return rest
	}
	kept := slices.DeleteFunc(strings.Split(query, "&"), func(option string) bool {
		return strings.HasPrefix(strings.ToLower(option), "srv")
	})
	return head + "?" + strings.Join(kept, "&")
}

func withPort(host string) string {
	if strings.HasPrefix(host, "/") { // a socket
		return host
	}
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), defaultPort)
}

// clientOptions parses the address for a new connection. It may query DNS, and reads certificates again.
func (a *address) clientOptions(ctx context.Context) (*options.ClientOptions, error) {
	if a.hosts > 0 {
		return options.Client().ApplyURI(a.uri), nil
	}
	// The driver's lookup cannot be canceled.
	found := make(chan *options.ClientOptions, 1)
	go func() { found <- options.Client().ApplyURI(a.uri) }()
	select {
	case o := <-found:
		if o.Validate() != nil {
			return nil, errNotInDNS
		}
		return o, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

var errNotInDNS = errors.New("DNS has no servers for the mongodb+srv address of DocsGPT's database")
