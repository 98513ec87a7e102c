// Package storagetest is a conformance test suite for implementations of registry.Storage.
package storagetest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/policy"
	"github.com/docsgate/docsgate/visitortoken"
)

// Run tests a storage. open returns an empty one, which the test closes. Storages returned by several calls must be independent.
func Run(t *testing.T, open func(t *testing.T) registry.Storage) {
	for name, test := range map[string]func(t *testing.T, s registry.Storage){
		"empty storage":                                                   empty,
		"records round-trip":                                              roundTrip,
		"records are sorted by id":                                        sortedByID,
		"lookup by current and previous tokens":                           byDigest,
		"a removed token can be used again":                               removedDigest,
		"a token must not belong to another record":                       duplicateDigest,
		"two records can swap tokens in one write":                        swappedDigests,
		"the id of a new record must not exist":                           duplicateID,
		"a write with an outdated revision is a conflict":                 conflict,
		"a failed write stores nothing and does not modify its arguments": failedWriteIsAtomic,
		"revisions increase across all records":                           revisions,
		"changes contains each record written since once":                 changes,
		"an error of yield is returned":                                   yieldErrors,
		"pages of the audit trail, newest first":                          auditPages,
		"audit trail of one key":                                          auditOfKey,
		"idempotency records are stored and replaced":                     idempotencyRecords,
		"usage is stored and replaced":                                    savedUsage,
		"quotas are stored, replaced and removed":                         savedQuotas,
		"overrides are stored, replaced and removed":                      storedOverrides,
		"deleted records keep their id and their token":                   deletedRecords,
		"concurrent writes are each stored once":                          concurrentWrites,
		"one of several concurrent writes of a revision succeeds":         concurrentConflict,
		"readers see atomic writes":                                       atomicWrites,
		"a watch ends when its context is canceled":                       watch,
		"calls with a canceled context fail":                              canceledContext,
		"calls after Close fail":                                          closedStorage,
		"backup during writes":                                            backup,
		"untrusted text is stored unchanged":                              untrustedText,
		"records do not share memory with the storage":                    noAliasing,
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() { _ = s.Close() })
			test(t, s)
		})
	}
}

var start = time.Date(2026, 2, 3, 4, 5, 6, 789, time.UTC)

// digest returns the digest of a token.
func digest(text string) keys.Digest { return keys.DigestOf(text) }

// record returns a record with the required fields.
func record(id string) *registry.Record {
	return &registry.Record{
		ID: id, Name: "name of " + id, Sources: []string{"source-of-" + id}, Digest: digest("token of " + id),
		Created: start, Changed: start,
	}
}

func entry(id string, action registry.Action) *registry.AuditEntry {
	return &registry.AuditEntry{At: start, Actor: "alice", RemoteAddr: "192.0.2.1", Action: action, Key: id, Name: "name of " + id}
}

func write(t *testing.T, s registry.Storage, records ...*registry.Record) {
	t.Helper()
	entries := make([]*registry.AuditEntry, len(records))
	for i, r := range records {
		entries[i] = entry(r.ID, registry.ActionChanged)
	}
	if err := s.Write(t.Context(), records, entries); err != nil {
		t.Fatalf("writing: %v", err)
	}
}

func get(t *testing.T, s registry.Storage, id string) *registry.Record {
	t.Helper()
	r, err := s.Get(t.Context(), id)
	if err != nil {
		t.Fatalf("reading %s: %v", id, err)
	}
	return r
}

// all returns all records and the revision.
func all(t *testing.T, s registry.Storage) ([]*registry.Record, uint64) {
	t.Helper()
	var found []*registry.Record
	revision, err := s.All(t.Context(), func(r *registry.Record) error { found = append(found, r); return nil })
	if err != nil {
		t.Fatalf("reading all: %v", err)
	}
	return found, revision
}

func changed(t *testing.T, s registry.Storage, after uint64) (ids []string, revision uint64) {
	t.Helper()
	revision, err := s.Changes(t.Context(), after, func(r *registry.Record) error { ids = append(ids, r.ID); return nil })
	if err != nil {
		t.Fatalf("reading changes: %v", err)
	}
	slices.Sort(ids)
	return ids, revision
}

