package registry_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
)

// TestConcurrentChangesOfOneKey: every acknowledged change is in the record and in the audit trail.
func TestConcurrentChangesOfOneKey(t *testing.T) {
	d := newRegistryTest(t)
	id, _ := d.create()
	var (
		mu     sync.Mutex
		done   int
		tokens []string
		all    sync.WaitGroup
	)
	for worker := range 8 {
		all.Go(func() {
			for range 20 {
				var err error
				if worker%2 == 0 {
					var made *registry.CreateResult
					if made, err = d.Rotate(t.Context(), alice, id, time.Hour); err == nil {
						mu.Lock()
						tokens = append(tokens, made.Token.Reveal())
						mu.Unlock()
					}
				} else {
					_, err = d.Update(t.Context(), alice, id, registry.UpdateRequest{Name: pointer(registry.NewID())})
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				done++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if got := len(d.auditTrail()); got != done+1 || done != 160 {
		t.Errorf("%d entries for %d changes", got, done+1)
	}
	allowed := 0
	for _, token := range tokens {
		if d.reason(token) == keys.Allowed {
			allowed++
		}
	}
	if allowed != 6 {
		t.Errorf("%d tokens are valid, want the current one and five previous ones", allowed)
	}
}

// TestConcurrentRevokeAndRotate: when Revoke has returned, no token of the key is allowed, and no new ones are created.
func TestConcurrentRevokeAndRotate(t *testing.T) {
	d := newRegistryTest(t)
	for range 20 {
		id, first := d.create()
		var all sync.WaitGroup
		tokens := make(chan string, 100)
		tokens <- first
		for range 3 {
			all.Go(func() {
				for range 5 {
					made, err := d.Rotate(t.Context(), alice, id, time.Hour)
					if errors.Is(err, registry.ErrRevoked) {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
					tokens <- made.Token.Reveal()
				}
			})
		}
		all.Go(func() {
			if _, err := d.Revoke(t.Context(), alice, id); err != nil {
				t.Error(err)
			}
			if reason := d.reason(first); reason != keys.RevokedKey && reason != keys.UnknownToken {
				t.Errorf("immediately after the revocation the first token is %s", reason)
			}
		})
		all.Wait()
		close(tokens)
		for token := range tokens {
			if reason := d.reason(token); reason != keys.RevokedKey && reason != keys.UnknownToken {
				t.Errorf("a token of a revoked key is %s", reason)
			}
		}
	}
}
