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

// How long the commands wait for the gate. Answers with a body of unknown length may take longer, once they have begun.
const (
	dialTimeout   = 5 * time.Second
	answerTimeout = 2 * time.Minute
)

// adminPrefix is where the API stands on Caddy's admin endpoint.
const adminPrefix = "/docsgate"

// connFlags say which gate or file a command works on.
type connFlags struct {
	address, config, adapter, store string
	creates                         bool // the command makes the store's file if it is not there
}

func (f *connFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.address, "address", "", "Address of the admin endpoint of the running gate, such as localhost:2019")
	flags.StringVarP(&f.config, "config", "c", "", "Configuration that tells the admin endpoint and the store's file")
	flags.StringVarP(&f.adapter, "adapter", "a", "", "Name of the config adapter to apply to it")
	flags.StringVar(&f.store, "store", "", "The store's file, to work on while no gate has it open")
}

// client is the API of a running gate, or of a store's file that this process has opened.
type client struct {
	client *http.Client
	base   string // what paths of the API are appended to
	origin string // of requests; empty: none
	actor  string // of requests; empty: none
	name   string // for messages
	close  func() error
}

// open finds the gate. Only if none listens and none was named on the command line it opens the store's file. What is done
// without having been asked for is said on notes.
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
			return nil, failf(exitUnreachable, "%w. Is the gate running? If not, leave --address off, or name the store's "+
				"file with --store", err)
		case !isConnRefused(err):
			return nil, failf(exitUnreachable, "%w. Name the gate with --address", err)
		}
	}
	if !p.hasFeed {
		return nil, failf(exitUnreachable, "no gate is running, and its configuration has no \"feed store\": add it, or "+
			"name the store's file with --store")
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
		fmt.Fprintf(notes, "Note: %s; working on the file %s\n", why, absolute)
	}
	if _, err := os.Stat(absolute); errors.Is(err, fs.ErrNotExist) && !f.creates {
		return nil, failf(exitUnreachable, "there is no store at %s: name the running gate with --address, or another file "+
			"with --store", absolute)
	}
	return openFile(ctx, absolute)
}

// dial connects with Caddy's admin endpoint, the way Caddy's own commands do.
func dial(ctx context.Context, admin string) (*client, error) {
	address, err := caddy.ParseNetworkAddress(admin)
	if err != nil || address.PortRangeSize() > 1 || address.IsFdNetwork() {
		return nil, failf(exitUsage, "this is no address of an admin endpoint: %q", admin)
	}
	g := &client{base: "http://127.0.0.1" + adminPrefix, actor: osUser(), name: "the gate at " + admin}
	if address.IsUnixNetwork() {
		address.Host, _, _ = strings.Cut(address.Host, "|") // behind it stand permissions
	} else {
		g.origin = "http://" + address.JoinHostPort(0)
		g.base = g.origin + adminPrefix
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, address.Network, address.JoinHostPort(0))
		},
		ResponseHeaderTimeout: answerTimeout,
	}
	conn, err := transport.DialContext(ctx, "", "")
	if err != nil {
		return nil, fmt.Errorf("connecting with %s: %w", g.name, err)
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

// isConnRefused tells a gate that is not running from one that cannot be reached.
func isConnRefused(err error) bool {
	const refusedOnWindows = syscall.Errno(10061) // WSAECONNREFUSED
	if runtime.GOOS == "windows" && errors.Is(err, refusedOnWindows) {
		return true
	}
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist)
}
