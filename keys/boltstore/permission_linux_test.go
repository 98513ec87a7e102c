package boltstore

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// asNobody runs f as a user that may do nothing, also where the tests run as root.
func asNobody(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread ends with this goroutine
		if os.Getuid() == 0 {
			_ = unix.Setfsuid(65534) // of this thread alone
		}
		f()
	}()
	<-done
}

func TestNotPermitted(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"the folder cannot be entered": func(path string) error { return os.Chmod(filepath.Dir(path), 0) },
		"the file can be read only":    func(path string) error { return os.Chmod(path, 0o444) },
		"the file cannot be read":      func(path string) error { return os.Chmod(path, 0) },
		"there is no file, and the folder is read-only": func(path string) error {
			return errors.Join(os.Remove(path), os.Chmod(filepath.Dir(path), 0o555))
		},
	} {
		t.Run(name, func(t *testing.T) {
			path, _ := stored(t, 1)
			for dir := filepath.Dir(path); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
				if err := os.Chmod(dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := spoil(path); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Chmod(filepath.Dir(path), 0o755) })
			asNobody(func() {
				s, err := Open(t.Context(), Options{Path: path})
				if err == nil {
					_ = s.Close()
				}
				if !errors.Is(err, fs.ErrPermission) {
					t.Errorf("error %v, want %v", err, fs.ErrPermission)
				}
			})
		})
	}
}
