package sharedlimits

import (
	"context"
	"crypto/rand"
	_ "embed" // the script
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/docsgate/docsgate/internal/atomicfile"
)

const (
	// Lease is how long a gate counts as live after its last heartbeat, by the clock of the server.
	Lease = 10 * time.Second

	// heartbeatInterval is the interval of heartbeats.
	heartbeatInterval = 2 * time.Second

	// The pause before the next probe of an unavailable server doubles from the one to the other.
	minProbePause = 50 * time.Millisecond
	maxProbePause = time.Second

	// maxNodes bounds the number in the file.
	maxNodes = 10_000

	// gatesTag is the tag of the keys that do not belong to a key of the gate. It is not a valid ID of a key.
	gatesTag = "(gates)"
)

//go:embed heartbeat.lua
var heartbeatSource string

var heartbeatScript = redis.NewScript(heartbeatSource)

// Secrets are the secrets that all gates use on a day (UTC) of the server's clock, and those of the days before and after.
type Secrets struct {
	Day                     int64 // since 1970
	Previous, Current, Next Secret
}

// Secret is a random secret. The zero value means that there is none.
type Secret [32]byte

// Secrets returns the secrets of the last heartbeat, or nil before the first.
func (c *Conn) Secrets() *Secrets { return c.view.Load() }

// OnAvailable adds a function that is called before the server becomes available, and after its data was lost. Its context allows calls
// of Run and RunAll. If it returns an error, the server remains unavailable. remove removes it again.
func (c *Conn) OnAvailable(f func(context.Context) error) (remove func()) {
	c.hooksMu.Lock()
	defer c.hooksMu.Unlock()
	c.hooks = append(c.hooks, &f)
	return func() {
		c.hooksMu.Lock()
		defer c.hooksMu.Unlock()
		c.hooks = slices.DeleteFunc(c.hooks, func(o *func(context.Context) error) bool { return o == &f })
	}
}

// Start connects in the background, once.
func (c *Conn) Start() {
	c.begin.Do(func() { c.wg.Go(c.beat) })
}

// Close ends the lease of the gate and closes the connections.
func (c *Conn) Close() error {
	c.stop()
	c.wg.Wait()
	if c.up.Swap(false) {
		ctx, cancel := context.WithTimeout(context.Background(), c.options.Timeout)
		defer cancel()
		_ = c.client.ZRem(ctx, c.Key(gatesTag, "gates"), c.node).Err() // otherwise the lease expires
	}
	return c.client.Close()
}

// beat sends heartbeats, and probes the server while it is unavailable.
func (c *Conn) beat() {
	pause := minProbePause
	since, warned := time.Time{}, false
	for c.ctx.Err() == nil {
		if err := c.heartbeat(); err != nil {
			c.up.Store(false)
			if !warned && c.ctx.Err() == nil {
				warned = true
				c.options.Logger().Warn("the server of shared_limits is unavailable: this gate applies its share of each limit until it is "+
					"available again", "error", err.Error(), "gates", c.Nodes())
			}
			c.sleep(pause)
			pause = min(2*pause, maxProbePause)
			continue
		}
		if c.up.CompareAndSwap(false, true) {
			since, warned = time.Now(), false
			c.options.Logger().Info("limits are shared with other gates", "gates", c.Nodes())
		} else if time.Since(since) > heartbeatInterval {
			pause = minProbePause
		}
		timer := time.NewTimer(heartbeatInterval)
		select {
		case <-c.ctx.Done():
		case <-timer.C:
		case <-c.failed:
			// A server that responds to heartbeats only must not be probed after each decision that fails.
			c.sleep(pause)
			pause = min(2*pause, maxProbePause)
		}
		timer.Stop()
	}
}

func (c *Conn) sleep(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-c.ctx.Done():
	case <-timer.C:
	}
	select {
	case <-c.failed: // of a decision before
	default:
	}
}

