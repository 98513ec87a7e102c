package blocklist

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// ErrLocked is returned if another process has the file open.
var ErrLocked = errors.New("another process has the file open")

var errDamaged = errors.New("the file is damaged")

var (
	bucketMeta    = []byte("meta")
	bucketEntries = []byte("entries")
	rowIdentity   = []byte("identity 1")
	rowCount      = []byte("count")
)

// file is an open file. Only the goroutine of Open writes.
type file struct {
	db     *bolt.DB
	count  uint64
	failed error // the content is unknown
}

// Open loads the file at path, which it creates if it does not exist, and from then on writes each change to it. It replaces the content
// of the list. A damaged file is renamed, and replaced by an empty one with a new identity. If the file cannot be opened, the list stays in
// memory, and it is opened later. Open must be called once, and Close afterwards.
func (l *List) Open(path string, log *slog.Logger) {
	err := l.open(path, log)
	if err != nil {
		log.Warn("blocked conversations are only in memory until their file can be opened: until then, keys that are bound to sources "+
			"lose their conversations when docsgate restarts", "file", path, "error", err)
	}
	l.stopped.Go(func() { l.run(path, log) })
}

// run commits changes, and opens the file as soon as that is possible.
func (l *List) run(path string, log *slog.Logger) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for seconds := 0; ; {
		stop := false
		select {
		case <-l.wake:
		case <-l.stop:
			stop = true
		case <-tick.C:
			if seconds++; seconds%600 == 0 {
				l.Expire(time.Now())
			}
			if !l.works() && l.open(path, log) == nil {
				log.Info("opened the file of blocked conversations", "file", path)
			}
		}
		if err := l.commit(); err != nil {
			log.Error("saving blocked conversations failed: conversations of keys that are bound to sources are not continued", "file", path,
				"error", err)
		}
		if stop {
			return
		}
	}
}

// works reports whether the file is open and the last write has succeeded. After a failed write the file is opened again, since its content
// is unknown.
func (l *List) works() bool {
	l.mu.Lock()
	f := l.file
	l.mu.Unlock()
	if f != nil && f.failed != nil {
		_ = f.db.Close() // the file is opened again
	}
	return f != nil && f.failed == nil
}

// Close writes the changes and closes the file. Then no conversation can be added, as for requests that outlive the configuration.
func (l *List) Close() error {
	close(l.stop)
	l.stopped.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.file == nil {
		return nil
	}
	f := l.file
	l.file = nil
	return f.db.Close()
}

func (l *List) open(path string, log *slog.Logger) error {
	f, identity, entries, err := openFile(path)
	if errors.Is(err, errDamaged) {
		log.Error("the file of blocked conversations is damaged and was renamed; keys that are bound to sources lose their conversations",
			"file", path, "error", err)
		if err = os.Rename(path, path+".damaged"); err == nil {
			f, identity, entries, err = openFile(path)
		}
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reset(identity, entries)
	l.file = f
	return nil
}

// openFile opens a file, or creates it. An error that wraps errDamaged says that it contains something else.
func openFile(path string) (_ *file, id Identity, entries map[entryID]entry, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, id, nil, err
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Millisecond})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, id, nil, ErrLocked
	case err != nil && isSystemError(err):
		return nil, id, nil, err
	case err != nil:
		return nil, id, nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	f := &file{db: db}
	if entries, err = f.load(&id); err != nil {
		return nil, id, nil, errors.Join(err, db.Close())
	}
	return f, id, entries, nil
}

// isSystemError reports whether an error of bbolt is one of the operating system, and not about the content of the file.
func isSystemError(err error) bool {
	_, path := errors.AsType[*fs.PathError](err)
	_, number := errors.AsType[syscall.Errno](err)
	return path || number
}

// load reads the file, or initializes an empty one.
func (f *file) load(id *Identity) (entries map[entryID]entry, err error) {
	err = f.update(func(tx *bolt.Tx) error {
		meta, rows := tx.Bucket(bucketMeta), tx.Bucket(bucketEntries)
		if meta == nil && rows == nil {
			*id = newIdentity()
			return create(tx, *id)
		}
		if meta == nil || rows == nil || len(meta.Get(rowIdentity)) != len(id) || len(meta.Get(rowCount)) != 8 {
			return errDamaged
		}
		*id, f.count = Identity(meta.Get(rowIdentity)), binary.BigEndian.Uint64(meta.Get(rowCount))
		entries = map[entryID]entry{}
		if err := rows.ForEach(func(at, value []byte) error {
			if len(at) != len(entryID{}) || len(value) != len(Key{})+8 || len(entries) > MaxEntries {
				return errDamaged
			}
			hour := binary.BigEndian.Uint64(value[len(Key{}):])
			entries[entryID(at)] = entry{Key(value[:len(Key{})]), int64(hour)}
			return nil
		}); err != nil {
			return err
		}
		if uint64(len(entries)) != f.count {
			return errDamaged // an entry that is missing would be valid again
		}
		return nil
	})
	return entries, err
}

func create(tx *bolt.Tx, id Identity) error {
	meta, err := tx.CreateBucket(bucketMeta)
	if err != nil {
		return err
	}
	if _, err := tx.CreateBucket(bucketEntries); err != nil {
		return err
	}
	return errors.Join(meta.Put(rowIdentity, id[:]), meta.Put(rowCount, make([]byte, 8)))
}

// update runs a transaction. bbolt panics if a page is damaged.
func (f *file) update(run func(*bolt.Tx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errDamaged, p)
		}
	}()
	return f.db.Update(run)
}

// commit writes the pending changes in one transaction, and tells the waiters.
func (l *List) commit() error {
	l.mu.Lock()
	f, pending, waiting := l.file, l.pending, l.waiting
	if f == nil || len(pending) == 0 && len(waiting) == 0 {
		l.mu.Unlock()
		return nil
	}
	l.pending, l.waiting = map[entryID]bool{}, nil
	rows := make(map[entryID]entry, len(pending))
	for at, added := range pending {
		if added {
			rows[at] = l.entries[at]
		}
	}
	l.mu.Unlock()
	err := f.failed
	if err == nil {
		if err = f.write(pending, rows); err != nil {
			f.failed = err // after a failed sync the content of the file is unknown
		}
	}
	for _, done := range waiting {
		done <- err
	}
	return err
}

// write writes changes.
func (f *file) write(pending map[entryID]bool, rows map[entryID]entry) error {
	count := f.count
	err := f.update(func(tx *bolt.Tx) error {
		meta, bucket := tx.Bucket(bucketMeta), tx.Bucket(bucketEntries)
		for at, added := range pending {
			exists := bucket.Get(at[:]) != nil
			switch {
			case added:
				if !exists {
					count++
				}
				e := rows[at]
				value := binary.BigEndian.AppendUint64(e.key[:], uint64(e.hour))
				if err := bucket.Put(at[:], value); err != nil {
					return err
				}
			case exists:
				count--
				if err := bucket.Delete(at[:]); err != nil {
					return err
				}
			}
		}
		return meta.Put(rowCount, binary.BigEndian.AppendUint64(nil, count))
	})
	if err == nil {
		f.count = count
	}
	return err
}
