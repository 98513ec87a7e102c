package sharedlimits

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/redistest"
	"github.com/docsgate/docsgate/internal/tlstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// slow is a timeout that a busy machine keeps.
const slow = 20 * time.Second

// open starts a connection, which is closed when the test ends.
func open(t *testing.T, url string, change func(*Options)) *Conn {
	t.Helper()
	address, err := ParseAddress(url, false)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Address: address, Timeout: slow}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	c.Start()
	return c
}

func wait(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(feedtest.Timeout); !reached(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timeout: %s", what)
		}
	}
}

var increment = redis.NewScript(`return redis.call('INCR', KEYS[1])`)

func (c *Conn) increment(t *testing.T) (any, error) {
	t.Helper()
	return c.Run(t.Context(), increment, []string{c.Key("k", "test")})
}

func TestNodes(t *testing.T) {
	server := redistest.Start(t)
	a, b := open(t, server.URL(), nil), open(t, server.URL(), nil)
	other := open(t, server.URL(), func(o *Options) { o.Prefix = "other" })
	wait(t, "two gates", func() bool { return a.Available() && a.Nodes() == 2 && b.Nodes() == 2 })
	wait(t, "one gate with the other prefix", func() bool { return other.Available() && other.Nodes() == 1 })
	if a.Node() == b.Node() {
		t.Error("two gates have the same ID")
	}
	// A killed gate counts until the end of its lease.
	client := server.Client()
	now := client.Time(t.Context()).Val()
	for node, expires := range map[string]time.Duration{"live": Lease, "expired": -time.Second, "clock": time.Hour} {
		client.ZAdd(t.Context(), "docsgate:{(gates)}:gates", redis.Z{Score: float64(now.Add(expires).UnixMilli()), Member: node})
	}
	wait(t, "the gate with a lease", func() bool { return a.Nodes() == 3 && b.Nodes() == 3 })
	client.ZRem(t.Context(), "docsgate:{(gates)}:gates", "live")
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	wait(t, "one gate", func() bool { return a.Nodes() == 1 })
}

// A server that has lost its data does not know the other gates until their next heartbeats. If it fails before, each gate must still apply
// only its share of each limit.
func TestNodesAfterLoss(t *testing.T) {
	server := redistest.Start(t)
	a, client, gates := open(t, server.URL(), nil), server.Client(), "docsgate:{(gates)}:gates"
	wait(t, "one gate", a.Available)
	expires := client.Time(t.Context()).Val().Add(Lease)
	client.ZAdd(t.Context(), gates, redis.Z{Score: float64(expires.UnixMilli()), Member: "other"})
	wait(t, "two gates", func() bool { return a.Nodes() == 2 })
	client.FlushAll(t.Context())
	wait(t, "a heartbeat", func() bool { return client.ZScore(t.Context(), gates, a.Node()).Err() == nil })
	for range 20 {
		if n := a.Nodes(); n != 2 {
			t.Fatalf("%d gates after the server has lost its data", n)
		}
		time.Sleep(5 * time.Millisecond)
	}
	wait(t, "one gate, since the other sends no heartbeats", func() bool { return a.Nodes() == 1 })
}

// The gates use the same secrets, also after the server has lost all data.
func TestSecrets(t *testing.T) {
	server := redistest.Start(t)
	a, b := open(t, server.URL(), nil), open(t, server.URL(), nil)
	wait(t, "secrets", func() bool { return a.Secrets() != nil && b.Secrets() != nil })
	secrets := *a.Secrets()
	if secrets != *b.Secrets() || secrets.Current == (Secret{}) || secrets.Next == (Secret{}) || secrets.Previous != (Secret{}) ||
		secrets.Current == secrets.Next {
		t.Fatalf("%+v, %+v", secrets, *b.Secrets())
	}
	lost := make(chan struct{}, 1)
	remove := a.OnAvailable(func(context.Context) error {
		select {
		case lost <- struct{}{}:
		default:
		}
		return nil
	})
	server.Client().FlushAll(t.Context())
	select {
	case <-lost:
	case <-time.After(feedtest.Timeout):
		t.Fatal("the loss of all data was not noticed")
	}
	remove()
	if *a.Secrets() != secrets {
		t.Error("the secrets have changed")
	}
	wait(t, "secrets", func() bool { return len(server.Client().HGetAll(t.Context(), "docsgate:{(gates)}:secrets").Val()) == 2 })
	c := open(t, server.URL(), nil)
	wait(t, "secrets", func() bool { return c.Secrets() != nil })
	if *c.Secrets() != secrets {
		t.Error("the secrets have changed")
	}
}

