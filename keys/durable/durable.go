// Package durable writes files as a whole or not at all, for the gate's user alone, and such that they outlive a crash.
package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// Read reads a regular file of at most limit bytes. The name may be a link.
func Read(path string, limit int64) ([]byte, error) {
	// Opening a pipe or a device could block, so the kind is looked at first.
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

// Replace puts a file in the place of the one at path, or makes it, with its folder. A link is replaced, not followed.
func Replace(path string, data []byte) error {
	return write(path, data, os.Rename)
}

// Make makes a file, with its folder. One that is there, or has come to be there meanwhile, stays as it is, and that is no
// error.
func Make(path string, data []byte) error {
	return write(path, data, Name)
}

// write writes a file under a name of its own and then gives it its name.
func write(path string, data []byte, name func(temp, path string) error) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(dir, filepath.Base(path)+".*.new") // 0600, whatever the umask
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }() // it is not there any more if all went well
	_, err = temp.Write(data)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := name(temp.Name(), path); err != nil {
		return err
	}
	return SyncFolder(dir)
}

// Name gives the file temp the name path, unless there is a file of that name. temp may go on to exist.
func Name(temp, path string) error {
	err := os.Link(temp, path) // unlike a renaming it never takes the place of a file
	if err == nil || errors.Is(err, fs.ErrExist) {
		return nil
	}
	if _, there := os.Lstat(path); errors.Is(there, fs.ErrNotExist) {
		return os.Rename(temp, path) // the file system has no hard links
	}
	return err
}

// SyncFolder makes the names in a folder durable, where that can be done: not on Windows, and not where the folder may be
// written to but not read.
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
	return errors.Join(folder.Sync(), folder.Close())
}
