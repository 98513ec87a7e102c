package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"
)

// Timeouts for connecting to the gate and for the header of its response. The body has no timeout: its length is not known.
const (
	dialTimeout     = 5 * time.Second
	responseTimeout = 2 * time.Minute
)

// adminPrefix is the path of docsgate's API on Caddy's admin endpoint.
const adminPrefix = "/docsgate"

// connFlags are the flags that select the running gate or the store file that a command works on.
type connFlags struct {
	address, config, adapter, store string
	creates                         bool // the command creates the store file if it does not exist
}

func (f *connFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.address, "address", "", "Address of the running gate's admin endpoint, such as localhost:2019")
	flags.StringVarP(&f.config, "config", "c", "", "Configuration file that names the admin endpoint and the store file")
	flags.StringVarP(&f.adapter, "adapter", "a", "", "Name of the config adapter to apply to the configuration file")
	flags.StringVar(&f.store, "store", "", "Store file to open directly, while no gate has it open")
}

// client calls the API of a running gate, or of a store file that this process has opened.
type client struct {
	client *http.Client
	base   string // prefix of the API's paths
	origin string // header of requests; empty: none
	actor  string // header of requests; empty: none
	name   string // in messages
	close  func() error
}

// open connects to the gate. It opens the store file only if no gate listens and no --address was given, and says on notes which
// file it has chosen.
func (f *connFlags) open(ctx context.Context, notes io.Writer) (*client, error) {
	p, err := f.find()
	if err != nil {
		return nil, err
	}
	if p.admin != "" {
		g, err := dial(ctx, p.admin)
		wrong := (*exitError)(nil)
		switch {
		case err == nil || errors.As(err, &wrong):
			return g, err
		case p.named:
			return nil, failf(exitUnreachable, "%w. Is the gate running? If not, leave out --address, or name the store "+
				"file with --store", err)
		case !isConnRefused(err):
			return nil, failf(exitUnreachable, "%w. Name the gate with --address", err)
		}
	}
	if !p.hasFeed {
		return nil, failf(exitUnreachable, "no gate is running, and the configuration has no \"feed store\": add it, or "+
			"name the store file with --store")
	}
	absolute, err := filepath.Abs(p.store)
	if err != nil {
		return nil, err
	}
	if f.store == "" {
		why := "the configuration has no admin endpoint"
		if p.admin != "" {
			why = "no gate listens on " + p.admin
		}
		fmt.Fprintf(notes, "Note: %s; using the store file %s\n", why, absolute)
	}
	if _, err := os.Stat(absolute); errors.Is(err, fs.ErrNotExist) && !f.creates {
		return nil, failf(exitUnreachable, "the store %s does not exist: name the running gate with --address, or another file "+
			"with --store", absolute)
	}
	return openFile(ctx, absolute)
}

// dial connects to Caddy's admin endpoint as Caddy's own commands do.
func dial(ctx context.Context, admin string) (*client, error) {
	address, err := caddy.ParseNetworkAddress(admin)
	if err != nil || address.PortRangeSize() > 1 || address.IsFdNetwork() {
		return nil, failf(exitUsage, "invalid address of an admin endpoint: %q", admin)
	}
	g := &client{base: "http://127.0.0.1" + adminPrefix, actor: osUser(), name: "the gate at " + admin}
	if address.IsUnixNetwork() {
		address.Host, _, _ = strings.Cut(address.Host, "|") // "|0600" are the socket's permissions
	} else {
		g.origin = "http://" + address.JoinHostPort(0)
		g.base = g.origin + adminPrefix
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, address.Network, address.JoinHostPort(0))
		},
		ResponseHeaderTimeout: responseTimeout,
	}
	conn, err := transport.DialContext(ctx, "", "")
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", g.name, err)
	}
	_ = conn.Close()
	g.client = &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	g.close = func() error {
		transport.CloseIdleConnections()
		return nil
	}
	return g, nil
}

// isConnRefused reports whether a connection failed because the gate is not running, as opposed to not reachable.
func isConnRefused(err error) bool {
	const refusedOnWindows = syscall.Errno(10061) // WSAECONNREFUSED
	if runtime.GOOS == "windows" && errors.Is(err, refusedOnWindows) {
		return true
	}
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist)
}
