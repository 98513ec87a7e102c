// Package sharedlimits connects the gates that share their limits through Redis or Valkey.
//
//   - [ParseAddress] parses the address of a server, a Redis Cluster or Sentinels.
//   - [Conn] runs scripts for decisions, and knows how many gates are live.
//
// A decision never waits long: a command has a short timeout, and after a failure all decisions are local until a probe in the
// background has succeeded. The package does not depend on HTTP or Caddy.
package sharedlimits

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/docsgate/docsgate/internal/transport"
)

const (
	// DefaultPrefix is the default of Options.Prefix.
	DefaultPrefix = "docsgate"

	// DefaultTimeout is the default of Options.Timeout.
	DefaultTimeout = 100 * time.Millisecond

	// poolSize is the number of connections to each server: of concurrent decisions that don't wait for another one.
	poolSize = 64
)

// ErrUnavailable means that the decision must be made by the limits of this gate alone.
var ErrUnavailable = errors.New("the server of shared_limits is unavailable")

// Options configures a [Conn].
type Options struct {
	Address Address

	// Prefix is the beginning of all keys. Default: DefaultPrefix.
	Prefix string

	// Timeout is the timeout of a decision. Default: DefaultTimeout.
	Timeout time.Duration

	// NodesFile is the path of a file with the last known number of gates, for a start while the server is unavailable. Empty: none.
	NodesFile string

	// Observer is informed about decisions; nil: none.
	Observer Observer

	// Logger returns the logger for changes of the availability; nil: nothing is logged.
	Logger func() *slog.Logger
}

// Observer is informed about decisions. Its methods are called concurrently and must not block.
type Observer interface {
	// RoundTrip reports the duration of a command, also of one that has failed.
	RoundTrip(d time.Duration)

	// Fallback reports a decision by the limits of this gate alone. limit names what is limited, such as "requests".
	Fallback(limit string)
}

// Conn is the connection of a gate to the server. It is safe for concurrent use. Create one with New.
type Conn struct {
	client  redis.UniversalClient
	options Options
	node    string

	up     atomic.Bool
	failed chan struct{} // receives a value after a failure of a command
	nodes  atomic.Int64

	// complete is when all live gates have a lease, after this gate had none: the server may have lost its data. Only beat uses it.
	complete time.Time
	view     atomic.Pointer[Secrets]

	hooksMu sync.Mutex // guards hooks
	hooks   []*func(context.Context) error

	begin sync.Once
	stop  context.CancelFunc
	ctx   context.Context
	wg    sync.WaitGroup
}

