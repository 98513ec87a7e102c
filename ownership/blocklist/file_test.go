package blocklist

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

func path(t testing.TB) string { return filepath.Join(t.TempDir(), "folder", "ids.db") }

// open returns a list that is saved in a file.
func open(t testing.TB, path string) *List {
	t.Helper()
	l, _ := openLogged(t, path)
	return l
}

func openLogged(t testing.TB, path string) (l *List, log *bytes.Buffer) {
	t.Helper()
	l, log = New(maxAge), new(bytes.Buffer)
	l.Open(path, slog.New(slog.NewTextHandler(log, nil)))
	t.Cleanup(func() {
		if l.stop != nil {
			shut(t, l)
		}
	})
	return l, log
}

// shut closes a list, once.
func shut(t testing.TB, l *List) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	l.stop = nil
}

// copyFile copies the file of an open list, as a crash would leave it.
func copyFile(t testing.TB, from string) (to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	to = filepath.Join(t.TempDir(), "copy.db")
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func TestSurvivesRestart(t *testing.T) {
	file := path(t)
	l := open(t, file)
	identity := l.Identity()
	for _, id := range []string{"a", "b", "c"} {
		add(t, l, one, id)
	}
	l.Remove("b")
	shut(t, l)
	again := open(t, file)
	if again.Identity() != identity {
		t.Error("another identity")
	}
	if !again.Blocked(t.Context(), "a") || again.Blocked(t.Context(), "b") || !again.Blocked(t.Context(), "c") || again.perKey[one] != 2 {
		t.Error("other conversations are blocked")
	}
	add(t, again, one, "b")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// Everything that Add has acknowledged is in the file, even if the process is killed.
func TestSurvivesCrash(t *testing.T) {
	file := path(t)
	l := open(t, file)
	for i, id := range []string{"a", "b", "c"} {
		add(t, l, one, id)
		after := open(t, copyFile(t, file))
		if after.Len() != i+1 || !after.Blocked(t.Context(), id) || after.Identity() != l.Identity() {
			t.Errorf("after %s: %d entries", id, after.Len())
		}
	}
}

// A file that is lost or damaged is replaced by one with another identity, which ends all IDs that it was about.
func TestLostFile(t *testing.T) {
	for name, damage := range map[string]func(file string) error{
		"removed":   os.Remove,
		"empty":     func(file string) error { return os.Truncate(file, 0) },
		"truncated": func(file string) error { return os.Truncate(file, 5000) },
		"text":      func(file string) error { return os.WriteFile(file, []byte(strings.Repeat("text\n", 10_000)), 0o600) },
		"an entry is missing": func(file string) error {
			return edit(file, func(tx *bolt.Tx) error {
				at := fingerprint("a")
				return tx.Bucket(bucketEntries).Delete(at[:])
			})
		},
		"an entry is short": func(file string) error {
			return edit(file, func(tx *bolt.Tx) error {
				at := fingerprint("a")
				return tx.Bucket(bucketEntries).Put(at[:], []byte("x"))
			})
		},
		"no identity": func(file string) error {
			return edit(file, func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Delete(rowIdentity) })
		},
		"no entries": func(file string) error {
			return edit(file, func(tx *bolt.Tx) error { return tx.DeleteBucket(bucketEntries) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := path(t)
			l := open(t, file)
			before := l.Identity()
			add(t, l, one, "a")
			add(t, l, one, "b")
			shut(t, l)
			if err := damage(file); err != nil {
				t.Fatal(err)
			}
			l, log := openLogged(t, file)
			if l.Identity() == before {
				t.Error("the same identity")
			}
			add(t, l, one, "c")
			shut(t, l)
			if l = open(t, file); !l.Blocked(t.Context(), "c") || l.Len() != 1 {
				t.Error("the new file does not work")
			}
			if name != "removed" && name != "empty" && !strings.Contains(log.String(), "is damaged and was renamed") {
				t.Errorf("log: %s", log)
			}
		})
	}
}

func edit(file string, change func(*bolt.Tx) error) error {
	db, err := bolt.Open(file, 0o600, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Update(change)
}

// While another process has the file open, the list has an identity of its own: it does not know what the other one blocks.
func TestLockedFile(t *testing.T) {
	file := path(t)
	first := open(t, file)
	add(t, first, one, "a")
	second, log := openLogged(t, file)
	if second.Identity() == first.Identity() || second.Blocked(t.Context(), "a") {
		t.Error("the list is that of the other process")
	}
	add(t, second, one, "b")
	identity := first.Identity()
	shut(t, first)
	for end := time.Now().Add(30 * time.Second); second.Identity() != identity; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the file was not opened later")
		}
	}
	if !second.Blocked(t.Context(), "a") || second.Blocked(t.Context(), "b") {
		t.Error("the list is not that of the file")
	}
	add(t, second, one, "c")
	shut(t, second)
	if !strings.Contains(log.String(), ErrLocked.Error()) {
		t.Errorf("log: %s", log)
	}
	if again := open(t, file); !again.Blocked(t.Context(), "a") || !again.Blocked(t.Context(), "c") || again.Len() != 2 {
		t.Error("the file does not have the changes")
	}
}

// If an entry cannot be written, the conversation must not be used. The file is opened again.
func TestFailedWrite(t *testing.T) {
	file := path(t)
	l := open(t, file)
	add(t, l, one, "a")
	identity := l.Identity()
	if err := l.file.db.Close(); err != nil {
		t.Fatal(err)
	}
	if added, err := l.Add(t.Context(), one, "b", now); added || err == nil {
		t.Errorf("added %v, %v", added, err)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if added, err := l.Add(t.Context(), one, "c", now); added && err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the file was not opened again")
		}
	}
	if !l.Blocked(t.Context(), "a") || l.Identity() != identity {
		t.Error("the file was replaced")
	}
}

// Requests may outlive the configuration. What they add would be lost.
func TestClosed(t *testing.T) {
	l := open(t, path(t))
	add(t, l, one, "a")
	shut(t, l)
	if added, err := l.Add(t.Context(), one, "b", now); added || err == nil {
		t.Errorf("added %v, %v", added, err)
	}
	l.Remove("a")
}

func BenchmarkAdd(b *testing.B) {
	l := open(b, path(b))
	l.most, l.mostPerKey = b.N+1_000_000, b.N+1_000_000
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := l.Add(b.Context(), one, time.Now().String(), now); err != nil {
				b.Fatal(err)
			}
		}
	})
}