func entries(t *testing.T, s registry.Storage, key string, before uint64, limit int) []registry.AuditEntry {
	t.Helper()
	found, err := s.Audit(t.Context(), key, before, limit)
	if err != nil {
		t.Fatalf("reading the audit trail: %v", err)
	}
	return found
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

// wantEqual compares records, and times regardless of their zone.
func wantEqual(t *testing.T, got, want *registry.Record) {
	t.Helper()
	g, w := *got, *want
	for _, times := range [][2]*time.Time{
		{&g.NotBefore, &w.NotBefore},
		{&g.Expires, &w.Expires},
		{&g.Created, &w.Created},
		{&g.Changed, &w.Changed},
		{&g.Rotated, &w.Rotated},
		{&g.Deleted, &w.Deleted},
	} {
		if !times[0].Equal(*times[1]) || times[0].IsZero() != times[1].IsZero() {
			t.Errorf("record %s: time %v, want %v", w.ID, times[0], times[1])
		}
		*times[0], *times[1] = time.Time{}, time.Time{}
	}
	if !slices.EqualFunc(g.PreviousTokens, w.PreviousTokens, func(a, b keys.PreviousToken) bool { return a.Digest == b.Digest && a.Until.Equal(b.Until) }) {
		t.Errorf("record %s: the previous tokens differ", w.ID)
	}
	g.PreviousTokens, w.PreviousTokens = nil, nil
	if len(g.Sources) == 0 && len(w.Sources) == 0 {
		g.Sources, w.Sources = nil, nil
	}
	if g.Digest != w.Digest {
		t.Errorf("record %s: the digest differs", w.ID)
	}
	if !g.Signing.Equal(w.Signing) {
		t.Errorf("record %s: the settings of signed visitors are %+v, want %+v", w.ID, g.Signing, w.Signing)
	}
	g.Signing, w.Signing = nil, nil
	if !reflect.DeepEqual(g, w) {
		t.Errorf("record %s is\n%+v, want\n%+v", w.ID, g, w)
	}
}

func empty(t *testing.T, s registry.Storage) {
	if found, revision := all(t, s); len(found) != 0 || revision != 0 {
		t.Errorf("%d records, revision %d", len(found), revision)
	}
	_, err := s.Get(t.Context(), "key_1")
	wantError(t, err, registry.ErrNotFound)
	_, err = s.ByDigest(t.Context(), digest("x"))
	wantError(t, err, registry.ErrNotFound)
	if found := entries(t, s, "", 0, 10); len(found) != 0 {
		t.Errorf("%d entries", len(found))
	}
	if s.Name() == "" {
		t.Error("no name")
	}
}

// fullRecord returns a record with a value in each field of a source binding.
func fullRecord() *registry.Record {
	r := record("key_full")
	r.Sources = []string{"7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10", "default"}
	r.Hint, r.State = "a1B2", keys.Disabled
	r.PreviousTokens = []keys.PreviousToken{{Digest: digest("old 1"), Until: start.Add(time.Hour)}, {Digest: digest("old 2")}}
	r.NotBefore, r.Expires = time.Unix(0, 0), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	r.Rotated = start.Add(time.Minute)
	r.Prompt, r.Chunks, r.Retriever = "default", "2", "classic"
	r.TokenKind, r.Policy = policy.Secret, fullPolicy()
	r.Leaked, r.LeakedOrigin = r.Created, "https://docs.example.com"
	r.Signing = fullSigning()
	return r
}

// fullSigning returns a Signing with a value in each field.
func fullSigning() *registry.Signing {
	return &registry.Signing{
		Secrets: []registry.SignSecret{
			{ID: "0a1b2c3d", Encrypted: []byte{1, 0, 255}, Created: start.Add(time.Minute)},
			{ID: "ffffffff", Encrypted: []byte{2}, Created: start, Until: start.Add(time.Hour)},
		},
		PublicKeys: []ed25519.PublicKey{bytes.Repeat([]byte{7}, ed25519.PublicKeySize), make([]byte, ed25519.PublicKeySize)},
		Generation: visitortoken.MaxGeneration,
	}
}

// fullPolicy returns a policy with a value in each field.
func fullPolicy() *policy.Policy {
	p := new(policy.Policy)
	err := json.Unmarshal([]byte(`{"kind":"publishable","origins":["https://docs.example.com","https://*.example.org:8443","null"],
		"ips":["192.0.2.7","2001:db8::/48"],"endpoints":["widget","openai"],"visitors":"required","limit_message":"Bitte in {wait_short} erneut: \"ü\".","limits":{"requests":"600/1m","visitor_requests":"20/1d",
		"streams":50,"visitor_streams":"off","questions_per_day":1000,"questions_per_month":20000,"tokens_per_day":"off",
		"question_chars":4000,"history_turns":20,"weight":5}}`), p)
	if err != nil {
		panic(err) // the text is constant
	}
	return p
}

func roundTrip(t *testing.T, s registry.Storage) {
	placeholder, reference, encrypted, bare := record("key_a"), record("key_b"), record("key_c"), record("key_d")
	placeholder.Sources, placeholder.Agent.Placeholder = nil, "{env.AGENT}"
	reference.Sources, reference.Agent.Key = nil, "support"
	encrypted.Sources, encrypted.Agent.Encrypted = nil, []byte{0, 1, 2, 255}
	encrypted.State = keys.Revoked
	*bare = registry.Record{ID: "key_d", Digest: digest("d")}
	written := []*registry.Record{fullRecord(), placeholder, reference, encrypted, bare}
	write(t, s, written...)
	for _, want := range written {
		if want.Revision == 0 {
			t.Errorf("record %s has no revision after the write", want.ID)
		}
		wantEqual(t, get(t, s, want.ID), want)
	}
	found, _ := all(t, s)
	slices.SortFunc(written, func(a, b *registry.Record) int { return bytes.Compare([]byte(a.ID), []byte(b.ID)) })
	if len(found) != len(written) {
		t.Fatalf("%d records, want %d", len(found), len(written))
	}
	for i, want := range written {
		wantEqual(t, found[i], want)
	}
}

func sortedByID(t *testing.T, s registry.Storage) {
	want := make([]string, 500)
	records := make([]*registry.Record, len(want))
	for i := range want {
		want[i] = fmt.Sprintf("key_%04d", i)
		records[(i*7)%len(want)] = record(want[i])
	}
	write(t, s, records...)
	found, _ := all(t, s)
	got := make([]string, len(found))
	for i, r := range found {
		got[i] = r.ID
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d records, want %d, sorted by id", len(got), len(want))
	}
}

func byDigest(t *testing.T, s registry.Storage) {
	r := fullRecord()
	write(t, s, r, record("key_other"))
	for _, token := range []string{"token of key_full", "old 1", "old 2"} {
		found, err := s.ByDigest(t.Context(), digest(token))
		if err != nil {
			t.Fatalf("by %s: %v", token, err)
		}
		wantEqual(t, found, r)
	}
	_, err := s.ByDigest(t.Context(), digest("none"))
	wantError(t, err, registry.ErrNotFound)
}

func removedDigest(t *testing.T, s registry.Storage) {
	r, other := fullRecord(), record("key_other")
	write(t, s, r)
	r.PreviousTokens = r.PreviousTokens[:1]
	write(t, s, r)
	_, err := s.ByDigest(t.Context(), digest("old 2"))
	wantError(t, err, registry.ErrNotFound)
	other.Digest = digest("old 2")
	write(t, s, other)
}

func duplicateDigest(t *testing.T, s registry.Storage) {
	write(t, s, fullRecord())
	for name, token := range map[string]string{"current": "token of key_full", "old": "old 1"} {
		current, old := record("key_other"), record("key_other")
		current.Digest = digest(token)
		old.PreviousTokens = []keys.PreviousToken{{Digest: digest(token)}}
		for place, r := range map[string]*registry.Record{"current": current, "old": old} {
			if err := s.Write(t.Context(), []*registry.Record{r}, nil); !errors.Is(err, registry.ErrExists) {
				t.Errorf("the %s token of another record as %s token: error %v, want %v", name, place, err, registry.ErrExists)
			}
		}
	}
	a, b := record("key_a"), record("key_b")
	b.Digest = a.Digest
	wantError(t, s.Write(t.Context(), []*registry.Record{a, b}, nil), registry.ErrExists)
	if found, _ := all(t, s); len(found) != 1 {
		t.Errorf("%d records, want 1", len(found))
	}
}

func swappedDigests(t *testing.T, s registry.Storage) {
	a, b := record("key_a"), record("key_b")
	write(t, s, a, b)
	a.Digest, b.Digest = b.Digest, a.Digest
	write(t, s, a, b)
	for _, want := range []*registry.Record{a, b} {
		found, err := s.ByDigest(t.Context(), want.Digest)
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, found, want)
	}
}

