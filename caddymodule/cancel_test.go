package caddymodule_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/caddymodule"
	"github.com/docsgate/docsgate/internal/docsgpttest"
)

// canceledAnswers returns the number of answers with a reason and a result.
func (g *gate) canceledAnswers(reason, result string) int {
	g.t.Helper()
	n, _ := strconv.Atoi(g.metric(fmt.Sprintf("caddy_docsgate_cancelled_answers_total{reason=%q,result=%q} ", reason, result)))
	return n
}

// openStream sends a question over a new connection, which disconnect closes. The response is not read.
func (g *gate) openStream(http2 bool, token, question string) (resp *http.Response, disconnect func()) {
	g.t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetUnencryptedHTTP2(http2)
	g.t.Cleanup(transport.CloseIdleConnections)
	ctx, cancel := context.WithCancel(g.t.Context())
	g.t.Cleanup(cancel)
	body := fmt.Sprintf(`{"question":%q,"history":"[]","api_key":%q}`, question, token)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.urls[0]+"/stream", strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if resp, err = transport.RoundTrip(r); err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { resp.Body.Close() })
	return resp, cancel
}

// abandonments are the ways in which the gate stops relaying an answer before its end.
var abandonments = map[string]struct {
	token, question string
	options         string // of the handler
	reason          string
	abandon         func(t *testing.T, g *gate, token, question string)
}{
	"the client disconnects": {
		tokenAgent, "[[gap=600]]", "", "client_disconnected",
		func(_ *testing.T, g *gate, token, question string) { g.disconnect(false, token, question) },
	},
	"a client with a key of a source disconnects": {
		tokenSource, "[[gap=600]]", "", "client_disconnected",
		func(_ *testing.T, g *gate, token, question string) { g.disconnect(false, token, question) },
	},
	"an HTTP/2 client resets its stream": {
		tokenAgent, "[[gap=600]]", "", "client_disconnected",
		func(_ *testing.T, g *gate, token, question string) { g.disconnect(true, token, question) },
	},
	"the client disconnects before the message is named": {
		tokenAgent, "[[idgap=1]][[gap=600]]", "", "client_disconnected",
		func(_ *testing.T, g *gate, _, question string) {
			g.disconnectEarly(question)
		},
	},
	"the client disconnects before the header": {
		tokenAgent, "[[wait=1]][[gap=600]]", "", "client_disconnected",
		func(_ *testing.T, g *gate, _, question string) {
			g.disconnectEarly(question)
		},
	},
	"the client does not read": {
		tokenAgent, "[[words=100000]][[gap=0.1]]", "client_write_timeout 1s", "client_too_slow",
		func(t *testing.T, g *gate, _, question string) {
			c := g.dial()
			_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
			writeTo(t, c, rawQuestion("/stream", question))
			waitFor(t, "the client is disconnected", func() bool { return caddymodule.Tracked() == 1 })
			waitFor(t, "the client is disconnected", func() bool { return caddymodule.Tracked() == 0 })
		},
	},
	"the key is revoked": {
		tokenAgent, "[[gap=600]]", "", "key_revoked",
		func(t *testing.T, g *gate, token, question string) {
			resp, _ := g.openStream(false, token, question)
			g.writeKeys("keys: []\n")
			readEnd(t, resp, "key_revoked")
		},
	},
	"the model calls a tool": {
		tokenSource, "[[tool=memory]][[gap=600]]", "", "tools_not_allowed",
		func(t *testing.T, g *gate, token, question string) {
			resp, _ := g.openStream(false, token, question)
			readEnd(t, resp, "tools_not_allowed")
		},
	},
	"DocsGPT is silent for too long": {
		tokenAgent, "[[gap=600]]", "stream_idle_timeout 1s", "upstream_timeout",
		func(t *testing.T, g *gate, token, question string) {
			resp, _ := g.openStream(false, token, question)
			readEnd(t, resp, "upstream_timeout")
		},
	},
	"the process exits": {
		tokenAgent, "[[gap=600]]", "", "shutting_down",
		func(t *testing.T, g *gate, token, question string) {
			resp, _ := g.openStream(false, token, question)
			awaitAnswer(t, resp) // so that the message of the answer is known
			caddymodule.Exiting(t)
			caddymodule.EndRequests(0)
			readEnd(t, resp, "shutting_down")
			waitFor(t, "the request is over", func() bool { return caddymodule.Tracked() == 0 })
			if len(g.backend.Cancellations()) == 0 {
				t.Error("the process may exit before the answer is canceled")
			}
		},
	},
}

// disconnect sends a question, and disconnects when the answer has begun.
func (g *gate) disconnect(http2 bool, token, question string) {
	g.t.Helper()
	resp, disconnect := g.openStream(http2, token, question)
	awaitAnswer(g.t, resp)
	disconnect()
}

// awaitAnswer reads a stream until the answer has begun. The body then contains what follows.
func awaitAnswer(t *testing.T, resp *http.Response) {
	t.Helper()
	in := bufio.NewReader(resp.Body)
	for line := ""; !strings.Contains(line, `"answer"`); {
		var err error
		if line, err = in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{in, resp.Body}
}

// disconnectEarly sends a question, and disconnects when DocsGPT has received it.
func (g *gate) disconnectEarly(question string) {
	g.t.Helper()
	c := g.dial()
	writeTo(g.t, c, rawQuestion("/stream", question))
	g.waitForRequests(1)
	c.Close()
}

// readEnd reads a stream to its end, which must be an error with that code.
func readEnd(t *testing.T, resp *http.Response, code string) {
	t.Helper()
	text, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(text), `"code":"`+code+`"`) {
		t.Errorf("%v: %s", err, text)
	}
}

