package boltstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	bolt "go.etcd.io/bbolt"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/usage"
)

// transactions counts the write transactions so far.
func transactions(t *testing.T, s *Store) (id int) {
	t.Helper()
	if err := s.db.db.View(func(tx *bolt.Tx) error { id = tx.ID(); return nil }); err != nil {
		t.Fatal(err)
	}
	return id
}

// queued holds the writer up, starts the jobs, and lets the writer go on once all of them wait.
func queued(t *testing.T, s *Store, jobs []func() error) []error {
	t.Helper()
	begun, release := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		first <- s.update(context.Background(), func(*writing) error { close(begun); <-release; return nil })
	}()
	<-begun
	type result struct {
		i   int
		err error
	}
	results := make(chan result)
	for i, job := range jobs {
		go func() { results <- result{i, job()} }()
	}
	for deadline := time.Now().Add(time.Minute); len(s.jobs) < len(jobs); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the writes do not come")
		}
	}
	close(release)
	errs := make([]error, len(jobs))
	for range jobs {
		r := <-results
		errs[r.i] = r.err
	}
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	return errs
}

func TestWaitingWritesShareATransaction(t *testing.T) {
	s := open1(t, newPath(t))
	before := transactions(t, s)
	jobs := make([]func() error, 64)
	for i := range jobs {
		r := record(i)
		if i%8 == 7 {
			r.Digest = record(0).Digest // who comes first has it
			r.ID = fmt.Sprint("key_bad_", i)
		}
		jobs[i] = func() error { return s.Write(t.Context(), []*registry.Record{r}, nil) }
	}
	taken := 0
	for i, err := range queued(t, s, jobs) {
		switch {
		case errors.Is(err, registry.ErrTaken) && (i%8 == 7 || i == 0):
			taken++
		case err != nil:
			t.Errorf("write %d: %v", i, err)
		}
	}
	if taken != 8 { // 9 want the token of record 0
		t.Errorf("%d of 9 writes were refused a token that they share, want 8", taken)
	}
	if n := transactions(t, s) - before; n != 1 {
		t.Errorf("%d transactions, want 1", n)
	}
}

