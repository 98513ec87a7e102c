package replica_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
)

// tables are those that a standby server replicates, in the order of their references.
var tables = []string{"state", "commits", "keys", "tokens", "overrides", "audit"}

// save stores what a standby server has received.
func save(t *testing.T, database string) {
	t.Helper()
	sql := "DROP SCHEMA IF EXISTS saved CASCADE; CREATE SCHEMA saved;"
	for _, table := range tables {
		sql += fmt.Sprintf("CREATE TABLE saved.%s AS TABLE docsgate.%[1]s;", table)
	}
	pgtest.Exec(t, database, sql)
}

// lose removes all writes since save, as the failover to a standby server that lacked them.
func lose(t *testing.T, database string) {
	t.Helper()
	sql := "BEGIN; TRUNCATE docsgate." + strings.Join(tables, ", docsgate.") + ";"
	for _, table := range tables {
		sql += fmt.Sprintf("INSERT INTO docsgate.%s SELECT * FROM saved.%[1]s;", table)
	}
	pgtest.Exec(t, database, sql+"COMMIT")
}

// What a gate knows as invalid stays invalid everywhere when the database loses the writes that have made it so.
func TestLostWrites(t *testing.T) {
	const rotations = "rotated"
	for name, tc := range map[string]struct {
		restart bool                        // the gate is stopped before the failover
		after   func(t *testing.T, g *gate) // writes of another gate after it
	}{
		"while connected":          {false, nil},
		"before a cold start":      {true, nil},
		"and replaced by others":   {false, func(t *testing.T, g *gate) { createMany(t, g, 20) }},
		"and replaced, cold start": {true, func(t *testing.T, g *gate) { createMany(t, g, 20) }},
		"and replaced by as many":  {false, func(t *testing.T, g *gate) { createMany(t, g, 8) }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSetup(t, pgtest.Database(t))
			agents, agentToken := agent()
			g := s.start(t, agents)
			tokens, ids := map[string]string{}, map[string]string{}
			for _, name := range []string{"kept", "revoked", "disabled", rotations, "grace", "deleted"} {
				ids[name], tokens[name] = g.create(t, name)
			}
			rotated, err := g.Rotate(t.Context(), alice, ids["grace"], time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			save(t, s.database)

			ctx := t.Context()
			g.revoke(t, ids["revoked"])
			g.revoke(t, ids["deleted"])
			err0 := g.Delete(ctx, alice, ids["deleted"])
			_, err1 := g.Update(ctx, alice, ids["disabled"], registry.UpdateRequest{State: new(keys.Disabled)})
			again, err2 := g.Rotate(ctx, alice, ids[rotations], 0)
			_, err3 := g.EndGrace(ctx, alice, ids["grace"])
			err4 := g.UpdateOverride(ctx, alice, &agents.key, registry.UpdateRequest{State: new(keys.Disabled)})
			_, lostToken := g.create(t, "lost")
			for _, err := range []error{err0, err1, err2, err3, err4} {
				if err != nil {
					t.Fatal(err)
				}
			}
			invalid := map[string]string{
				"revoked": tokens["revoked"], "disabled": tokens["disabled"], "replaced": tokens[rotations], "ended": tokens["grace"],
				"of another feed": agentToken, "deleted": tokens["deleted"],
			}
			g.WaitFor(agentToken, keys.DisabledKey)
			waitCopied(t, g)
			s.proxy.Refuse()
			if tc.restart {
				g.halt()
			}
			lose(t, s.database)
			fresh := newSetup(t, s.database).start(t, agents) // it does not know what is lost
			if tc.after != nil {
				tc.after(t, fresh)
			}
			if tc.restart {
				g = s.start(t, agents)
			}
			stop := neverAllowed(t, g, invalid)
			s.proxy.Accept()
			for name, want := range map[string]keys.Reason{"revoked": keys.RevokedKey, "deleted": keys.RevokedKey, "disabled": keys.DisabledKey} {
				fresh.WaitFor(tokens[name], want)
			}
			fresh.WaitFor(tokens[rotations], keys.UnknownToken)
			fresh.WaitFor(tokens["grace"], keys.UnknownToken)
			fresh.WaitFor(agentToken, keys.DisabledKey)
			fresh.WaitFor(again.Token.Reveal(), keys.Allowed)
			fresh.Want("the current token after a rotation before the failover", rotated.Token.Reveal(), keys.Allowed)
			g.WaitFor(feedtest.UnknownToken, keys.UnknownToken)
			g.WaitFor(lostToken, keys.UnknownToken)
			g.WaitFor(tokens["kept"], keys.Allowed)
			stop()
			select {
			case <-s.losses:
			case <-time.After(feedtest.Timeout):
				t.Error("the loss was not reported")
			}
			entries, err := fresh.Audit(ctx, ids["revoked"], 0, 1)
			if err != nil || len(entries) != 1 || entries[0].Action != registry.ActionRevoked || entries[0].Actor != "gate" ||
				!strings.Contains(entries[0].Detail, "lost it") {
				t.Errorf("audit trail %+v, %v", entries, err)
			}
			// Both follow the new history.
			id, token := fresh.create(t, "afterwards")
			g.WaitFor(token, keys.Allowed)
			g.revoke(t, id)
			fresh.WaitFor(token, keys.RevokedKey)
			if len(s.losses) > 0 {
				t.Error("the loss was reported twice")
			}
		})
	}
}

func createMany(t *testing.T, g *gate, n int) {
	t.Helper()
	for i := range n {
		g.create(t, fmt.Sprint("new ", i))
	}
}

// neverAllowed checks until stop is called that tokens are not valid.
func neverAllowed(t *testing.T, g *gate, tokens map[string]string) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			for what, token := range tokens {
				if g.Reason(token) == keys.Allowed {
					t.Errorf("a token that was made invalid is valid again: %s", what)
					return
				}
			}
			time.Sleep(time.Millisecond)
		}
	}()
	return func() { cancel(); <-ended }
}

// waitCopied waits until the copy of a gate has all that the database has.
func waitCopied(t *testing.T, g *gate) {
	t.Helper()
	newest, err := g.storage.All(t.Context(), func(*registry.Record) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	feedtest.Eventually(t, "the copy", func() bool { return g.storage.CopyRevision() >= newest })
}

// While a revocation that the database has lost cannot be written again, the keys from before stay in use.
func TestLostWritesReadOnly(t *testing.T) {
	s := newSetup(t, pgtest.Database(t))
	g := s.start(t)
	id, token := g.create(t, "a")
	_, kept := g.create(t, "b")
	save(t, s.database)
	g.revoke(t, id)
	waitCopied(t, g)
	s.proxy.Refuse()
	lose(t, s.database)
	pgtest.Exec(t, "postgres", "ALTER DATABASE "+s.database+" SET default_transaction_read_only = on")
	stop := neverAllowed(t, g, map[string]string{"revoked": token})
	s.proxy.Accept()
	time.Sleep(time.Second)
	g.WaitFor(feedtest.UnknownToken, keys.FeedUnavailable)
	g.Want("a known key", kept, keys.Allowed)
	stop()
	pgtest.Exec(t, "postgres", "ALTER DATABASE "+s.database+" SET default_transaction_read_only = off")
	s.proxy.Refuse() // connections have the setting of their beginning
	s.proxy.Accept()
	g.WaitFor(feedtest.UnknownToken, keys.UnknownToken)
	g.Want("the revoked key", token, keys.RevokedKey)
}