func duplicateID(t *testing.T, s registry.Storage) {
	write(t, s, record("key_a"))
	again := record("key_a")
	again.Digest = digest("another")
	wantError(t, s.Write(t.Context(), []*registry.Record{again}, nil), registry.ErrExists)
	b, twice := record("key_b"), record("key_b")
	twice.Digest = digest("another")
	wantError(t, s.Write(t.Context(), []*registry.Record{b, twice}, nil), registry.ErrExists)
	_, err := s.Get(t.Context(), "key_b")
	wantError(t, err, registry.ErrNotFound)
}

func conflict(t *testing.T, s registry.Storage) {
	r := record("key_a")
	write(t, s, r)
	stale := *r
	write(t, s, r)
	wantError(t, s.Write(t.Context(), []*registry.Record{&stale}, nil), registry.ErrConflict)
	gone := record("key_none")
	gone.Revision = r.Revision
	wantError(t, s.Write(t.Context(), []*registry.Record{gone}, nil), registry.ErrConflict)
}

func failedWriteIsAtomic(t *testing.T, s registry.Storage) {
	a, b := record("key_a"), record("key_b")
	write(t, s, a)
	_, before := all(t, s)
	changedA, newC, stale := *a, record("key_c"), *a
	changedA.Name = "changed"
	stale.ID, stale.Digest = "key_b", b.Digest // has a revision, but does not exist
	e := entry("key_a", registry.ActionChanged)
	wantError(t, s.Write(t.Context(), []*registry.Record{&changedA, newC, &stale}, []*registry.AuditEntry{e}), registry.ErrConflict)
	if changedA.Revision != a.Revision || newC.Revision != 0 || e.Seq != 0 {
		t.Error("the failed write has set Revision or Seq")
	}
	wantEqual(t, get(t, s, "key_a"), a)
	if found, revision := all(t, s); len(found) != 1 || revision != before {
		t.Errorf("%d records, revision %d; want 1, %d", len(found), revision, before)
	}
	if n := len(entries(t, s, "", 0, 10)); n != 1 {
		t.Errorf("%d entries, want 1", n)
	}
	_, err := s.ByDigest(t.Context(), newC.Digest)
	wantError(t, err, registry.ErrNotFound)
	write(t, s, newC) // its token is not in use
}

