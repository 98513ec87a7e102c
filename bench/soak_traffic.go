package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"sync"
	"time"
)

// soakKey is a key of the pool.
type soakKey struct {
	id, token    string
	agent        bool   // bound to an agent, otherwise to a source
	conversation string // of the last answer; guarded by the pool
}

// soakPool holds the valid keys, and replaces them one after the other.
type soakPool struct {
	admin            string // URL of the keys in the API
	created, rotated int

	mu   sync.Mutex
	keys []*soakKey // the oldest first
}

// call calls the API and decodes the response.
func (s *soakPool) call(ctx context.Context, path, body string, response any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.admin+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("status %d of the API: %.200s", resp.StatusCode, text)
	}
	if err != nil || response == nil {
		return err
	}
	return json.Unmarshal(text, response)
}

// fill creates n keys: bound to an agent and to a source in turns, and every third one is restricted to web origins.
func (s *soakPool) fill(ctx context.Context, n int) error {
	for range n {
		policy := ""
		if s.created%3 == 1 {
			policy = `, "kind": "publishable", "origins": ["https://*.example.com"]`
		}
		agent, binding := s.created%2 == 1, fmt.Sprintf(`"sources": ["7d0c1f0e-2f4b-4c7a-9a55-%012d"]`, s.created%1000)
		if agent {
			binding = `"agent": "{env.BENCH_AGENT_KEY}"`
		}
		body := fmt.Sprintf(`{"name": "Customer %d", %s%s}`, s.created, binding, policy)
		var key struct{ ID, Token string }
		if err := s.call(ctx, "", body, &key); err != nil {
			return fmt.Errorf("creating a key: %w", err)
		}
		s.created++
		s.mu.Lock()
		s.keys = append(s.keys, &soakKey{id: key.ID, token: key.Token, agent: agent})
		s.mu.Unlock()
	}
	return nil
}

// takeLast removes the newest key from the pool.
func (s *soakPool) takeLast() *soakKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.keys) - 1
	k := s.keys[last]
	s.keys = s.keys[:last]
	return k
}

// churn creates a key, revokes the oldest one and rotates another one in each interval, until ctx ends.
func (s *soakPool) churn(ctx context.Context, interval time.Duration) error {
	for pause(ctx, interval) == nil {
		err := s.replace(ctx, interval/2)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// replace waits before it revokes the oldest key, so that requests with it end.
func (s *soakPool) replace(ctx context.Context, wait time.Duration) error {
	if err := s.fill(ctx, 1); err != nil {
		return err
	}
	s.mu.Lock()
	oldest := s.keys[0]
	s.keys = s.keys[1:]
	middle := s.keys[len(s.keys)/2]
	s.mu.Unlock()
	var rotated struct{ Token string }
	if err := s.call(ctx, "/"+middle.id+"/rotate", `{"grace": "1m"}`, &rotated); err != nil {
		return fmt.Errorf("rotating a key: %w", err)
	}
	s.mu.Lock()
	middle.token = rotated.Token
	s.mu.Unlock()
	s.rotated++
	if err := pause(ctx, wait); err != nil {
		return nil
	}
	if err := s.call(ctx, "/"+oldest.id+"/revoke", "", nil); err != nil {
		return fmt.Errorf("revoking a key: %w", err)
	}
	return nil
}

// pick returns a key with its token and conversation.
func (s *soakPool) pick(n int, agent bool) (k *soakKey, token, conversation string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k = s.keys[n%len(s.keys)]; agent && !k.agent {
		k = s.keys[(n+1)%len(s.keys)]
	}
	return k, k.token, k.conversation
}

func (s *soakPool) answered(k *soakKey, conversation string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k.conversation = conversation
}

// soakTraffic sends the requests of a soak.
type soakTraffic struct {
	url       string
	host      string
	pool      *soakPool
	client    *http.Client
	latencies latencies
	stop      context.CancelFunc // ends the soak

	mu       sync.Mutex
	failures []error
}

func newSoakTraffic(p *proxy, pool *soakPool, stop context.CancelFunc) *soakTraffic {
	return &soakTraffic{
		stop: stop, url: "http://" + p.address, host: p.address, pool: pool,
		client: &http.Client{Timeout: requestTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: soakWorkers, DisableCompression: true}},
	}
}

// maxSoakFailures is the number of failures after which the soak ends.
const maxSoakFailures = 5

func (t *soakTraffic) err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return errors.Join(t.failures...)
}

var signedConversation = regexp.MustCompile(`"id": ?"([0-9a-f]{8}-6a0e-[^"]+)"`)

// send sends the nth request: of ten, one has an unknown token, one is that of an OpenAI client, one is a stream of 45 events 1 ms apart,
// and seven are questions of widgets, of which most continue a conversation. The visitor changes with every tenth request, its
// web origin with every hundredth.
func (t *soakTraffic) send(n int, began time.Time) {
	k := scenario{Path: "/stream"}
	key, token, conversation := t.pool.pick(n, n%10 == 1)
	switch n % 10 {
	case 0:
		k.UnknownTokens, token, conversation = true, unknownToken(uint64(n)), ""
	case 1:
		k.Path = chatPath
	case 2:
		k.Marker = markSlow
	}
	body := k.body(token)
	if conversation != "" && k.Path == "/stream" && n%4 != 0 {
		body = bytes.Replace(body, []byte(`"conversation_id":null`), fmt.Appendf(nil, `"conversation_id":%q`, conversation), 1)
	}
	text, err := t.exchange(&k, n, token, body)
	if err != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.failures = append(t.failures, err); len(t.failures) == maxSoakFailures {
			t.stop()
		}
		return
	}
	if k.Marker == "" { // the others take 45 ms at least
		t.latencies.add(time.Since(began))
	}
	if found := signedConversation.FindSubmatch(text); found != nil {
		t.pool.answered(key, string(found[1]))
	}
}

func (t *soakTraffic) exchange(k *scenario, n int, token string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, t.url+k.Path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Forwarded-For", address(0, n/10))
	if k.Path == chatPath {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	req.Header.Set("Origin", fmt.Sprintf("https://site-%d.example.com", n/100))
	resp, err := t.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	expect := k.expect(builtin)
	return text, expect.check(resp.StatusCode, text)
}
