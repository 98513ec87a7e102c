package caddymodule_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// Requests use the memory of earlier ones, whose clients may have gone in the middle of a body. DocsGPT gets each body as its client
// sent it: small or large, with or without a length, parsed fast or not.
func TestBodiesOfConcurrentRequests(t *testing.T) {
	testForwardModes(t, "limits {\nvisitor_requests off\nvisitor_streams off\n}", func(t *testing.T, g *gate) {
		sizes := []int{10, 7_000, 15_000, 40_000, 150_000}
		var mu sync.Mutex
		want := map[string]int{} // bodies, and how often DocsGPT gets them
		var all sync.WaitGroup
		for client := range 6 {
			all.Go(func() {
				for round := range 10 {
					marker := fmt.Sprintf("%d-%d ", client, round)
					text := strings.Repeat(marker, sizes[(client+round)%len(sizes)]/len(marker)+1)
					space := strings.Repeat(" ", round%2) // which the fast parser of a history does not accept
					history := `"[{\"prompt\":\"` + text + `\",` + space + `\"response\":\"ü\"}]"`
					body := fmt.Sprintf(`{"api_key":%q,"question":%q,"history":%s,"model":"default"}`, tokenAgent, marker, history)
					if round%3 == 2 {
						g.startRaw("/api/answer", len(body), body[:len(body)*2/3], "Content-Type", "application/json").conn.Close()
						continue
					}
					if err := g.post(body, round%4 < 2); err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					want[fmt.Sprintf(`{"question":%q,"history":%s,"api_key":%q}`, marker, strings.Replace(history, ", ", ",", 1), agentAlpha)]++
					mu.Unlock()
				}
			})
		}
		all.Wait()
		for _, call := range g.backend.Calls() {
			if call.Path != "/api/answer" {
				continue
			}
			if body := string(call.Body); want[body] != 1 {
				t.Errorf("DocsGPT got %d bytes that no client has sent, or twice: %.100s", len(body), body)
			} else {
				want[body]--
			}
		}
		for body, missing := range want {
			if missing != 0 {
				t.Errorf("DocsGPT did not get %.100s", body)
			}
		}
	})
}

// post asks a question with a body whose length is announced or not.
func (g *gate) post(body string, announced bool) error {
	var reader io.Reader = strings.NewReader(body)
	if !announced {
		reader = io.MultiReader(reader)
	}
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, g.urls[0]+"/api/answer", reader)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%d %s", resp.StatusCode, text)
	}
	return err
}