func TestScripts(t *testing.T) {
	server := redistest.Start(t)
	c := open(t, server.URL(), nil)
	wait(t, "the server", c.Available)
	if n, err := c.increment(t); err != nil || n != int64(1) {
		t.Fatal(n, err)
	}
	client := server.Client()
	client.ScriptFlush(t.Context())
	calls := make([]Call, 3)
	for i := range calls {
		calls[i].Keys = []string{c.Key("k", "test")}
	}
	if err := c.RunAll(t.Context(), increment, calls); err != nil || client.Get(t.Context(), "docsgate:{k}:test").Val() != "4" {
		t.Fatal(calls, err)
	}
	client.ScriptFlush(t.Context())
	if n, err := c.increment(t); err != nil || n != int64(5) {
		t.Fatal(n, err)
	}
	if n, err := c.Run(t.Context(), redis.NewScript("return nil"), nil); n != nil || err != nil {
		t.Error(n, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Run(ended, increment, []string{"k"}); !errors.Is(err, context.Canceled) || !c.Available() {
		t.Errorf("%v: the end of a request is not a failure of the server", err)
	}
}

// observer counts.
type observer struct{ roundTrips atomic.Int64 }

func (o *observer) RoundTrip(time.Duration) { o.roundTrips.Add(1) }
func (*observer) Fallback(string)           {}

// After a failure no decision waits for the server, until a probe has succeeded.
func TestUnavailable(t *testing.T) {
	for name, fault := range map[string]func(*feedtest.Proxy){"refused": (*feedtest.Proxy).Refuse, "stalled": (*feedtest.Proxy).Blackhole} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			proxy := feedtest.NewProxy(t, server.Addr())
			fault(proxy)
			var o observer
			c := open(t, "redis://"+proxy.Addr(), func(options *Options) { options.Timeout, options.Observer = time.Second, &o })
			if _, err := c.increment(t); !errors.Is(err, ErrUnavailable) || c.Available() {
				t.Fatal(err)
			}
			for range 2 {
				proxy.Accept()
				wait(t, "the server", c.Available)
				wait(t, "a decision", func() bool { _, err := c.increment(t); return err == nil })
				fault(proxy)
				wait(t, "a failure", func() bool { _, err := c.increment(t); return err != nil })
				if _, err := c.increment(t); !errors.Is(err, ErrUnavailable) {
					t.Fatal(err)
				}
			}
		})
	}
}

// The server is unavailable if it accepts no writes, and after a restart its scripts are loaded again.
func TestReadOnly(t *testing.T) {
	server := redistest.Start(t)
	c := open(t, server.URL(), nil)
	wait(t, "the server", c.Available)
	client := server.Client()
	for fault, fix := range map[[3]string][3]string{
		{"CONFIG SET", "maxmemory", "1"}: {"CONFIG SET", "maxmemory", "0"},
		{"REPLICAOF", "127.0.0.1", "1"}:  {"REPLICAOF", "NO", "ONE"},
	} {
		for i, command := range [][3]string{fault, fix} {
			args := []any{}
			for _, arg := range append(strings.Fields(command[0]), command[1:]...) {
				args = append(args, arg)
			}
			if err := client.Do(t.Context(), args...).Err(); err != nil {
				t.Fatal(err)
			}
			wait(t, command[0], func() bool { return c.Available() == (i == 1) })
		}
	}
	server.Restart()
	wait(t, "a decision", func() bool { n, err := c.increment(t); return err == nil && n == int64(1) })
}

