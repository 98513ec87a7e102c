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

// docsgptDatabase is what errors call the feed's database.
const docsgptDatabase = "DocsGPT's database"

// invalidAddress does not contain the cause: the errors of pgx contain parts of the address, and any part of a malformed address may be
// the password.
func invalidAddress(database string) error {
	return errors.New("the address of " + database + " is not valid: it must have the form " +
		"postgres://user:password@host:5432/database; in user and password write @ as %40, : as %3A, / as %2F, # as %23, ? as %3F " +
		"and % as %25; the files of sslrootcert, sslcert and sslkey must exist")
}

// Address is a parsed address of a PostgreSQL database.
type Address struct {
	Config     *pgx.ConnConfig // must not be modified: copy it
	Where      string          // hosts and database, for logs
	Hosts      int
	Connection docsgptkeys.Connection
}

// ignoredParams are options of other PostgreSQL clients that have no effect here. pgx would pass them to the server, which rejects
// them.
var ignoredParams = []string{
	"fallback_application_name", "gssdelegation", "gssencmode", "gsslib", "keepalives", "keepalives_count", "keepalives_idle",
	"keepalives_interval", "load_balance_hosts", "prepare_threshold", "sslcompression", "tcp_user_timeout",
}

// driver matches the scheme with the optional driver of SQLAlchemy, which DocsGPT uses.
var driver = regexp.MustCompile(`^(?i:postgres(?:ql)?)(?:\+[A-Za-z0-9_]+)?://`)

// ParseAddress parses an address that is not empty, including the environment and a service file. Unless plaintext is allowed,
// connections to other machines use TLS, whose certificate is verified unless the address says otherwise. Errors contain nothing of the
// address but host and database, and call it the address of the given database, such as "DocsGPT's database".
func ParseAddress(uri, database string, timeout time.Duration, plaintext bool) (Address, error) {
	uri = strings.TrimSpace(uri)
	config, err := pgx.ParseConfig(driver.ReplaceAllString(uri, "postgres://"))
	if err != nil {
		return Address{}, invalidAddress(database)
	}
	var hosts []string
	add := func(host string, port uint16) {
		at := net.JoinHostPort(host, strconv.Itoa(int(port)))
		if strings.HasPrefix(host, "/") {
			at = host + ":" + strconv.Itoa(int(port)) // the directory of a socket
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
		// An unescaped character in the password moves the rest of it into the host or the database.
		return Address{}, invalidAddress(database)
	}
	if config.Database == "" {
		return Address{}, errors.New("the address of " + database + " must contain the name of the database, often docsgpt")
	}
	connection, err := secure(&config.Config, database, plaintext)
	if err != nil {
		return Address{}, err
	}
	if config.ConnectTimeout <= 0 || config.ConnectTimeout > timeout {
		config.ConnectTimeout = timeout
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "docsgate"
	}
	for _, option := range ignoredParams {
		if config.RuntimeParams[option] != "require" { // GSSAPI encryption, which is not supported
			delete(config.RuntimeParams, option)
		}
	}
	// Unnamed statements, for compatibility with connection poolers.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.StatementCacheCapacity, config.DescriptionCacheCapacity = 0, 0
	return Address{Config: config, Where: where, Hosts: len(hosts), Connection: connection}, nil
}
