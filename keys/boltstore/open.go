package boltstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/docsgate/docsgate/keys/durable"
)

// lockTimeout is how long another process may hold the file. A restart is over by then; a gate that runs is not.
const lockTimeout = time.Second

// Open opens the store in a file, or makes it, with its folder (0700) and for its user alone (0600). An existing file is
// read as a whole first, see the package's documentation, and is left as it is if anything is wrong with it. ctx can end
// that; the store does not depend on it later.
//
// Errors are ErrLocked, ErrDamaged, ErrNewer or those of the file system, and say what to do.
func Open(ctx context.Context, o Options) (*Store, error) {
	path, err := filepath.Abs(o.Path)
	if err != nil || o.Path == "" {
		return nil, errors.New("opening the key store: it has no path")
	}
	s, err := open(ctx, path, o)
	if err != nil {
		return nil, fmt.Errorf("opening the key store %s: %w", path, advise(err))
	}
	return s, nil
}

func open(ctx context.Context, path string, o Options) (*Store, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := create(path); err != nil {
			return nil, fmt.Errorf("making it: %w", err)
		}
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errors.New("it is a folder; name the file in it, such as keys.db")
	case !info.Mode().IsRegular():
		return nil, errors.New("it is no regular file")
	case info.Size() == 0:
		return nil, fmt.Errorf("%w: it is empty", ErrDamaged)
	default:
		if err := inspectLocked(ctx, path); err != nil {
			return nil, err
		}
	}
	h, err := openBolt(path, false)
	if err != nil {
		return nil, err
	}
	return newStore(path, h, o), nil
}

// advise adds what to do.
func advise(err error) error {
	switch {
	case errors.Is(err, ErrLocked):
		return fmt.Errorf("%w; ask the running gate (docsgate keys ... --address), or stop it first", err)
	case errors.Is(err, ErrDamaged):
		return fmt.Errorf("%w; the file was left as it is: keep a copy of it, and put a backup in its place", err)
	case errors.Is(err, ErrNewer):
		return fmt.Errorf("%w; the file was left as it is: run that version, or put an older backup in its place", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; the user that runs docsgate must be able to read and write the file and its folder", err)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w; make room on that disk", err)
	default:
		return err
	}
}

// inspectLocked inspects a file while nobody writes it.
func inspectLocked(ctx context.Context, path string) error {
	h, err := openBolt(path, true)
	switch {
	case err == nil:
		return errors.Join(inspect(ctx, h.file), h.close())
	case errors.Is(err, ErrLocked):
		return err
	}
	// bbolt's words for a file that is none of its own are few.
	file, failed := os.Open(path)
	if failed != nil {
		return err
	}
	return cmp.Or(errors.Join(inspect(ctx, file), file.Close()), err)
}

// create makes an empty store. It gets its name only when it is complete and on disk; a file that has come to be there
// meanwhile is not replaced.
func create(path string) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(dir, filepath.Base(path)+".*.new")
	if err != nil {
		return err
	}
	defer func() {
		if gone := os.Remove(temp.Name()); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}()
	if err := temp.Close(); err != nil {
		return err
	}
	h, err := openBolt(temp.Name(), false)
	if err != nil {
		return err
	}
	err = h.db.Update(func(tx *bolt.Tx) error {
		for _, name := range bucketNames {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		meta := tx.Bucket(bucketNames[inMeta])
		return errors.Join(
			meta.Put(rowFormat, seal(rowFormat, formatBody(formatMajor, formatMinor))),
			meta.Put(rowState, seal(rowState, new(state).body())))
	})
	if err := errors.Join(err, h.close()); err != nil {
		return err
	}
	if err := durable.Name(temp.Name(), path); err != nil {
		return err
	}
	return durable.SyncFolder(dir)
}

// handle is an open bbolt file.
type handle struct {
	db   *bolt.DB
	file *os.File // the one that db has opened
}

func (h handle) close() error { return h.db.Close() }

// grow is by how much the file grows at a time. bbolt's own 16 MiB are a lot for a few keys.
const grow = 1 << 20

// openBolt opens a file with bbolt: alone, or for reading with others.
func openBolt(path string, reading bool) (h handle, err error) {
	options := &bolt.Options{
		Timeout:      lockTimeout,
		ReadOnly:     reading,
		FreelistType: bolt.FreelistMapType,
		NoStatistics: true,
		OpenFile: func(path string, flag int, mode os.FileMode) (*os.File, error) {
			// Were it not given anew, a file that is gone by now would come into being empty.
			file, err := os.OpenFile(path, flag&^os.O_CREATE, mode)
			h.file = file
			return file, err
		},
	}
	if !reading {
		options.InitialMmapSize = reserve()
	}
	open := func() (err error) {
		h.db, err = bolt.Open(path, 0o600, options)
		return err
	}
	if err = guard(new(bool), open); errors.Is(err, syscall.ENOMEM) && options.InitialMmapSize > 0 {
		options.InitialMmapSize = 0 // address space is limited here
		err = guard(new(bool), open)
	}
	switch p := (*panicError)(nil); {
	case err == nil:
		h.db.AllocSize = grow
		return h, nil
	case errors.As(err, &p):
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	case errors.Is(err, bolterrors.ErrTimeout):
		err = ErrLocked
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum):
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	case errors.Is(err, bolterrors.ErrVersionMismatch):
		err = fmt.Errorf("%w: %w", ErrNewer, err)
	}
	if h.file != nil {
		_ = h.file.Close() // after a panic bbolt has not done so, and with the file its lock would stay
	}
	return handle{}, err
}

// reserve is how much address space the file is mapped into. When it outgrows that, bbolt maps it anew and waits for all
// readers first, and whoever takes an export slowly would hold up all writes. Address space costs nothing on 64-bit
// systems. Windows would make the file that long.
func reserve() int {
	if strconv.IntSize < 64 || runtime.GOOS == "windows" {
		return 0
	}
	var bytes int64 = 64 << 30
	return int(bytes)
}
