package pgfeed

import (
	"errors"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/docsgate/docsgate/keys/docsgptkeys"
)

// errAddress says nothing about the cause: the library's errors repeat parts of the address, and which part of a malformed
// one is the password nobody can tell.
var errAddress = errors.New("the address of DocsGPT's database cannot be read: it has the form " +
	"postgres://user:password@host:5432/database; in user and password write @ as %40, : as %3A, / as %2F, # as %23, ? as %3F " +
	"and % as %25; files that sslrootcert, sslcert and sslkey name must exist")

// address is where the database is.
type address struct {
	config     *pgx.ConnConfig // not to be changed: copy it
	name       string
	hosts      int
	connection docsgptkeys.Connection
}

// ignoredParams are the options of an address that other clients of PostgreSQL know and that change nothing here. The library
// would hand them to the server, which knows them as little.
var ignoredParams = []string{
	"fallback_application_name", "gssdelegation", "gssencmode", "gsslib", "keepalives", "keepalives_count", "keepalives_idle",
	"keepalives_interval", "load_balance_hosts", "prepare_threshold", "sslcompression", "tcp_user_timeout",
}

// driver is what SQLAlchemy, which DocsGPT uses, puts between the scheme and "://".
var driver = regexp.MustCompile(`^(?i:postgres(?:ql)?)(?:\+[A-Za-z0-9_]+)?://`)

// parseAddress reads an address, with what the environment and a service file add to it. Connections with other machines get
// TLS as secure says, if plaintext does not allow others.
func parseAddress(uri string, timeout time.Duration, plaintext bool) (address, error) {
	uri = strings.TrimSpace(uri)
	if uri == "" {
		return address{}, errors.New("the address of DocsGPT's database is empty: it is DocsGPT's own POSTGRES_URI")
	}
	config, err := pgx.ParseConfig(driver.ReplaceAllString(uri, "postgres://"))
	if err != nil {
		return address{}, errAddress
	}
	var hosts []string
	add := func(host string, port uint16) {
		at := net.JoinHostPort(host, strconv.Itoa(int(port)))
		if strings.HasPrefix(host, "/") {
			at = host + ":" + strconv.Itoa(int(port)) // the folder of a socket
		}
		if !slices.Contains(hosts, at) {
			hosts = append(hosts, at)
		}
	}
	add(config.Host, config.Port)
	for _, f := range config.Fallbacks {
		add(f.Host, f.Port)
	}
	where := strings.Join(hosts, ",") + "/" + config.Database
	if strings.ContainsAny(where, "@?#% \t\r\n") {
		// A password with such a character as it is makes everything behind it host or database.
		return address{}, errAddress
	}
	if config.Database == "" {
		return address{}, errors.New("the address of DocsGPT's database names no database: DocsGPT's own is often called docsgpt")
	}
	connection, err := secure(&config.Config, plaintext)
	if err != nil {
		return address{}, err
	}
	if config.ConnectTimeout <= 0 || config.ConnectTimeout > timeout {
		config.ConnectTimeout = timeout
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "docsgate"
	}
	for _, option := range ignoredParams {
		if config.RuntimeParams[option] != "require" { // GSSAPI's encryption, which there is not
			delete(config.RuntimeParams, option)
		}
	}
	// Statements without names, so that a pooler between the two does no harm.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.StatementCacheCapacity, config.DescriptionCacheCapacity = 0, 0
	return address{config: config, name: "docsgpt:" + where, hosts: len(hosts), connection: connection}, nil
}