var validPrefix = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$`)

// CheckPrefix returns an error if a prefix of keys is not valid.
func CheckPrefix(prefix string) error {
	if !validPrefix.MatchString(prefix) {
		return errors.New("prefix must have 1 to 64 letters, digits and the characters _ . : -, and begin with a letter or digit")
	}
	return nil
}

// New returns a connection that is unavailable until Start has reached the server. It does not connect.
func New(o Options) (*Conn, error) {
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if err := CheckPrefix(o.Prefix); err != nil {
		return nil, err
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Logger == nil {
		o.Logger = func() *slog.Logger { return slog.New(slog.DiscardHandler) }
	}
	c := &Conn{options: o, node: rand.Text(), failed: make(chan struct{}, 1)}
	c.nodes.Store(int64(readNodes(o.NodesFile)))
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.client = newClient(&o)
	return c, nil
}

func newClient(o *Options) redis.UniversalClient {
	silence.Do(logging.Disable)
	a := &o.Address
	options := &redis.UniversalOptions{
		Addrs: a.Hosts, Username: a.User, Password: a.Password, DB: a.Database, MasterName: a.MasterName, IsClusterMode: a.Cluster,
		TLSConfig: a.TLS,
		// CLIENT may be forbidden.
		DisableIdentity: true,
		// A script may have run although its response was lost, so it is not retried.
		MaxRetries: -1, DialerRetries: 1,
		DialTimeout: dialTimeout, ReadTimeout: o.Timeout, WriteTimeout: o.Timeout, PoolTimeout: o.Timeout, ContextTimeoutEnabled: true,
		PoolSize:       poolSize,
		ReadBufferSize: 4 << 10, WriteBufferSize: 4 << 10,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if a.MasterName != "" {
		options.SentinelUsername, options.SentinelPassword = a.User, a.Password
	}
	if a.TLS == nil && a.Connection.Transport == transport.Local {
		options.Dialer = dialLocal
	}
	return redis.NewUniversalClient(options)
}

// silence runs once: go-redis writes to standard error, past Caddy's logs. All of its errors are returned, too.
var silence sync.Once

// dialTimeout is longer than the timeout of a decision, because the handshake of TLS takes several round trips.
const dialTimeout = time.Second

// dialLocal connects only to this machine: a Redis Cluster and Sentinels announce addresses that the configuration does not contain.
func dialLocal(ctx context.Context, network, addr string) (net.Conn, error) {
	if host, _, err := net.SplitHostPort(addr); err != nil || !transport.IsLocal(host) {
		return nil, errPlaintext(host)
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	return dialer.DialContext(ctx, network, addr)
}

// Available reports whether decisions can be shared now.
func (c *Conn) Available() bool { return c.up.Load() }

// Node returns the random ID of this gate.
func (c *Conn) Node() string { return c.node }

// Nodes returns the number of live gates, with this one; while the server is unavailable, the last known one. It is at least 1.
func (c *Conn) Nodes() int { return int(c.nodes.Load()) }

// Fallback reports a decision by the limits of this gate alone to the observer.
func (c *Conn) Fallback(limit string) {
	if o := c.options.Observer; o != nil {
		o.Fallback(limit)
	}
}

// Key returns the name of a key. All keys with the same tag are in the same slot of a Redis Cluster, so one script may use them. The tag
// must not contain braces.
func (c *Conn) Key(tag, name string) string { return c.options.Prefix + ":{" + tag + "}:" + name }

// probing is the context key of calls that are allowed while the server is not available yet.
type probing struct{}

// Run runs a script for a decision, and returns its result as go-redis does. It returns ErrUnavailable immediately while the server is
// unavailable; any other error makes it unavailable, unless the context has ended.
func (c *Conn) Run(ctx context.Context, script *redis.Script, keys []string, args ...any) (any, error) {
	if !c.up.Load() && ctx.Value(probing{}) == nil {
		return nil, ErrUnavailable
	}
	timeout, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	start := time.Now()
	result, err := script.Run(timeout, c.client, keys, args...).Result()
	if o := c.options.Observer; o != nil {
		o.RoundTrip(time.Since(start))
	}
	if errors.Is(err, redis.Nil) {
		return nil, nil //nolint:nilnil // the result of a script that returns nil
	}
	if err != nil && ctx.Err() == nil {
		c.fail()
	}
	if err != nil {
		return nil, fmt.Errorf("running a script: %w", err)
	}
	return result, nil
}

// Call is a call of a script by [Conn.RunAll].
type Call struct {
	Keys []string
	Args []any

	// Result and Err are set by RunAll.
	Result any
	Err    error
}

// RunAll runs a script many times in one round trip to each server, in no defined order, for work in the background. The timeout is ten
// times that of a decision. It returns the first error of a call, if any.
func (c *Conn) RunAll(ctx context.Context, script *redis.Script, calls []Call) error {
	if !c.up.Load() && ctx.Value(probing{}) == nil {
		return ErrUnavailable
	}
	if len(calls) == 0 {
		return nil
	}
	timeout, cancel := context.WithTimeout(ctx, 10*c.options.Timeout)
	defer cancel()
	commands := make([]*redis.Cmd, len(calls))
	pipe := c.client.Pipeline()
	for i := range calls {
		commands[i] = script.EvalSha(timeout, pipe, calls[i].Keys, calls[i].Args...)
	}
	_, _ = pipe.Exec(timeout) // the commands have its errors
	var first error
	for i := range calls {
		call := &calls[i]
		call.Result, call.Err = commands[i].Result()
		if redis.HasErrorPrefix(call.Err, "NOSCRIPT") {
			call.Result, call.Err = script.Run(timeout, c.client, call.Keys, call.Args...).Result()
		}
		if errors.Is(call.Err, redis.Nil) {
			call.Result, call.Err = nil, nil
		}
		if call.Err != nil && first == nil {
			first = fmt.Errorf("running a script: %w", call.Err)
		}
	}
	if first != nil && ctx.Err() == nil {
		c.fail()
	}
	return first
}

// fail makes the server unavailable until a probe succeeds.
func (c *Conn) fail() {
	c.up.Store(false)
	select {
	case c.failed <- struct{}{}:
	default:
	}
}
