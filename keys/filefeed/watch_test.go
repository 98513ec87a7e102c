package filefeed

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen; it is no measure of speed.
const patience = 20 * time.Second

// watched is a feed in a directory of its own, under watch.
type watched struct {
	*Feed
	path    string
	changed chan struct{}
}

func watch(t *testing.T, path string, poll time.Duration) *watched {
	t.Helper()
	w := &watched{Feed: newFeed(t, Options{Path: path, Poll: poll}), path: path, changed: make(chan struct{}, 100)}
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
		case <-time.After(patience):
			t.Error("Watch has not ended with its context")
		}
	})
	return w
}

func (w *watched) mustLoad(t *testing.T, n int) {
	t.Helper()
	set, err := w.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(set) != n {
		t.Fatalf("%d keys, want %d", len(set), n)
	}
}

func (w *watched) wait(t *testing.T) {
	t.Helper()
	select {
	case <-w.changed:
	case <-time.After(patience):
		t.Fatal("the change was not reported")
	}
}

// wait for n keys: a file that is not replaced as a whole may be reported more than once.
func (w *watched) waitFor(t *testing.T, n int) {
	t.Helper()
	deadline := time.Now().Add(patience)
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

// hour keeps the regular look out of a test, so that only what the file system reports is at work.
const hour = time.Hour

func TestWatchReports(t *testing.T) {
	cases := map[string]func(t *testing.T, w *watched){
		"a file written in place": func(t *testing.T, w *watched) {
			if err := os.WriteFile(w.path, []byte(twoKeys), 0o600); err != nil {
				t.Fatal(err)
			}
			w.waitFor(t, 2)
		},
		"a file replaced as a whole, again and again": func(t *testing.T, w *watched) {
			for range 3 {
				write(t, w.path, twoKeys)
				w.waitFor(t, 2)
				write(t, w.path, oneKey)
				w.waitFor(t, 1)
			}
		},
		"a file that goes away and comes back as it was": func(t *testing.T, w *watched) {
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

// Kubernetes mounts a ConfigMap as links: keys.yaml -> ..data/keys.yaml, ..data -> a directory. Only ..data is replaced.
func TestWatchReportsASwappedDirectory(t *testing.T) {
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

// Where the file system reports nothing, here because the file is behind a link into another directory, the regular look
// finds the change.
func TestWatchLooksRegularly(t *testing.T) {
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

// A directory that is replaced by another one is followed.
func TestWatchFollowsTheDirectory(t *testing.T) {
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
	w.wait(t) // gone
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, path, twoKeys)
	w.waitFor(t, 2)
}

// What is in the file already, or was reported, is not reported again: the last change is the only one to be heard of.
func TestWatchReportsOnlyOtherContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.yaml")
	write(t, path, oneKey)
	w := watch(t, path, 5*time.Millisecond)
	for range 5 {
		write(t, path, oneKey) // another file, the same content
		write(t, filepath.Join(filepath.Dir(path), "other.yaml"), twoKeys)
	}
	write(t, path, twoKeys)
	w.wait(t)
	if got := contentOf([]byte(twoKeys), nil); !w.isLast(got) {
		t.Error("something else than the new content was reported")
	}
	w.mustLoad(t, 2)
	if err := os.Remove(path); err != nil { // the marker behind which nothing else may have come
		t.Fatal(err)
	}
	w.wait(t)
	if !w.isLast(content{known: true}) {
		t.Error("the same content was reported twice")
	}
}
