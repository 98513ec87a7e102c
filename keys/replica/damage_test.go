package replica_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys"
)

// A damaged copy is ignored, and replaced when the database is available. No damage makes a revoked key valid.
func TestDamagedCopy(t *testing.T) {
	s := newSetup(t, pgtest.Database(t))
	g := s.start(t)
	_, token := g.create(t, "valid")
	id, revoked := g.create(t, "revoked")
	g.revoke(t, id)
	waitCopied(t, g)
	g.halt()
	intact, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := map[string][]byte{"empty": nil, "another file": []byte("not a copy"), "zeros": make([]byte, len(intact))}
	for n := 1; n < len(intact); n += len(intact)/6 + 1 {
		damaged["truncated"+string(rune('a'+len(damaged)))] = intact[:n]
	}
	for n := 17; n < len(intact); n += len(intact)/12 + 1 {
		flipped := bytes.Clone(intact)
		flipped[n] ^= 0x55
		damaged["flipped"+string(rune('a'+len(damaged)))] = flipped
	}
	for name, content := range damaged {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(s.path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			s.proxy.Refuse()
			g := s.start(t)
			defer g.halt()
			if got := g.Reason(token); got != keys.Allowed && got != keys.FeedUnavailable { // a free page may be the damaged one
				t.Errorf("a valid key is %s", got)
			}
			if got := g.Reason(revoked); got != keys.RevokedKey && got != keys.FeedUnavailable {
				t.Errorf("a revoked key is %s", got)
			}
			s.proxy.Accept()
			g.WaitFor(feedtest.UnknownToken, keys.UnknownToken)
			g.Want("a valid key", token, keys.Allowed)
			g.Want("a revoked key", revoked, keys.RevokedKey)
			waitCopied(t, g)
		})
	}
}

// The copy of one database is not used for another, not even if that has the same address.
func TestCopyOfAnotherDatabase(t *testing.T) {
	s := newSetup(t, pgtest.Database(t))
	g := s.start(t)
	_, token := g.create(t, "a")
	waitCopied(t, g)
	g.halt()

	// Another key store at the same address.
	pgtest.Exec(t, s.database, "DROP SCHEMA docsgate CASCADE")
	g = s.start(t)
	g.Want("a key of the former key store", token, keys.UnknownToken)
	_, other := g.create(t, "b")
	waitCopied(t, g)
	g.halt()

	// Another address.
	s.database = pgtest.Database(t)
	s.proxy.Refuse()
	g = s.start(t)
	g.Want("a key of the former database", other, keys.FeedUnavailable)
	s.proxy.Accept()
	g.WaitFor(other, keys.UnknownToken)
	if len(s.losses) > 0 {
		t.Error("another database was reported as lost writes")
	}
}

// Only one process uses a copy.
func TestCopyInUse(t *testing.T) {
	s := newSetup(t, pgtest.Database(t))
	g := s.start(t)
	_, token := g.create(t, "a")
	waitCopied(t, g)
	second := s.start(t)
	second.Want("a key", token, keys.Allowed)
	second.halt()
	_, later := g.create(t, "b")
	waitCopied(t, g)
	g.halt()
	s.proxy.Refuse()
	s.start(t).Want("a key that was created after the other process has ended", later, keys.Allowed)
}

// The copy is readable only by its owner, and contains no token.
func TestCopyFile(t *testing.T) {
	s := newSetup(t, pgtest.Database(t))
	g := s.start(t)
	_, token := g.create(t, "a")
	waitCopied(t, g)
	g.halt()
	info, err := os.Stat(s.path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	content, err := os.ReadFile(s.path)
	if err != nil || bytes.Contains(content, []byte(token)) || bytes.Contains(content, []byte("postgres@")) {
		t.Errorf("the copy contains a token or the user of the database, %v", err)
	}
}

// A copy that was in use is used as soon as it is not.
func TestCopyTakenOver(t *testing.T) {
	s := newSetup(t, pgtest.Database(t))
	before := s.start(t)
	_, token := before.create(t, "a")
	waitCopied(t, before)
	g := s.start(t)
	before.halt()
	feedtest.Eventually(t, "the copy", func() bool { return g.storage.CopyRevision() > 0 })
	_, later := g.create(t, "b")
	waitCopied(t, g)
	g.halt()
	s.proxy.Refuse()
	g = s.start(t)
	g.Want("a key", token, keys.Allowed)
	g.Want("a later key", later, keys.Allowed)
}
