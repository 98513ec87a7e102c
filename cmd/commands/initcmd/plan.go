package initcmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
	"github.com/docsgate/docsgate/docsgpt/discovery"
	"github.com/docsgate/docsgate/internal/sockets"
)

// config has everything that the written files and the next steps depend on.
type config struct {
	upstream    string
	settings    *discovery.Settings // of this DocsGPT; nil: unknown
	site        site
	feeds       []string
	postgresURI string // empty without the feed docsgpt
	noDatabase  string // why the feed docsgpt is not used; empty: it is used, or was not wanted
	consolePort int
	adminPort   int // 0: Caddy's default
}

// plan finds DocsGPT, asks questions if ask is not nil, and returns the resulting configuration. Notes are printed to log.
func (o *options) plan(ctx context.Context, ask *questions, log io.Writer) (*config, error) {
	all, err := o.readFolders(log)
	if err != nil {
		return nil, err
	}
	c := &config{}
	if err := o.chooseUpstream(ctx, ask, log, c, all); err != nil {
		return nil, err
	}
	given := o.site
	if given == "" {
		given = "http://localhost:" + strconv.Itoa(freePort(ctx, 8080))
		if ask != nil {
			if given, err = ask.site(given); err != nil {
				return nil, err
			}
		}
	}
	if c.site, err = parseSite(given); err != nil {
		return nil, err
	}
	if err := o.chooseFeeds(ctx, ask, log, c); err != nil {
		return nil, err
	}
	c.consolePort = freePort(ctx, 8099)
	if port := freePort(ctx, 2019); port != 2019 && caddy.DefaultAdminListen == "localhost:2019" { // else CADDY_ADMIN is set
		c.adminPort = port
	}
	return c, nil
}

// readFolders returns the settings of all DocsGPTs in the folders. A usual folder that cannot be read is only reported.
func (o *options) readFolders(log io.Writer) ([]*discovery.Settings, error) {
	folders := o.docsgptDirs
	if len(folders) == 0 {
		folders = discovery.Folders()
	}
	var all []*discovery.Settings
	var seen []os.FileInfo
	for _, dir := range folders {
		info, err := os.Stat(dir)
		if err == nil && slices.ContainsFunc(seen, func(other os.FileInfo) bool { return os.SameFile(info, other) }) {
			continue
		}
		seen = append(seen, info)
		s, err := discovery.ReadFolder(dir)
		named := len(o.docsgptDirs) > 0
		switch {
		case named && err != nil:
			return nil, cli.Errorf(cli.ExitUsage, "--docsgpt-dir: %w", err)
		case named && s == nil:
			return nil, cli.Errorf(cli.ExitUsage, "--docsgpt-dir: %s contains neither an env file nor a compose file of DocsGPT", dir)
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			fmt.Fprintln(log, terminal.Sanitize("Skipped a folder: "+err.Error()))
		case s != nil:
			all = append(all, s)
		}
	}
	return all, nil
}

// chooseUpstream sets the address of DocsGPT, and its settings if they are known.
func (o *options) chooseUpstream(ctx context.Context, ask *questions, log io.Writer, c *config, all []*discovery.Settings) error {
	named := o.upstream
	if named == "" {
		found := discovery.Find(ctx, all)
		if found != nil {
			c.upstream, c.settings = found.Address, found.Settings
			fmt.Fprintf(log, "Found DocsGPT %s at %s.\n", found.Version, found.Address)
		}
		if ask == nil && found == nil {
			return errNotFound(all)
		}
		if ask == nil {
			return nil
		}
		var err error
		if named, err = ask.upstream(c.upstream); err != nil {
			return err
		}
		if found != nil && named == found.Address {
			return nil
		}
	}
	address, err := checkUpstream(named)
	if err != nil {
		return err
	}
	c.upstream, c.settings = address, settingsOf(address, all, len(o.docsgptDirs) == 1)
	version, err := discovery.Detect(ctx, address)
	switch {
	case err == nil:
		fmt.Fprintf(log, "DocsGPT %s responds at %s.\n", version, terminal.Sanitize(address))
	case errors.Is(err, discovery.ErrNoResponse):
		fmt.Fprintf(log, "DocsGPT does not respond at %s yet. The gate can be started before it.\n", terminal.Sanitize(address))
	default:
		return cli.Errorf(cli.ExitUnreachable, "the server at %s is not DocsGPT: %w", address, err)
	}
	return nil
}

func errNotFound(all []*discovery.Settings) error {
	if len(all) == 0 {
		return cli.Errorf(cli.ExitUnreachable, "no DocsGPT was found: start it, or name its address with --upstream and its folder with --docsgpt-dir")
	}
	return cli.Errorf(cli.ExitUnreachable, "DocsGPT does not respond at %s, which %s names: start it, or name its address with --upstream",
		strings.Join(all[0].Addresses, " or "), all[0].File)
}

