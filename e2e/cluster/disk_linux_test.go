package cluster

import (
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// disk is a small file system in memory. Mounting it needs root.
type disk struct {
	t      *testing.T
	path   string // folder for a tablespace
	filler string
}

func smallDisk(t *testing.T) *disk {
	t.Helper()
	dir, err := os.MkdirTemp("", "docsgate-disk-") // not below a folder that PostgreSQL's account cannot enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=32m,mode=755"); err != nil {
		t.Fatalf("mounting a small file system, which needs root (in a container: --privileged): %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	d := &disk{t: t, path: filepath.Join(dir, "tablespace"), filler: filepath.Join(dir, "filler")}
	if err := os.Mkdir(d.path, 0o700); err != nil {
		t.Fatal(err)
	}
	if account, err := user.Lookup("postgres"); err == nil && os.Geteuid() == 0 {
		uid, err1 := strconv.Atoi(account.Uid)
		gid, err2 := strconv.Atoi(account.Gid)
		if err := errors.Join(err1, err2, os.Chown(d.path, uid, gid)); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// fill uses all space.
func (d *disk) fill() {
	d.t.Helper()
	f, err := os.Create(d.filler)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); ; {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			return
		} else if err != nil {
			d.t.Fatal(err)
		}
	}
}

// free makes space again.
func (d *disk) free() {
	d.t.Helper()
	if err := os.Remove(d.filler); err != nil {
		d.t.Fatal(err)
	}
}