func revisions(t *testing.T, s registry.Storage) {
	a, b := record("key_a"), record("key_b")
	last := uint64(0)
	for range 3 {
		for _, r := range []*registry.Record{a, b} {
			write(t, s, r)
			if r.Revision <= last {
				t.Fatalf("revision %d after %d", r.Revision, last)
			}
			last = r.Revision
			if stored := get(t, s, r.ID).Revision; stored != last {
				t.Fatalf("stored revision %d, want %d", stored, last)
			}
		}
	}
	if _, revision := all(t, s); revision != last {
		t.Errorf("revision %d, want %d", revision, last)
	}
}

func changes(t *testing.T, s registry.Storage) {
	a, b, c := record("key_a"), record("key_b"), record("key_c")
	write(t, s, a, b, c)
	ids, first := changed(t, s, 0)
	if !slices.Equal(ids, []string{"key_a", "key_b", "key_c"}) {
		t.Errorf("since the beginning: %v", ids)
	}
	if ids, same := changed(t, s, first); len(ids) != 0 || same != first {
		t.Errorf("without writes: %v, revision %d, want none, %d", ids, same, first)
	}
	for range 3 {
		write(t, s, b)
	}
	write(t, s, a)
	ids, second := changed(t, s, first)
	if !slices.Equal(ids, []string{"key_a", "key_b"}) || second <= first {
		t.Errorf("after more writes: %v, revision %d after %d", ids, second, first)
	}
	if ids, _ := changed(t, s, 0); !slices.Equal(ids, []string{"key_a", "key_b", "key_c"}) {
		t.Errorf("since the beginning, later: %v", ids)
	}
	if ids, revision := changed(t, s, second+100); len(ids) != 0 || revision != second {
		t.Errorf("since a future revision: %v, revision %d, want none, %d", ids, revision, second)
	}
}

func yieldErrors(t *testing.T, s registry.Storage) {
	write(t, s, record("key_a"), record("key_b"))
	own := errors.New("own")
	calls := 0
	stop := func(*registry.Record) error { calls++; return own }
	if _, err := s.All(t.Context(), stop); err != own || calls != 1 { //nolint:errorlint // it must not be wrapped
		t.Errorf("all: error %v after %d calls", err, calls)
	}
	calls = 0
	if _, err := s.Changes(t.Context(), 0, stop); err != own || calls != 1 { //nolint:errorlint // it must not be wrapped
		t.Errorf("changes: error %v after %d calls", err, calls)
	}
	// The storage is still usable.
	write(t, s, record("key_c"))
}

func watch(t *testing.T, s registry.Storage) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Watch(ctx, func() {}) }()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Watch: %v, want nil", err)
	}
}