// settingsOf returns the settings of the DocsGPT at an address. Settings of another DocsGPT would connect the gate to the wrong
// database, so they must name the address, unless the only folder was named, too.
func settingsOf(address string, all []*discovery.Settings, folderNamed bool) *discovery.Settings {
	port := func(address string) string {
		u, err := url.Parse(address)
		if err != nil || !isLocalhost(u.Hostname()) {
			return address
		}
		return u.Port()
	}
	for _, s := range all {
		if slices.ContainsFunc(s.Addresses, func(own string) bool { return port(own) == port(address) }) {
			return s
		}
	}
	if folderNamed && len(all) == 1 {
		return all[0]
	}
	return nil
}

// chooseFeeds sets the feeds and the address of the database.
func (o *options) chooseFeeds(ctx context.Context, ask *questions, log io.Writer, c *config) error {
	uri, problem := o.database(c.settings)
	if uri != "" && problem == "" {
		if err := dialDatabase(ctx, uri); err != nil {
			problem = fmt.Sprintf("its database, %s, does not accept connections: %s", redacted(uri), err)
		} else {
			fmt.Fprintf(log, "Found its database, %s.\n", terminal.Sanitize(redacted(uri)))
		}
	}
	c.feeds = slices.Compact(slices.Sorted(slices.Values(o.feeds)))
	if len(c.feeds) == 0 {
		c.feeds = []string{feedDocsGPT, feedStore}
		if problem != "" {
			c.feeds, c.noDatabase = []string{feedStore}, problem
			fmt.Fprintf(log, "The gate cannot use the keys that DocsGPT has created: %s.\n", terminal.Sanitize(problem))
		} else if ask != nil {
			var err error
			if c.feeds, err = ask.feeds(); err != nil {
				return err
			}
		}
	}
	if !slices.Contains(c.feeds, feedDocsGPT) {
		return nil
	}
	if uri == "" {
		return cli.Errorf(cli.ExitUnreachable, "the gate cannot use the keys that DocsGPT has created: %s", problem)
	}
	if problem != "" {
		fmt.Fprintln(log, terminal.Sanitize("The gate cannot use the keys that DocsGPT has created yet: "+problem+"."))
	}
	u, err := parsePostgresURI(uri)
	if err != nil {
		return cli.WithStatus(cli.ExitUsage, err)
	}
	c.postgresURI = u.String()
	return nil
}

// database returns the address of DocsGPT's database, or why it cannot be used.
func (o *options) database(s *discovery.Settings) (uri, problem string) {
	switch {
	case o.postgresURI != "":
		uri = o.postgresURI
	case os.Getenv(uriVariable) != "":
		uri = os.Getenv(uriVariable)
	case s == nil:
		return "", "the address of its database is unknown; set " + uriVariable + " to DocsGPT's POSTGRES_URI, or name DocsGPT's folder with --docsgpt-dir"
	case s.Database.Service != "":
		return "", fmt.Sprintf("%s does not publish a port of the database, its service %s; publish it on this machine only, or run the gate in "+
			"DocsGPT's network, see docs/container.md", s.File, s.Database.Service)
	case s.Database.URI == "":
		return "", s.File + " does not contain POSTGRES_URI"
	default:
		uri = s.Database.URI
	}
	if _, err := parsePostgresURI(uri); err != nil {
		return "", "the address of its database is not valid: " + err.Error()
	}
	return uri, ""
}

// dialDatabase checks that a server accepts connections at an address. Sockets and lists of hosts are not checked.
func dialDatabase(ctx context.Context, uri string) error {
	u, err := parsePostgresURI(uri)
	if err != nil || u.Hostname() == "" || strings.Contains(u.Host, ",") || u.Query().Has("host") {
		return nil //nolint:nilerr // the feed reports it when the configuration is validated
	}
	port := u.Port()
	if port == "" {
		port = "5432"
	}
	dialer := net.Dialer{Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		if op := (*net.OpError)(nil); errors.As(err, &op) {
			err = op.Err // without the address, which the message has already
		}
		return err
	}
	return conn.Close()
}

// freePort returns a port on which nothing listens, preferably the given one, else one of the next.
func freePort(ctx context.Context, preferred int) int {
	for port := preferred; port < preferred+20; port++ {
		if !sockets.InUse(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))) &&
			!sockets.InUse(ctx, "tcp", ":"+strconv.Itoa(port)) {
			return port
		}
	}
	return preferred
}

func isLocalhost(host string) bool {
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
