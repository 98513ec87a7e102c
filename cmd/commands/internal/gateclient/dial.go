package gateclient

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
)

// Timeouts for connecting to the gate and for the header of its response. The body has no timeout: its length is not known.
const (
	dialTimeout     = 5 * time.Second
	responseTimeout = 2 * time.Minute
)

// adminPrefix is the path of docsgate's API on Caddy's admin endpoint.
const adminPrefix = "/docsgate"

// Dial connects to Caddy's admin endpoint as Caddy's own commands do.
func Dial(ctx context.Context, admin string) (*Client, error) {
	address, err := caddy.ParseNetworkAddress(admin)
	if err != nil || address.PortRangeSize() > 1 || address.IsFdNetwork() {
		return nil, cli.Errorf(cli.ExitUsage, "invalid address of an admin endpoint: %q", admin)
	}
	c := &Client{base: "http://127.0.0.1" + adminPrefix, actor: osUser(), Name: "the gate at " + admin}
	if address.IsUnixNetwork() {
		address.Host, _, _ = strings.Cut(address.Host, "|") // "|0600" are the socket's permissions
	} else {
		c.origin = "http://" + address.JoinHostPort(0)
		c.base = c.origin + adminPrefix
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
		return nil, fmt.Errorf("connecting to %s: %w", c.Name, err)
	}
	_ = conn.Close()
	c.client = &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c.close = func() error {
		transport.CloseIdleConnections()
		return nil
	}
	return c, nil
}

// IsConnRefused reports whether a connection failed because the gate is not running, as opposed to not reachable.
func IsConnRefused(err error) bool {
	const refusedOnWindows = syscall.Errno(10061) // WSAECONNREFUSED
	if runtime.GOOS == "windows" && errors.Is(err, refusedOnWindows) {
		return true
	}
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist)
}