// An answer that is abandoned is canceled at DocsGPT, which would continue it otherwise. It counts as in flight no longer.
func TestAbandonedAnswerIsCanceled(t *testing.T) {
	for name, c := range abandonments {
		t.Run(name, func(t *testing.T) {
			for mode, site := range forwardModes {
				if mode != "built-in" && strings.HasPrefix(c.options, "stream_idle_timeout") {
					continue // reverse_proxy has its own timeouts
				}
				t.Run(mode, func(t *testing.T) {
					g := newGate(t)
					t.Setenv("DOCSGPT_TOKEN", session)
					g.withHTTP2()
					g.start(fmt.Sprintf(site, g.address, c.options))
					before := g.canceledAnswers(c.reason, "canceled")
					c.abandon(t, g, c.token, c.question)
					waitFor(t, "the answer is canceled", func() bool { return len(g.backend.Cancellations()) > 0 && len(g.backend.Running()) == 0 })
					waitFor(t, "nothing is in flight", func() bool { return g.inFlight("answer", mode == "built-in") == 0 })
					if list := g.backend.Cancellations(); len(list) != 1 || list[0].Authorization != "Bearer "+session || list[0].Status != http.StatusAccepted {
						t.Errorf("%+v", list)
					}
					if c.reason != "shutting_down" { // there is no server any more
						waitFor(t, "it is counted", func() bool { return g.canceledAnswers(c.reason, "canceled") == before+1 })
					}
					if log := g.logs(); strings.Contains(log, "panic") || strings.Contains(log, "does not let the gate cancel") {
						t.Errorf("%s", log)
					}
					assertNoSecrets(t, "the log", g.logs())
				})
			}
		})
	}
}

// Complete answers, and answers that DocsGPT itself has ended, are not canceled.
func TestOtherAnswersAreNotCanceled(t *testing.T) {
	testForwardModes(t, "", func(t *testing.T, g *gate) {
		for _, question := range []string{"q", "[[errorevent]]", "[[fail=500]]", "[[cut]]", "[[noend]]", "[[words=20]]"} {
			g.ask("/stream", tokenAgent, question, "")
		}
		g.ask("/api/answer", tokenAgent, "q", "")
		c := g.dial() // disconnects after the end
		writeTo(t, c, rawQuestion("/stream", "q"))
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the answer has ended", func() bool { return len(g.backend.Running()) == 0 })
		c.Close()
		g.waitForRequests(0)
		waitFor(t, "nothing is in flight", func() bool { return caddymodule.Tracked() == 0 })
		if list := g.backend.Cancellations(); len(list) > 0 {
			t.Errorf("%+v", list)
		}
	})
}

// What the gate can cancel depends on its credential. What it has learned survives a reload, and is logged once.
func TestCancelCredentials(t *testing.T) {
	for name, c := range map[string]struct {
		token   string
		open    bool     // AUTH_TYPE is unset
		result  string   // of each answer
		sent    []string // Authorization of all cancellations, for two answers
		warning bool
	}{
		"a session":                          {session, false, "canceled", []string{"Bearer " + session, "Bearer " + session}, false},
		"an access token":                    {access, false, "not_allowed", []string{"Bearer " + access, ""}, true},
		"an access token, no authentication": {access, true, "canceled", []string{"Bearer " + access, "", ""}, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			t.Setenv("DOCSGPT_TOKEN", c.token)
			g.backend = docsgpttest.New(docsgpttest.Options{
				Keys: map[string][]string{agentAlpha: {sourceAlpha}}, Tokens: map[string][]string{access: nil},
				Sessions: []string{session}, Open: c.open,
			})
			for mode, site := range forwardModes {
				g.backend.Reset()
				g.start(fmt.Sprintf(site, g.address, ""))
				warnings := strings.Count(g.logs(), "does not let the gate cancel")
				before := g.canceledAnswers("client_disconnected", c.result)
				for i := range 2 {
					g.disconnect(false, tokenAgent, "[[gap=600]]")
					waitFor(t, "it is counted", func() bool { return g.canceledAnswers("client_disconnected", c.result) == before+i+1 })
					if held := g.inFlight("answer", mode == "built-in"); held > 0 != (c.result != "canceled") {
						t.Errorf("%d in flight", held)
					}
					if mode == "built-in" {
						g.start(fmt.Sprintf(site, g.address, "max_in_flight 50"))
					}
				}
				var sent []string
				for _, one := range g.backend.Cancellations() {
					sent = append(sent, one.Authorization)
				}
				if fmt.Sprintf("%q", sent) != fmt.Sprintf("%q", c.sent) {
					t.Errorf("%s: sent %q, want %q", mode, sent, c.sent)
				}
				if n := strings.Count(g.logs(), "does not let the gate cancel") - warnings; n != map[bool]int{true: 1}[c.warning] {
					t.Errorf("%s: %d warnings", mode, n)
				}
				assertNoSecrets(t, "the log", g.logs())
			}
		})
	}
}