// The last number of gates is known at a start during an outage.
func TestNodesFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data", "gates")
	server := redistest.Start(t)
	withFile := func(o *Options) { o.NodesFile = file }
	a := open(t, server.URL(), withFile)
	open(t, server.URL(), nil)
	wait(t, "two gates", func() bool { return a.Nodes() == 2 })
	_ = a.Close()
	server.Stop()
	if b := open(t, server.URL(), withFile); b.Nodes() != 2 {
		t.Errorf("%d gates", b.Nodes())
	}
	for _, text := range []string{"", "0", "-3", "100000", "two"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if n := readNodes(file); n != 1 {
			t.Errorf("%q: %d gates", text, n)
		}
	}
}

func TestCluster(t *testing.T) {
	servers := redistest.StartCluster(t)
	c := open(t, servers[0].URL()+"?cluster=true", nil)
	wait(t, "the cluster", c.Available)
	calls := make([]Call, 50) // in all slots
	for i := range calls {
		calls[i].Keys = []string{c.Key(strconv.Itoa(i), "1"), c.Key(strconv.Itoa(i), "2")}
	}
	if err := c.RunAll(t.Context(), redis.NewScript(`redis.call('INCR', KEYS[1]) return redis.call('INCR', KEYS[2])`), calls); err != nil {
		t.Fatal(err)
	}
	for _, s := range servers {
		if n := s.Client().DBSize(t.Context()).Val(); n == 0 {
			t.Error("a master has no keys")
		}
	}
	for i := range calls {
		if calls[i].Result != int64(1) || calls[i].Err != nil {
			t.Errorf("%+v", calls[i])
		}
	}
}

func TestSentinel(t *testing.T) {
	server := redistest.Start(t)
	sentinel := redistest.StartSentinel(t, "limits", server)
	c := open(t, sentinel.URL()+"?master_name=limits", nil)
	wait(t, "the server", c.Available)
	if n, err := c.increment(t); err != nil || n != int64(1) {
		t.Fatal(n, err)
	}
}

// The certificate of the server is verified.
func TestTLS(t *testing.T) {
	signed, err := tlstest.New("localhost")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string][]byte{"ca.pem": signed.CA, "server.pem": signed.Certificate, "server.key": signed.Key} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := redistest.Start(t, "--port", "0", "--tls-port", "PORT", "--tls-auth-clients", "no", "--tls-ca-cert-file", filepath.Join(dir, "ca.pem"),
		"--tls-cert-file", filepath.Join(dir, "server.pem"), "--tls-key-file", filepath.Join(dir, "server.key"))
	_, port, _ := net.SplitHostPort(server.Addr())
	trusting := open(t, "rediss://localhost:"+port+"?ca_file="+filepath.Join(dir, "ca.pem"), nil)
	wait(t, "the server", trusting.Available)
	if _, err := trusting.increment(t); err != nil {
		t.Error(err)
	}
	for _, url := range []string{"rediss://localhost:" + port, "rediss://127.0.0.1:" + port + "?ca_file=" + filepath.Join(dir, "ca.pem"), "redis://localhost:" + port} {
		c := open(t, url, nil)
		if err := c.ping(t.Context()); err == nil || c.Available() {
			t.Errorf("%s: the gate has connected", url)
		}
	}
}

func TestPassword(t *testing.T) {
	server := redistest.Start(t, "--requirepass", "secret")
	c := open(t, "redis://:secret@"+server.Addr(), nil)
	wait(t, "the server", c.Available)
	wrong := open(t, "redis://:wrong@"+server.Addr(), nil)
	if err := wrong.ping(t.Context()); err == nil || wrong.Available() {
		t.Error("a wrong password was accepted")
	}
}
