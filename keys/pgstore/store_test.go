package pgstore_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/boltstore"
	"github.com/docsgate/docsgate/keys/pgstore"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/registry/storagetest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func options(database string) pgstore.Options {
	return pgstore.Options{URI: keys.NewSecret(pgtest.URI("postgres", database))}
}

// open opens a store in a database and closes it at the end of the test.
func open(t testing.TB, o pgstore.Options) *pgstore.Store {
	t.Helper()
	s, err := pgstore.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestStorage(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) registry.Storage { return open(t, options(pgtest.Database(t))) })
}

func TestSharedStorage(t *testing.T) {
	storagetest.RunShared(t, func(t *testing.T) registry.SharedStorage { return open(t, options(pgtest.Database(t))) })
}

var testTime = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

func record(id string) *registry.Record {
	return &registry.Record{
		ID: id, Name: "name of " + id, Sources: []string{"default"}, Digest: keys.DigestOf("token of " + id), Created: testTime, Changed: testTime,
	}
}

func write(t testing.TB, s registry.Storage, r *registry.Record) {
	t.Helper()
	e := &registry.AuditEntry{At: testTime, Action: registry.ActionChanged, Key: r.ID, Name: r.Name}
	if err := s.Write(t.Context(), []*registry.Record{r}, []*registry.AuditEntry{e}); err != nil {
		t.Fatal(err)
	}
}

// Stores with different schemas in one database are independent, also in their notifications.
func TestSchemas(t *testing.T) {
	o := options(pgtest.Database(t))
	first := open(t, o)
	o.Schema = "support"
	second := open(t, o)
	write(t, first, record("key_a"))
	if n, err := second.Count(t.Context()); n != 0 || err != nil {
		t.Errorf("%d records, %v", n, err)
	}
	if first.Name() == second.Name() {
		t.Errorf("both have the name %s", first.Name())
	}
	for _, name := range []string{"Docsgate", "pg; drop schema public", strings.Repeat("x", 49), "1a"} {
		o.Schema = name
		if _, err := pgstore.Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "valid name") {
			t.Errorf("schema %q: %v", name, err)
		}
	}
}

// Gates that start at the same time create one schema.
func TestConcurrentOpen(t *testing.T) {
	o := options(pgtest.Database(t))
	results := make(chan error)
	for range 5 {
		go func() {
			s, err := pgstore.Open(t.Context(), o)
			if err == nil {
				err = s.Close()
			}
			results <- err
		}()
	}
	for range 5 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

// The schema can be removed and created again.
func TestMigrations(t *testing.T) {
	o := options(pgtest.Database(t))
	s := open(t, o)
	write(t, s, record("key_a"))
	if err := s.MigrateTo(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Count(t.Context()); err == nil || !strings.Contains(err.Error(), "removed") {
		t.Errorf("without tables: %v", err)
	}
	if err := s.MigrateTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	write(t, open(t, o), record("key_a"))
}

// Close ends a watch.
func TestCloseEndsWatch(t *testing.T) {
	s := open(t, options(pgtest.Database(t)))
	watching, ended := make(chan struct{}, 1), make(chan error)
	go func() {
		ended <- s.Watch(t.Context(), func() {
			select {
			case watching <- struct{}{}:
			default:
			}
		})
	}()
	<-watching
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, pgstore.ErrClosed) {
		t.Errorf("the watch ended with %v", err)
	}
}

// A gate of this version rejects a database with a newer format, also while it runs, and changes nothing.
func TestNewerFormat(t *testing.T) {
	database := pgtest.Database(t)
	s := open(t, options(database))
	r := record("key_a")
	write(t, s, r)
	pgtest.Exec(t, database, "UPDATE docsgate.state SET format = 99")
	if _, err := pgstore.Open(t.Context(), options(database)); !errors.Is(err, pgstore.ErrNewer) {
		t.Errorf("opened: %v", err)
	}
	if err := s.Write(t.Context(), []*registry.Record{r}, nil); !errors.Is(err, pgstore.ErrNewer) {
		t.Errorf("write: %v", err)
	}
	if err := s.PutIdempotencyRecord(t.Context(), "a", "b"); !errors.Is(err, pgstore.ErrNewer) {
		t.Errorf("write of an idempotency record: %v", err)
	}
	if _, err := s.All(t.Context(), func(*registry.Record) error { return nil }); !errors.Is(err, pgstore.ErrNewer) {
		t.Errorf("read: %v", err)
	}
	if err := s.Watch(t.Context(), func() {}); !errors.Is(err, pgstore.ErrNewer) {
		t.Errorf("watch: %v", err)
	}
	pgtest.Exec(t, database, "UPDATE docsgate.state SET format = 1")
	write(t, s, r)
}

// Errors say what to do, and contain neither password nor token.
func TestErrors(t *testing.T) {
	database := pgtest.Database(t)
	pgtest.Exec(t, database, "CREATE ROLE reader_"+database+" LOGIN")
	for name, tc := range map[string]struct{ uri, want string }{
		"malformed":      {"postgres://user:p@ss@word@127.0.0.1/x", "not valid"},
		"no database":    {"postgres://postgres@127.0.0.1/", "name of the database"},
		"not there":      {pgtest.URI("postgres", "missing"), "does not exist"},
		"no permission":  {pgtest.URI("reader_"+database, database), "GRANT CREATE ON DATABASE"},
		"refused":        {"postgres://postgres@127.0.0.1:1/docsgate?sslmode=disable", "refuses connections"},
		"plaintext":      {"postgres://postgres@db.example.com/docsgate?sslmode=disable", "disables TLS"},
		"another scheme": {"mysql://root@127.0.0.1/x", "not valid"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := pgstore.Open(t.Context(), pgstore.Options{URI: keys.NewSecret(tc.uri), Timeout: 2 * time.Second})
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "ss@word") || strings.Contains(err.Error(), "DocsGPT") {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

// A backup is a file of boltstore with the same content, and can be copied back.
func TestBackupAndCopy(t *testing.T) {
	s := open(t, options(pgtest.Database(t)))
	write(t, s, record("key_a"))
	write(t, s, record("key_b"))
	o := &registry.Override{ID: "agent_1", Disabled: true, Changed: testTime}
	if err := s.WriteOverride(t.Context(), o, &registry.AuditEntry{At: testTime, Action: registry.ActionDisabled, Key: o.ID}); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := s.Backup(t.Context(), &file); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "keys.db")
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	bolt, err := boltstore.Open(t.Context(), boltstore.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer bolt.Close()
	again := open(t, options(pgtest.Database(t)))
	if err := registry.Copy(t.Context(), bolt, again); err != nil {
		t.Fatal(err)
	}
	for _, copied := range []registry.Storage{bolt, again} {
		if r, err := copied.ByDigest(t.Context(), keys.DigestOf("token of key_b")); err != nil || r.Name != "name of key_b" {
			t.Errorf("%s: %+v, %v", copied.Name(), r, err)
		}
		entries, err := copied.Audit(t.Context(), "", 0, 10)
		if err != nil || len(entries) != 3 || entries[0].Key != "agent_1" || entries[2].Key != "key_a" || entries[2].Seq != 1 {
			t.Errorf("%s: audit trail %+v, %v", copied.Name(), entries, err)
		}
		found := 0
		if err := copied.Overrides(t.Context(), func(o *registry.Override) error { found++; return nil }); err != nil || found != 1 {
			t.Errorf("%s: %d overrides, %v", copied.Name(), found, err)
		}
	}
	if err := registry.Copy(t.Context(), bolt, again); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a copy to a storage with keys: %v", err)
	}
}
