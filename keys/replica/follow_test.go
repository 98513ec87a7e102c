package replica_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/recordcodec"
	"github.com/docsgate/docsgate/keys/registry"
)

// agent returns another feed with one key, and its token.
func agent() (feed *staticFeed, token string) {
	token = "token-of-an-agent"
	return &staticFeed{key: keys.Key{
		ID: "agent_1", Name: "agent", Digest: keys.DigestOf(token), Binding: keys.Binding{Sources: []string{"default"}},
	}}, token
}

// A key of another feed that is disabled at one gate is disabled at all, and likewise for other changes.
func TestOverridesFollowed(t *testing.T) {
	database := pgtest.Database(t)
	agents, token := agent()
	one, two := newSetup(t, database).start(t, agents), newSetup(t, database).start(t, agents)
	two.WaitFor(token, keys.Allowed)
	for round := range 5 {
		at, other := one, two
		if round%2 == 1 {
			at, other = two, one
		}
		if err := at.UpdateOverride(t.Context(), alice, &agents.key, registry.UpdateRequest{State: new(keys.Disabled)}); err != nil {
			t.Fatal(err)
		}
		at.Want("at the gate of the change", token, keys.DisabledKey)
		other.WaitFor(token, keys.DisabledKey)
		// The other gate need not have followed.
		if err := other.UpdateOverride(t.Context(), alice, &agents.key, registry.UpdateRequest{State: new(keys.Active)}); err != nil {
			t.Fatal(err)
		}
		if err := at.UpdateOverride(t.Context(), alice, &agents.key, registry.UpdateRequest{State: new(keys.Disabled)}); err != nil {
			t.Fatal(err)
		}
		other.WaitFor(token, keys.DisabledKey)
		if err := other.RemoveOverride(t.Context(), alice, agents.key.ID); err != nil {
			t.Fatal(err)
		}
		one.WaitFor(token, keys.Allowed)
		two.WaitFor(token, keys.Allowed)
	}
}

// A change of an override whose notification is lost is found by the next poll.
func TestMissedNotificationOfOverride(t *testing.T) {
	database := pgtest.Database(t)
	agents, token := agent()
	g := newSetup(t, database).start(t, agents)
	g.WaitFor(token, keys.Allowed)
	body := recordcodec.AppendOverride(nil, &registry.Override{Disabled: true, Changed: time.Now(), Revision: 1})
	pgtest.Exec(t, database, fmt.Sprintf(`BEGIN; UPDATE docsgate.state SET revision = 1, overrides_revision = 1;
		INSERT INTO docsgate.commits (revision) VALUES (1);
		INSERT INTO docsgate.overrides (id, revision, body) VALUES ('agent_1', 1, '\x%x'); COMMIT`, body))
	g.WaitFor(token, keys.DisabledKey)
}

// Concurrent changes of one key at several gates are all in the result, or their callers get an error.
func TestNoLostUpdates(t *testing.T) {
	database := pgtest.Database(t)
	agents, _ := agent()
	gates := []*gate{newSetup(t, database).start(t, agents), newSetup(t, database).start(t, agents)}
	id, first := gates[0].create(t, "a")
	gates[1].WaitFor(first, keys.Allowed)
	const each = 8
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		tokens []string
	)
	for n, g := range gates {
		wg.Go(func() {
			for i := range each {
				made, err := g.Rotate(t.Context(), alice, id, time.Hour)
				if err != nil {
					t.Error(err)
					continue
				}
				mu.Lock()
				tokens = append(tokens, made.Token.Reveal())
				mu.Unlock()
				name := fmt.Sprintf("name %d %d", n, i)
				if _, err := g.Update(t.Context(), alice, id, registry.UpdateRequest{Name: &name}); err != nil {
					t.Error(err)
				}
				state := keys.Disabled
				if i%2 == 1 {
					state = keys.Active
				}
				if err := g.UpdateOverride(t.Context(), alice, &agents.key, registry.UpdateRequest{State: &state}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	entries, err := gates[0].Audit(t.Context(), id, 0, 1000)
	if err != nil || len(entries) != 1+2*2*each {
		t.Errorf("%d entries, %v, want one for each change", len(entries), err)
	}
	valid := 0
	for _, g := range gates {
		rec, err := g.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		valid = 0
		for d := range rec.Digests() {
			for _, token := range append(tokens, first) {
				if keys.DigestOf(token) == d {
					valid++
					g.WaitFor(token, keys.Allowed)
				}
			}
		}
	}
	if valid < 2 {
		t.Errorf("%d tokens are valid", valid)
	}
}

// Two gates cannot issue the same token.
func TestConcurrentImports(t *testing.T) {
	database := pgtest.Database(t)
	gates := []*gate{newSetup(t, database).start(t), newSetup(t, database).start(t)}
	created := make(chan bool, 2)
	const token = "a-token-of-an-import-0123456789"
	for i, g := range gates {
		go func() {
			done, err := g.Import(t.Context(), alice, []registry.Import{{
				ID: fmt.Sprint("key_import_", i), Digest: keys.DigestOf(token), Sources: []string{"7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10"},
			}}, false)
			if err != nil && !errors.Is(err, registry.ErrExists) {
				t.Error(err)
			}
			created <- err == nil && done[0].Existing == ""
		}()
	}
	if first, second := <-created, <-created; first == second {
		t.Error("not exactly one of two imports of a token has created a key")
	}
	for _, g := range gates {
		g.WaitFor(token, keys.Allowed)
	}
}
