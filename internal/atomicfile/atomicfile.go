// Package atomicfile writes files atomically, readable only by their owner, and synced to disk so that they survive a crash.
package atomicfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// Read reads a regular file of at most limit bytes. It follows symbolic links.
func Read(path string, limit int64) ([]byte, error) {
	// Check the type first, since opening a pipe or a device could block.
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(data)) > limit:
		return nil, fmt.Errorf("%s is too large: more than %d bytes", path, limit)
	}
	return data, nil
}

// Replace replaces the file at path, or creates it and its folder. A symbolic link is replaced, not followed.
func Replace(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return ReplaceFunc(path, writeBytes(data))
}

// WriteNew creates a file and its folder. If the file exists or is created concurrently, it is not modified, and WriteNew returns
// nil.
func WriteNew(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := WriteNewFunc(path, writeBytes(data)); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func writeBytes(data []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}
}

// ReplaceFunc is like Replace, with the content that write writes. If write fails, ReplaceFunc returns its error, and the file is
// not modified. The folder must exist.
func ReplaceFunc(path string, write func(io.Writer) error) error {
	return writeFile(path, write, os.Rename)
}

// WriteNewFunc is like ReplaceFunc, but if the file exists or is created concurrently, it is not modified, and the error matches
// fs.ErrExist.
func WriteNewFunc(path string, write func(io.Writer) error) error {
	return writeFile(path, write, LinkNoReplace)
}

// writeFile writes a temporary file and then gives it its final name.
func writeFile(path string, write func(io.Writer) error, name func(temp, path string) error) error {
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, filepath.Base(path)+".*.new") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }() // fails if the file was renamed, which is expected
	if err := write(temp); err != nil {
		_ = temp.Close()
		return err
	}
	if err := errors.Join(temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := name(temp.Name(), path); err != nil {
		return err
	}
	return SyncFolder(dir)
}

// LinkNoReplace gives the file temp the name path. If a file of that name exists, it is not replaced, and the error matches
// fs.ErrExist. temp may still exist afterwards.
func LinkNoReplace(temp, path string) error {
	err := os.Link(temp, path) // unlike Rename, Link never replaces a file
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, statErr := os.Lstat(path); errors.Is(statErr, fs.ErrNotExist) {
		return os.Rename(temp, path) // the file system does not support hard links
	}
	return err
}

// SyncFolder syncs the names in a folder to disk where that is possible: not on Windows, not on file systems that cannot sync a
// folder, such as some network file systems, and not if the folder is writable but not readable.
func SyncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	folder, err := os.Open(dir)
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	err = folder.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return errors.Join(err, folder.Close())
}
