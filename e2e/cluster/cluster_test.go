package cluster

import (
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/docsgpttest"
	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/pgtest"
)

const (
	credential = "dgpt_pat_of-the-gates"
	source     = "7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10"
)

// unknownToken has the form and the checksum of a token, but no key has it.
const unknownToken = "dgk_0000000000000000000000000000002C8GjS"

// patience is how long a condition may take to become true on a busy machine.
const patience = 30 * time.Second

// cluster is several gates with a database.
type cluster struct {
	t        *testing.T
	upstream string // address of DocsGPT
	database database
	nodes    []*node
}

// database is where the gates connect to.
type database struct {
	hosts []string // of the servers
	name  string
	query string // of the URI
}

// sharedServer returns a new database on the server of all tests.
func sharedServer(t *testing.T) database {
	return database{hosts: []string{pgtest.Host()}, name: pgtest.Database(t), query: "sslmode=disable"}
}

// ownServer returns a database on a server of the test.
func ownServer(t *testing.T) (*pgtest.Server, database) {
	s := pgtest.NewServer(t)
	s.Exec("CREATE DATABASE docsgate")
	return s, database{hosts: []string{s.Host()}, name: "docsgate", query: "sslmode=disable"}
}

// uri returns the address of the database by way of the proxies.
func (d database) uri(proxies []*feedtest.Proxy) string {
	hosts := make([]string, len(proxies))
	for i, p := range proxies {
		hosts[i] = p.Addr()
	}
	return "postgres://postgres@" + strings.Join(hosts, ",") + "/" + d.name + "?" + d.query
}

// start starts gates that share a database, with a proxy between each gate and each server.
func start(t *testing.T, count int, d database) *cluster {
	t.Helper()
	return startWith(t, count, d, func(*node) {})
}

// startWith is like start, for nodes that prepare completes.
func startWith(t *testing.T, count int, d database, prepare func(*node)) *cluster {
	t.Helper()
	backend := httptest.NewServer(docsgpttest.New(docsgpttest.Options{
		Tokens: map[string][]string{credential: nil}, Sources: map[string]string{source: "handbook"}, Delay: 30 * time.Millisecond,
	}))
	t.Cleanup(backend.Close)
	c := &cluster{t: t, upstream: strings.TrimPrefix(backend.URL, "http://"), database: d}
	for i := range count {
		n := newNode(c, i)
		for _, host := range d.hosts {
			n.proxies = append(n.proxies, feedtest.NewProxy(t, host))
		}
		n.store = d.uri(n.proxies)
		prepare(n)
		n.configure()
		c.nodes = append(c.nodes, n)
		n.start() // one after the other, since they create the tables
	}
	t.Cleanup(func() {
		if t.Failed() {
			c.printLogs()
		}
	})
	return c
}

// printLogs prints the last lines of the log of each gate.
func (c *cluster) printLogs() {
	for _, n := range c.nodes {
		lines := strings.Split(strings.TrimSpace(n.log.String()), "\n")
		c.t.Logf("log of %s:\n%s", n.name, strings.Join(lines[max(0, len(lines)-15):], "\n"))
	}
}

// each calls f for every proxy of the nodes.
func each(nodes []*node, f func(p *feedtest.Proxy)) {
	for _, n := range nodes {
		for _, p := range n.proxies {
			f(p)
		}
	}
}

// waitFor waits until a condition is true.
func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

// everywhere waits until every node gives a verdict on a token.
func (c *cluster) everywhere(token string, want verdict) {
	c.t.Helper()
	for _, n := range c.nodes {
		n.awaitVerdict(token, want)
	}
}

// setting returns the value of an environment variable, or a default.
func setting[T any](t *testing.T, name string, value T) T {
	t.Helper()
	if text := os.Getenv(name); text != "" {
		if _, err := fmt.Sscan(text, &value); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return value
}