func TestAWriteThatBreaksTheTransactionFailsAlone(t *testing.T) {
	s := open1(t, newPath(t))
	var jobs []func() error
	for i := range 9 {
		jobs = append(jobs, func() error { return s.Write(t.Context(), []*registry.Record{record(i)}, nil) })
	}
	const bad = 4
	jobs[bad] = func() error {
		return s.update(t.Context(), func(w *writing) error {
			w.put(inNotes, []byte("half"), nil)
			w.put(inNotes, make([]byte, bolt.MaxKeySize+1), nil) // bbolt refuses it
			return nil
		})
	}
	for i, err := range queued(t, s, jobs) {
		if (err != nil) != (i == bad) {
			t.Errorf("write %d: error %v", i, err)
		}
	}
	if n, err := count(t.Context(), s); err != nil || n != len(jobs)-1 {
		t.Errorf("%d records, want %d; %v", n, len(jobs)-1, err)
	}
	if err := s.view(t.Context(), func(r *reading) error {
		if r.tx.Bucket(bucketNames[inNotes]).Get([]byte("half")) != nil {
			t.Error("half of the bad write is there")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestSavingUseLetsOthersWrite(t *testing.T) {
	s := open1(t, newPath(t))
	rows := make([]usage.Row, 100_000)
	for i := range rows {
		rows[i] = usage.Row{ID: record(i).ID, LastUsed: int64(i), Hour: 1, Requests: [usage.Hours]uint32{23: 5}}
	}
	before := transactions(t, s)
	if err := s.SaveUse(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	if n := transactions(t, s) - before; n != len(rows)/useRows {
		t.Errorf("%d transactions, want %d", n, len(rows)/useRows)
	}
}

func TestReadersDoNotHoldWritesUp(t *testing.T) {
	s := open1(t, newPath(t))
	fill(t, s, 10)
	// While one reads, the file grows to many times its size; with a small mapping this would never end.
	if _, err := s.All(t.Context(), func(r *registry.Record) error {
		if r.ID != record(0).ID {
			return nil
		}
		for n := 10; n < 5000; n += 1000 {
			var more []*registry.Record
			for i := n; i < n+1000; i++ {
				more = append(more, record(i))
			}
			if err := s.Write(t.Context(), more, nil); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestCloseWaits(t *testing.T) {
	s := open1(t, newPath(t))
	fill(t, s, 1)
	reading, release := make(chan struct{}), make(chan struct{})
	read := make(chan error, 1)
	go func() {
		_, err := s.All(t.Context(), func(*registry.Record) error { close(reading); <-release; return nil })
		read <- err
	}()
	<-reading
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if _, err := s.Get(t.Context(), "x"); errors.Is(err, ErrClosed) {
			break
		} else if time.Now().After(deadline) {
			t.Fatal("closing does not begin")
		}
	}
	select {
	case err := <-closed:
		t.Errorf("closed under a reader: %v", err)
	default:
	}
	close(release)
	if err := errors.Join(<-read, <-closed, s.Close()); err != nil {
		t.Error(err)
	}
}

func TestPanicOfACallerIsTheirs(t *testing.T) {
	s := open1(t, newPath(t))
	fill(t, s, 1)
	func() {
		defer func() {
			if p := recover(); p != "own" {
				t.Errorf("the panic became %v", p)
			}
		}()
		_, _ = s.All(t.Context(), func(*registry.Record) error { panic("own") })
	}()
	if err := s.Write(t.Context(), []*registry.Record{record(1)}, nil); err != nil {
		t.Error(err)
	}
}

func TestRefusedRecords(t *testing.T) {
	s := open1(t, newPath(t))
	for name, spoil := range map[string]func(r *registry.Record){
		"no id":            func(r *registry.Record) { r.ID = "" },
		"NUL in the id":    func(r *registry.Record) { r.ID = "key\x00" },
		"too long an id":   func(r *registry.Record) { r.ID = string(bytes.Repeat([]byte("x"), maxID+1)) },
		"no digest":        func(r *registry.Record) { r.Digest = [32]byte{} },
		"no such revision": func(r *registry.Record) { r.Revision = 7 },
	} {
		t.Run(name, func(t *testing.T) {
			r := record(1)
			spoil(r)
			if err := s.Write(t.Context(), []*registry.Record{r}, nil); err == nil {
				t.Error("it was stored")
			}
		})
	}
}

func TestNotesAge(t *testing.T) {
	path := newPath(t)
	now := when
	s, err := Open(t.Context(), Options{Path: path, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rows := func() (n uint64) {
		if err := s.view(t.Context(), func(r *reading) error {
			self, err := r.state()
			n = self.counts[inNotes]
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	recall := func(name, want string) {
		t.Helper()
		if got, err := s.Recall(t.Context(), name); err != nil || got != want {
			t.Errorf("note %s is %q, want %q; %v", name, got, want, err)
		}
	}
	remember := func(name string) {
		t.Helper()
		if err := s.Remember(t.Context(), name, "text of "+name); err != nil {
			t.Fatal(err)
		}
	}
	remember("a")
	remember("renewed")
	now = now.Add(12 * time.Hour)
	remember("renewed")
	now = now.Add(12*time.Hour - time.Second)
	recall("a", "text of a")
	now = now.Add(2 * time.Second)
	recall("a", "")
	recall("renewed", "text of renewed")
	if n := rows(); n != 2 {
		t.Errorf("%d notes before any other write, want 2", n)
	}
	remember("b")
	if n := rows(); n != 2 {
		t.Errorf("%d notes, want renewed and b", n)
	}
	now = now.Add(48 * time.Hour)
	if err := s.SaveUse(t.Context(), []usage.Row{{ID: "x"}}); err != nil {
		t.Fatal(err)
	}
	if n := rows(); n != 0 {
		t.Errorf("%d notes after two days, want none", n)
	}
}

// What a newer minor version has added to records, to the state and to the file stays, whatever this one writes.
func TestNewerMinorVersion(t *testing.T) {
	path, _ := stored(t, 30)
	id := []byte(record(7).ID)
	news := protowire.AppendString(protowire.AppendTag(nil, 1000, protowire.BytesType), "something new")
	edit(t, path, func(tx *bolt.Tx) error {
		theirs, err := tx.CreateBucket([]byte("new"))
		if err != nil {
			return err
		}
		add := func(bucket int, key []byte) error {
			b := tx.Bucket(bucketNames[bucket])
			body, err := unseal(key, b.Get(key))
			return errors.Join(err, b.Put(key, seal(key, append(bytes.Clone(body), news...))))
		}
		return errors.Join(theirs.Put([]byte("a"), []byte("b")), add(inRecords, id), add(inMeta, rowState),
			putRow(inMeta, rowFormat, seal(rowFormat, formatBody(formatMajor, 99)))(tx))
	})
	s := open1(t, path)
	for range 2 {
		r, err := s.Get(t.Context(), string(id))
		if err != nil {
			t.Fatal(err)
		}
		r.Name = "renamed"
		if err := s.Write(t.Context(), []*registry.Record{r}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	edit(t, path, func(tx *bolt.Tx) error {
		if string(tx.Bucket([]byte("new")).Get([]byte("a"))) != "b" {
			t.Error("the new bucket is gone")
		}
		for bucket, key := range map[int][]byte{inRecords: id, inMeta: rowState} {
			if value := tx.Bucket(bucketNames[bucket]).Get(key); bytes.Count(value, news) != 1 {
				t.Errorf("row %s has the new field %d times", key, bytes.Count(value, news))
			}
		}
		return nil
	})
	open1(t, path)
}

func TestWatchEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := new(Store).Watch(ctx, func() { t.Error("nobody else can write") }); err != nil || ctx.Err() == nil {
			t.Errorf("error %v", err)
		}
	})
}
