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

// transactions returns the number of write transactions so far.
func transactions(t *testing.T, s *Store) (id int) {
	t.Helper()
	if err := s.db.db.View(func(tx *bolt.Tx) error { id = tx.ID(); return nil }); err != nil {
		t.Fatal(err)
	}
	return id
}

// queued blocks the writer, starts the jobs, and unblocks the writer once all of them are queued.
func queued(t *testing.T, s *Store, jobs []func() error) []error {
	t.Helper()
	begun, release := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		first <- s.update(context.Background(), func(*writeTx) error { close(begun); <-release; return nil })
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
	for deadline := time.Now().Add(time.Minute); len(s.queue) < len(jobs); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the writes were not queued")
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

func TestQueuedWritesShareTransaction(t *testing.T) {
	s := openStore(t, newPath(t))
	before := transactions(t, s)
	jobs := make([]func() error, 64)
	for i := range jobs {
		r := record(i)
		if i%8 == 7 {
			r.Digest = record(0).Digest // the first write gets it
			r.ID = fmt.Sprint("key_bad_", i)
		}
		jobs[i] = func() error { return s.Write(t.Context(), []*registry.Record{r}, nil) }
	}
	rejected := 0
	for i, err := range queued(t, s, jobs) {
		switch {
		case errors.Is(err, registry.ErrExists) && (i%8 == 7 || i == 0):
			rejected++
		case err != nil:
			t.Errorf("write %d: %v", i, err)
		}
	}
	if rejected != 8 { // 9 writes have the token of record 0
		t.Errorf("%d of 9 writes with the same token were rejected, want 8", rejected)
	}
	if n := transactions(t, s) - before; n != 1 {
		t.Errorf("%d transactions, want 1", n)
	}
}

func TestFailedWriteDoesNotAffectBatch(t *testing.T) {
	s := openStore(t, newPath(t))
	var jobs []func() error
	for i := range 9 {
		jobs = append(jobs, func() error { return s.Write(t.Context(), []*registry.Record{record(i)}, nil) })
	}
	const bad = 4
	jobs[bad] = func() error {
		return s.update(t.Context(), func(w *writeTx) error {
			w.put(bucketNotes, []byte("half"), nil)
			w.put(bucketNotes, make([]byte, bolt.MaxKeySize+1), nil) // bbolt rejects it
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
	if err := s.view(t.Context(), func(r *readTx) error {
		if r.tx.Bucket(bucketNames[bucketNotes]).Get([]byte("half")) != nil {
			t.Error("half of the bad write is stored")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestSaveUseSplitsTransactions(t *testing.T) {
	s := openStore(t, newPath(t))
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

func TestReadersDoNotBlockWrites(t *testing.T) {
	s := openStore(t, newPath(t))
	fill(t, s, 10)
	// During a read the file grows to many times its size. With a small mapping this would never end.
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

func TestCloseWaitsForReaders(t *testing.T) {
	s := openStore(t, newPath(t))
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
			t.Fatal("Close has not started")
		}
	}
	select {
	case err := <-closed:
		t.Errorf("closed during a read: %v", err)
	default:
	}
	close(release)
	if err := errors.Join(<-read, <-closed, s.Close()); err != nil {
		t.Error(err)
	}
}

func TestCallbackPanicPropagates(t *testing.T) {
	s := openStore(t, newPath(t))
	fill(t, s, 1)
	func() {
		defer func() {
			if p := recover(); p != "callback" {
				t.Errorf("recovered %v", p)
			}
		}()
		_, _ = s.All(t.Context(), func(*registry.Record) error { panic("callback") })
	}()
	if err := s.Write(t.Context(), []*registry.Record{record(1)}, nil); err != nil {
		t.Error(err)
	}
}

func TestWriteRejectsRecords(t *testing.T) {
	s := openStore(t, newPath(t))
	for name, damage := range map[string]func(r *registry.Record){
		"no id":            func(r *registry.Record) { r.ID = "" },
		"NUL in the id":    func(r *registry.Record) { r.ID = "key\x00" },
		"too long id":      func(r *registry.Record) { r.ID = string(bytes.Repeat([]byte("x"), maxID+1)) },
		"no digest":        func(r *registry.Record) { r.Digest = [32]byte{} },
		"unknown revision": func(r *registry.Record) { r.Revision = 7 },
	} {
		t.Run(name, func(t *testing.T) {
			r := record(1)
			damage(r)
			if err := s.Write(t.Context(), []*registry.Record{r}, nil); err == nil {
				t.Error("the record was stored")
			}
		})
	}
}

func TestIdempotencyRecordsExpire(t *testing.T) {
	path := newPath(t)
	now := testTime
	s, err := Open(t.Context(), Options{Path: path, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rows := func() (n uint64) {
		if err := s.view(t.Context(), func(r *readTx) error {
			self, err := r.state()
			n = self.counts[bucketNotes]
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	recall := func(name, want string) {
		t.Helper()
		if got, err := s.GetIdempotencyRecord(t.Context(), name); err != nil || got != want {
			t.Errorf("record %s is %q, want %q; %v", name, got, want, err)
		}
	}
	remember := func(name string) {
		t.Helper()
		if err := s.PutIdempotencyRecord(t.Context(), name, "text of "+name); err != nil {
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
		t.Errorf("%d records before any other write, want 2", n)
	}
	remember("b")
	if n := rows(); n != 2 {
		t.Errorf("%d records, want renewed and b", n)
	}
	now = now.Add(48 * time.Hour)
	if err := s.SaveUse(t.Context(), []usage.Row{{ID: "x"}}); err != nil {
		t.Fatal(err)
	}
	if n := rows(); n != 0 {
		t.Errorf("%d records after two days, want none", n)
	}
}

// Additions of a newer minor version to records, to the state and to the file are preserved, whatever this version writes.
func TestNewerMinorVersion(t *testing.T) {
	path, _ := newStoreFile(t, 30)
	id := []byte(record(7).ID)
	addition := protowire.AppendString(protowire.AppendTag(nil, 1000, protowire.BytesType), "something new")
	editFile(t, path, func(tx *bolt.Tx) error {
		newBucket, err := tx.CreateBucket([]byte("new"))
		if err != nil {
			return err
		}
		add := func(bucket int, key []byte) error {
			b := tx.Bucket(bucketNames[bucket])
			body, err := verifyChecksum(key, b.Get(key))
			return errors.Join(err, b.Put(key, addChecksum(key, append(bytes.Clone(body), addition...))))
		}
		return errors.Join(newBucket.Put([]byte("a"), []byte("b")), add(bucketRecords, id), add(bucketMeta, rowState),
			putRow(bucketMeta, rowFormat, addChecksum(rowFormat, formatBody(formatMajor, 99)))(tx))
	})
	s := openStore(t, path)
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
	editFile(t, path, func(tx *bolt.Tx) error {
		if string(tx.Bucket([]byte("new")).Get([]byte("a"))) != "b" {
			t.Error("the new bucket is missing")
		}
		for bucket, key := range map[int][]byte{bucketRecords: id, bucketMeta: rowState} {
			if value := tx.Bucket(bucketNames[bucket]).Get(key); bytes.Count(value, addition) != 1 {
				t.Errorf("row %s has the new field %d times", key, bytes.Count(value, addition))
			}
		}
		return nil
	})
	openStore(t, path)
}

func TestWatchEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := new(Store).Watch(ctx, func() { t.Error("changed was called, but no other process can write") }); err != nil || ctx.Err() == nil {
			t.Errorf("error %v", err)
		}
	})
}
