package cluster

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/docsgate/docsgate/internal/feedtest"
)

// counts are the requests and questions of a key that a gate knows.
type counts struct{ requests, questions int }

func (n *node) counts(k key) (found counts, err error) {
	var shown struct {
		Requests []int `json:"requests_24h"`
		Quota    struct {
			Questions int `json:"questions_this_month"`
		} `json:"quota"`
	}
	err = n.call(n.c.t.Context(), http.MethodGet, "keys/"+k.ID, "", &shown)
	found.questions = shown.Quota.Questions
	for _, requests := range shown.Requests {
		found.requests += requests
	}
	return found, err
}

// TestCounts is the contract of usage and quotas: each gate learns what all have counted, nothing is lost or counted twice while the
// connections fail, and a killed gate loses at most what it has not added yet.
func TestCounts(t *testing.T) {
	c := start(t, 3, sharedServer(t))
	var k key
	body := fmt.Sprintf(`{"name":"counted","sources":[%q],"limits":{"questions_per_day":1000}}`, source)
	if err := c.nodes[0].call(t.Context(), http.MethodPost, "keys", body, &k); err != nil {
		t.Fatal(err)
	}
	c.everywhere(k.Token, valid)
	asked := len(c.nodes)
	ask := func(each int) {
		t.Helper()
		var asking sync.WaitGroup
		for _, n := range c.nodes {
			asking.Go(func() {
				for range each {
					n.expect(k.Token, valid)
				}
			})
		}
		asking.Wait()
		asked += each * len(c.nodes)
	}
	everyGateHas := func(when string) {
		t.Helper()
		for _, n := range c.nodes {
			waitFor(t, fmt.Sprintf("%s has %d requests and questions %s", n.name, asked, when), func() bool {
				found, err := n.counts(k)
				return err == nil && found == counts{asked, asked}
			})
		}
	}
	ask(10)
	everyGateHas("without failures")

	for range 5 {
		each(c.nodes, func(p *feedtest.Proxy) { p.Refuse() })
		ask(2)
		each(c.nodes, func(p *feedtest.Proxy) { p.Accept() })
		ask(2)
	}
	everyGateHas("after the connections were lost")

	killed := c.nodes[0]
	killed.kill()
	killed.start()
	everyGateHas("after a gate was killed that had added its counts")

	for range 3 {
		killed.expect(k.Token, valid)
	}
	killed.kill()
	killed.start()
	found, err := killed.counts(k)
	if err != nil {
		t.Fatal(err)
	}
	if found.requests < asked || found.requests > asked+3 || found.questions < asked || found.questions > asked+3 {
		t.Errorf("a gate that was killed at once has %+v, want %d to %d", found, asked, asked+3)
	}
	body = fmt.Sprintf(`{"limits":{"questions_per_day":%d}}`, found.questions)
	if err := killed.call(t.Context(), http.MethodPatch, "keys/"+k.ID, body, nil); err != nil {
		t.Fatal(err)
	}
	for _, n := range c.nodes {
		waitFor(t, n.name+" rejects a question over the quota of all", func() bool {
			_, text := n.ask(k.Token)
			return strings.Contains(text, "quota_exceeded")
		})
	}
}
