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

	"github.com/docsgate/docsgate/internal/atomicfile"
)

// lockTimeout is how long Open waits for another process to release the file. That is enough for a restart, but not if a gate
// is running.
const lockTimeout = time.Second

// Open opens the store in a file. If the file does not exist, Open creates it with mode 0600, and its folder with mode 0700. An
// existing file is verified first, see the package documentation, and is not modified if verification fails. ctx can cancel
// Open; the store does not depend on it later.
//
// Errors are ErrLocked, ErrDamaged, ErrNewer or errors of the file system, and say what to do.
func Open(ctx context.Context, o Options) (*Store, error) {
	path, err := filepath.Abs(o.Path)
	if err != nil || o.Path == "" {
		return nil, errors.New("opening the key store: the path is empty")
	}
	s, err := open(ctx, path, o)
	if err != nil {
		return nil, fmt.Errorf("opening the key store %s: %w", path, withHint(err))
	}
	return s, nil
}

func open(ctx context.Context, path string, o Options) (*Store, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := create(path); err != nil {
			return nil, fmt.Errorf("creating the file: %w", err)
		}
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errors.New("the path is a folder; name a file in it, such as keys.db")
	case !info.Mode().IsRegular():
		return nil, errors.New("not a regular file")
	case info.Size() == 0:
		return nil, fmt.Errorf("%w: the file is empty", ErrDamaged)
	default:
		if err := inspectLocked(ctx, path); err != nil {
			return nil, err
		}
	}
	h, err := openBolt(path, false)
	if err != nil {
		return nil, err
	}
	if err := h.upgrade(); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return newStore(path, h, o), nil
}

// withHint adds advice to an error.
func withHint(err error) error {
	switch {
	case errors.Is(err, ErrLocked):
		return fmt.Errorf("%w; ask the running gate (docsgate keys ... --address), or stop it first", err)
	case errors.Is(err, ErrDamaged):
		return fmt.Errorf("%w; the file was not modified: keep a copy of it and restore a backup", err)
	case errors.Is(err, ErrNewer):
		return fmt.Errorf("%w; the file was not modified: run that version, or restore an older backup", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; the user that runs docsgate must be able to read and write the file and its folder", err)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w; free up space on that disk", err)
	default:
		return err
	}
}

// inspectLocked verifies the file while holding its lock, so that no process writes to it.
func inspectLocked(ctx context.Context, path string) error {
	h, err := openBolt(path, true)
	switch {
	case err == nil:
		return errors.Join(verifyFile(ctx, h.file), h.close())
	case errors.Is(err, ErrLocked):
		return err
	}
	// bbolt's errors for a foreign file are not specific.
	file, openErr := os.Open(path)
	if openErr != nil {
		return err
	}
	return cmp.Or(errors.Join(verifyFile(ctx, file), file.Close()), err)
}

// create creates an empty store. The file gets its final name only when it is complete and synced. A file that another process
// has created meanwhile is not replaced.
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
		if removeErr := os.Remove(temp.Name()); !errors.Is(removeErr, fs.ErrNotExist) {
			err = errors.Join(err, removeErr)
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
		meta := tx.Bucket(bucketNames[bucketMeta])
		return errors.Join(
			meta.Put(rowFormat, addChecksum(rowFormat, formatBody(formatMajor, formatMinor))),
			meta.Put(rowState, addChecksum(rowState, new(state).body())))
	})
	if err := errors.Join(err, h.close()); err != nil {
		return err
	}
	if err := atomicfile.LinkNoReplace(temp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return atomicfile.SyncFolder(dir)
}

// boltFile is an open bbolt file.
type boltFile struct {
	db   *bolt.DB
	file *os.File // the file that db uses
}

func (h boltFile) close() error { return h.db.Close() }

// allocSize is the step by which the file grows. bbolt's default of 16 MiB is a lot for a few keys.
const allocSize = 1 << 20

// openBolt opens a file with bbolt, with an exclusive lock or, for reading only, with a shared one.
func openBolt(path string, readOnly bool) (h boltFile, err error) {
	options := &bolt.Options{
		Timeout:      lockTimeout,
		ReadOnly:     readOnly,
		FreelistType: bolt.FreelistMapType,
		NoStatistics: true,
		OpenFile: func(path string, flag int, mode os.FileMode) (*os.File, error) {
			// Without O_CREATE, since a file that was removed meanwhile would be created empty.
			file, err := os.OpenFile(path, flag&^os.O_CREATE, mode)
			h.file = file
			return file, err
		},
	}
	if !readOnly {
		options.InitialMmapSize = initialMmapSize()
	}
	open := func() (err error) {
		h.db, err = bolt.Open(path, 0o600, options)
		return err
	}
	if err = recoverFault(new(bool), open); errors.Is(err, syscall.ENOMEM) && options.InitialMmapSize > 0 {
		options.InitialMmapSize = 0 // address space is limited
		err = recoverFault(new(bool), open)
	}
	switch p := (*panicError)(nil); {
	case err == nil:
		h.db.AllocSize = allocSize
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
		_ = h.file.Close() // after a panic bbolt has not closed the file, which would stay locked
	}
	return boltFile{}, err
}

// initialMmapSize returns the size of the initial mapping. When the file outgrows it, bbolt waits for all readers before it maps the
// file again, so a client that downloads an export slowly would block all writes. Address space is free on 64-bit systems.
// Windows would extend the file to that size.
func initialMmapSize() int {
	if strconv.IntSize < 64 || runtime.GOOS == "windows" {
		return 0
	}
	var bytes int64 = 64 << 30
	return int(bytes)
}
