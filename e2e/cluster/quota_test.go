package cluster

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/redistest"
)

// quotaOfTests is the number of questions that all gates together admit with one key in a day.
const quotaOfTests = 30

// TestQuotas is the contract of quotas that are decided in Redis: concurrent questions at all gates get exactly the quota. While Redis fails,
// they get what is left, at most one share more if only one gate is cut off. No fault gives anything back.
func TestQuotas(t *testing.T) {
	server := redistest.Start(t)
	c := startShared(t, 3, sharedServer(t), server, redisTimeout)
	keys := map[string]key{}
	for _, name := range []string{"shared", "restart", "partition", "unresponsive", "afterwards"} {
		var k key
		body := fmt.Sprintf(`{"name":%q,"sources":[%q],"limits":{"questions_per_day":%d}}`, name, source, quotaOfTests)
		if err := c.nodes[0].call(t.Context(), http.MethodPost, "keys", body, &k); err != nil {
			t.Fatal(err)
		}
		c.everywhereKnown(k)
		keys[name] = k
	}
	c.awaitShared()
	total := map[string]int{}
	ask := func(name string, least, most int) {
		t.Helper()
		n := c.admittedConcurrently(keys[name].Token, 2*quotaOfTests)
		if n < least || n > most {
			t.Errorf("%s: %d questions were admitted, want %d to %d", name, n, least, most)
		}
		total[name] += n
	}
	ask("shared", quotaOfTests, quotaOfTests)

	if err := server.Client().FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	ask("shared", 0, 0)

	server.Stop()
	ask("shared", 0, 0)
	ask("restart", quotaOfTests, quotaOfTests)
	server.Restart()
	c.awaitShared()
	ask("shared", 0, 0)
	ask("restart", 0, 0)

	c.nodes[0].redis.Refuse()
	ask("partition", quotaOfTests, quotaOfTests+quotaOfTests/3)
	c.nodes[0].redis.Accept()
	c.awaitShared()
	ask("partition", 0, 0)

	each := func(f func(*feedtest.Proxy)) {
		for _, n := range c.nodes {
			f(n.redis)
		}
	}
	each((*feedtest.Proxy).Blackhole)
	ask("unresponsive", quotaOfTests, quotaOfTests)
	each((*feedtest.Proxy).Accept)
	c.awaitShared()
	ask("unresponsive", 0, 0)
	ask("afterwards", quotaOfTests, quotaOfTests)
	for name, k := range keys {
		for _, n := range c.nodes {
			waitFor(t, fmt.Sprintf("%s has %d questions of %s", n.name, total[name], name), func() bool {
				found, err := n.counts(k)
				return err == nil && found.questions == total[name]
			})
		}
	}
}

// admittedConcurrently sends this many questions to each node, some at the same time, and returns how many are not rejected by a quota.
func (c *cluster) admittedConcurrently(token string, questions int) int {
	c.t.Helper()
	var admitted atomic.Int64
	var asking sync.WaitGroup
	for _, n := range c.nodes {
		left := atomic.Int64{}
		left.Store(int64(questions))
		for range 4 {
			asking.Go(func() {
				for left.Add(-1) >= 0 {
					switch got, text := n.ask(token); {
					case got == valid:
						admitted.Add(1)
					case !strings.Contains(text, "quota_exceeded"):
						c.t.Errorf("%s: a question is neither answered nor over the quota: %s", n.name, text)
					}
				}
			})
		}
	}
	asking.Wait()
	return int(admitted.Load())
}