// heartbeat renews the lease of this gate. Before the server becomes available, it calls the hooks.
func (c *Conn) heartbeat() error {
	ctx := context.WithValue(c.ctx, probing{}, true)
	if !c.up.Load() {
		if err := c.ping(ctx); err != nil {
			return err
		}
	}
	args := []any{c.node, Lease.Milliseconds(), newSecret(), newSecret()}
	if s := c.view.Load(); s != nil {
		for i, secret := range []Secret{s.Previous, s.Current, s.Next} {
			if secret != (Secret{}) {
				args = append(args, s.Day-1+int64(i), hex.EncodeToString(secret[:]))
			}
		}
	}
	result, err := c.Run(ctx, heartbeatScript, []string{c.Key(gatesTag, "gates"), c.Key(gatesTag, "secrets")}, args...)
	if err != nil {
		return err
	}
	nodes, known, secrets, err := parseHeartbeat(result)
	if err != nil {
		return err
	}
	c.view.Store(secrets)
	now := time.Now()
	if !known {
		c.complete = now.Add(Lease)
	}
	if now.Before(c.complete) {
		nodes = max(nodes, c.Nodes()) // the others have not renewed their leases yet
	}
	c.setNodes(nodes)
	if known && c.up.Load() {
		return nil
	}
	return c.callHooks(ctx)
}

// newSecret returns a random secret in hexadecimal.
func newSecret() string {
	var secret Secret
	_, _ = rand.Read(secret[:]) // never fails
	return hex.EncodeToString(secret[:])
}

// ping opens connections to all servers, for which the timeout of a decision may be too short.
func (c *Conn) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if cluster, ok := c.client.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error { return master.Ping(ctx).Err() })
	}
	return c.client.Ping(ctx).Err()
}

func (c *Conn) callHooks(ctx context.Context) error {
	c.hooksMu.Lock()
	hooks := slices.Clone(c.hooks)
	c.hooksMu.Unlock()
	for _, hook := range hooks {
		if err := (*hook)(ctx); err != nil {
			return err
		}
	}
	return nil
}

var errHeartbeat = errors.New("the server's response to a heartbeat is malformed")

func parseHeartbeat(result any) (nodes int, known bool, secrets *Secrets, err error) {
	values, ok := result.([]any)
	if !ok || len(values) != 6 {
		return 0, false, nil, errHeartbeat
	}
	var numbers [3]int64
	for i := range numbers {
		if numbers[i], ok = values[i].(int64); !ok {
			return 0, false, nil, errHeartbeat
		}
	}
	secrets = &Secrets{Day: numbers[2]}
	for i, to := range []*Secret{&secrets.Previous, &secrets.Current, &secrets.Next} {
		text, ok := values[3+i].(string)
		if !ok {
			return 0, false, nil, errHeartbeat
		}
		if text == "" {
			continue
		}
		raw, err := hex.DecodeString(text)
		if err != nil || len(raw) != len(to) {
			return 0, false, nil, errHeartbeat
		}
		copy(to[:], raw)
	}
	if secrets.Current == (Secret{}) {
		return 0, false, nil, errHeartbeat
	}
	return max(int(numbers[0]), 1), numbers[1] == 1, secrets, nil
}

// setNodes stores the number of live gates, also in the file.
func (c *Conn) setNodes(n int) {
	if c.nodes.Swap(int64(n)) == int64(n) || c.options.NodesFile == "" {
		return
	}
	err := os.MkdirAll(filepath.Dir(c.options.NodesFile), 0o700)
	if err == nil {
		err = atomicfile.Replace(c.options.NodesFile, []byte(strconv.Itoa(n)+"\n"))
	}
	if err != nil {
		c.options.Logger().Warn("storing the number of gates failed", "error", err.Error())
	}
}

// readNodes returns the number in a file. It is 1 without a valid file.
func readNodes(path string) int {
	if path == "" {
		return 1
	}
	data, err := atomicfile.Read(path, 64)
	if err != nil {
		return 1
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || n < 1 || n > maxNodes {
		return 1
	}
	return n
}
