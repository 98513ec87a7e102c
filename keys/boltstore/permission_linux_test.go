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

// asNobody runs f as an unprivileged user, even if the tests run as root.
func asNobody(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		if os.Getuid() == 0 {
			_ = unix.Setfsuid(65534) // only of this thread
		}
		f()
	}()
	<-done
}

func TestOpenWithoutPermission(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"the folder cannot be entered": func(path string) error { return os.Chmod(filepath.Dir(path), 0) },
		"the file is read-only":        func(path string) error { return os.Chmod(path, 0o444) },
		"the file cannot be read":      func(path string) error { return os.Chmod(path, 0) },
		"the file does not exist, and the folder is read-only": func(path string) error {
			return errors.Join(os.Remove(path), os.Chmod(filepath.Dir(path), 0o555))
		},
	} {
		t.Run(name, func(t *testing.T) {
			path, _ := newStoreFile(t, 1)
			for dir := filepath.Dir(path); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
				if err := os.Chmod(dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := damage(path); err != nil {
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
