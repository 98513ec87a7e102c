package filefeed

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// timeout is how long a test waits for an expected event.
const timeout = 20 * time.Second

// watchedFeed is a feed in its own directory, with a running Watch.
type watchedFeed struct {
	*Feed
	path    string
	changed chan struct{}
}

func watch(t *testing.T, path string, poll time.Duration) *watchedFeed {
	t.Helper()
	w := &watchedFeed{Feed: newFeed(t, Options{Path: path, Poll: poll}), path: path, changed: make(chan struct{}, 100)}
	w.mustLoad(t, 1)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Watch(ctx, func() { w.changed <- struct{}{} }) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Watch: %v", err)
			}
		case <-time.After(timeout):
			t.Error("Watch has not ended with the context")
		}
	})
	return w
}

func (w *watchedFeed) mustLoad(t *testing.T, n int) {
	t.Helper()
	set, err := w.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(set) != n {
		t.Fatalf("%d keys, want %d", len(set), n)
	}
}

func (w *watchedFeed) wait(t *testing.T) {
	t.Helper()
	select {
	case <-w.changed:
	case <-time.After(timeout):
		t.Fatal("the change was not reported")
	}
}

// waitFor waits for n keys: a file that is written in place may be reported more than once.
func (w *watchedFeed) waitFor(t *testing.T, n int) {
	t.Helper()
	deadline := time.Now().Add(timeout)
	for {
		w.wait(t)
		if set, err := w.Load(t.Context()); err == nil && len(set) == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the file never had %d keys", n)
		}
	}
}

var (
	oneKey  = fill("keys:\n- {id: a, sha256: $A, source: s}\n")
	twoKeys = fill(oneKey + "- {id: b, sha256: $B, source: s}\n")
)

// hour is a poll interval so long that only file system events are tested.
const hour = time.Hour

func TestWatchReportsChanges(t *testing.T) {
	cases := map[string]func(t *testing.T, w *watchedFeed){
		"a file written in place": func(t *testing.T, w *watchedFeed) {
			if err := os.WriteFile(w.path, []byte(twoKeys), 0o600); err != nil {
				t.Fatal(err)
			}
			w.waitFor(t, 2)
		},
		"a file replaced repeatedly": func(t *testing.T, w *watchedFeed) {
			for range 3 {
				write(t, w.path, twoKeys)
				w.waitFor(t, 2)
				write(t, w.path, oneKey)
				w.waitFor(t, 1)
			}
		},
		"a file removed and restored": func(t *testing.T, w *watchedFeed) {
			if err := os.Remove(w.path); err != nil {
				t.Fatal(err)
			}
			w.wait(t)
			if _, err := w.Load(t.Context()); err == nil {
				t.Fatal("a missing file was loaded")
			}
			write(t, w.path, oneKey)
			w.waitFor(t, 1)
		},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keys.yaml")
			write(t, path, oneKey)
			test(t, watch(t, path, hour))
		})
	}
}

// Kubernetes mounts a ConfigMap as symbolic links: keys.yaml -> ..data/keys.yaml, ..data -> a directory. Only ..data is
// replaced.
func TestWatchReportsSwappedDirectory(t *testing.T) {
	dir := t.TempDir()
	version := func(name, content string) {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name, "keys.yaml"), content)
		tmp := filepath.Join(dir, "..data_tmp")
		if err := os.Symlink(name, tmp); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(tmp, filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	version("..2026_01", oneKey)
	path := filepath.Join(dir, "keys.yaml")
	if err := os.Symlink(filepath.Join("..data", "keys.yaml"), path); err != nil {
		t.Fatal(err)
	}
	w := watch(t, path, hour)
	version("..2026_02", twoKeys)
	w.waitFor(t, 2)
}

// If the file system reports no events, here because the file is a link to another directory, polling detects the change.
func TestWatchPolls(t *testing.T) {
	target := filepath.Join(t.TempDir(), "keys.yaml")
	write(t, target, oneKey)
	path := filepath.Join(t.TempDir(), "keys.yaml")
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	w := watch(t, path, 20*time.Millisecond)
	write(t, target, twoKeys)
	w.waitFor(t, 2)
}

// Watch follows a replaced directory.
func TestWatchFollowsReplacedDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "conf")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "keys.yaml")
	write(t, path, oneKey)
	w := watch(t, path, 20*time.Millisecond)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	w.wait(t) // removed
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, path, twoKeys)
	w.waitFor(t, 2)
}

// Content that was already loaded or reported is not reported again: only the last change is reported.
func TestWatchReportsOnlyChangedContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.yaml")
	write(t, path, oneKey)
	w := watch(t, path, 5*time.Millisecond)
	for range 5 {
		write(t, path, oneKey) // another file with the same content
		write(t, filepath.Join(filepath.Dir(path), "other.yaml"), twoKeys)
	}
	write(t, path, twoKeys)
	w.wait(t)
	if got := stateOf([]byte(twoKeys), nil); !w.isLast(got) {
		t.Error("another content than the new one was reported")
	}
	w.mustLoad(t, 2)
	if err := os.Remove(path); err != nil { // the next event, which must be the only one
		t.Fatal(err)
	}
	w.wait(t)
	if !w.isLast(fileState{known: true}) {
		t.Error("the same content was reported twice")
	}
}
