package filefeed

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settleTime is how long the file must stay the same before it counts as written. Writers that do not replace the file as a
// whole are seen in the middle of it otherwise.
const settleTime = 100 * time.Millisecond

// Watch calls changed when the content of the file is another than was loaded or reported last, until ctx ends; then it
// returns nil. A file that goes away or cannot be read any more is reported once, too. What the file system reports makes it
// quick; the regular look at the content makes it certain: some file systems report nothing.
func (f *Feed) Watch(ctx context.Context, changed func()) error {
	w := watcher{feed: f, changed: changed, dir: filepath.Dir(f.options.Path)}
	notify, err := fsnotify.NewWatcher()
	if err == nil {
		defer notify.Close()
		w.notify, w.events, w.errors = notify, notify.Events, notify.Errors
		w.follow()
	} // else there is the regular look: a system that has no watches left is no reason to stop
	w.run(ctx)
	return nil
}

// watcher is one call of Watch.
type watcher struct {
	feed    *Feed
	changed func()

	// The directory is watched, not the file: a file that is replaced would be lost, and a file that is a link into a
	// directory which is swapped as a whole, as Kubernetes does, does not change itself.
	dir    string
	notify *fsnotify.Watcher // nil if the system gives none
	events chan fsnotify.Event
	errors chan error

	stamp     os.FileInfo // as of the last look
	candidate content     // another content than the last known one, seen once
}

func (w *watcher) run(ctx context.Context) {
	poll := time.NewTicker(w.feed.options.Poll)
	defer poll.Stop()
	settle := time.NewTimer(0) // the first look is at once: the file may have changed since it was loaded
	defer settle.Stop()
	pending := true // settle runs
	look := func(always bool) {
		if w.look(always) && !pending {
			settle.Reset(settleTime)
			pending = true
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-settle.C:
			pending = false
			look(true)
		case <-poll.C:
			w.follow() // the directory may be a new one
			look(true)
		case _, ok := <-w.events:
			if !ok {
				w.events = nil
				break
			}
			look(false)
		case _, ok := <-w.errors:
			if !ok {
				w.errors = nil
				break
			}
			look(true) // events were lost
		}
	}
}

// follow watches the directory that the path leads to now. Without it the regular look is enough.
func (w *watcher) follow() {
	if w.notify != nil {
		_ = w.notify.Add(w.dir)
	}
}

// look compares the content with the last known one. It reports a change that it sees for the second time, and asks to be
// called again for one that it sees for the first time. Unless always is set it is content with an unchanged stamp: other
// files of the directory may be written to all the time.
func (w *watcher) look(always bool) (again bool) {
	stamp, _ := os.Stat(w.feed.options.Path)
	if !always && sameStamp(stamp, w.stamp) {
		return false
	}
	w.stamp = stamp
	now := contentOf(w.feed.read())
	if w.feed.isLast(now) {
		w.candidate = content{}
		return false
	}
	if now != w.candidate {
		w.candidate = now
		return true
	}
	w.candidate = content{}
	w.feed.remember(now)
	w.changed()
	return false
}

func sameStamp(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

func (f *Feed) isLast(c content) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last == c
}
