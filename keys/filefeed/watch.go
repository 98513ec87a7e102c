package filefeed

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// debounce is how long the file must be unchanged before a change is reported. Otherwise a file that is written in place
// would be read while it is incomplete.
const debounce = 100 * time.Millisecond

// Watch calls changed when the content of the file differs from the content last loaded or reported, until ctx ends; then it
// returns nil. A file that is removed or becomes unreadable is reported once, too. File system events make detection fast;
// polling makes it reliable, since some file systems report no events.
func (f *Feed) Watch(ctx context.Context, changed func()) error {
	w := watcher{feed: f, changed: changed, dir: filepath.Dir(f.options.Path)}
	notify, err := fsnotify.NewWatcher()
	if err == nil {
		defer notify.Close()
		w.notify, w.events, w.errors = notify, notify.Events, notify.Errors
		w.follow()
	} // otherwise polling is sufficient: running out of watches is not a reason to fail
	w.run(ctx)
	return nil
}

// watcher is one call of Watch.
type watcher struct {
	feed    *Feed
	changed func()

	// The directory is watched, not the file: a watch on a file that is replaced would be lost, and a file that is a link into
	// a directory that is swapped as a whole, as in Kubernetes, does not change itself.
	dir    string
	notify *fsnotify.Watcher // nil if the system provides none
	events chan fsnotify.Event
	errors chan error

	info      os.FileInfo // at the last poll
	candidate fileState   // changed state that was seen once
}

func (w *watcher) run(ctx context.Context) {
	ticker := time.NewTicker(w.feed.options.Poll)
	defer ticker.Stop()
	settle := time.NewTimer(0) // poll immediately: the file may have changed since it was loaded
	defer settle.Stop()
	pending := true // settle is running
	check := func(always bool) {
		if w.poll(always) && !pending {
			settle.Reset(debounce)
			pending = true
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-settle.C:
			pending = false
			check(true)
		case <-ticker.C:
			w.follow() // the directory may have been replaced
			check(true)
		case _, ok := <-w.events:
			if !ok {
				w.events = nil
				break
			}
			check(false)
		case _, ok := <-w.errors:
			if !ok {
				w.errors = nil
				break
			}
			check(true) // events were lost
		}
	}
}

// follow watches the directory that the path currently refers to. On failure polling is sufficient.
func (w *watcher) follow() {
	if w.notify != nil {
		_ = w.notify.Add(w.dir)
	}
}

// poll compares the content with the last known one. It reports a change that it sees for the second time, and returns again =
// true for a change that it sees for the first time. Unless always is set, it does not read the file if the file info is
// unchanged: other files of the directory may be written constantly.
func (w *watcher) poll(always bool) (again bool) {
	info, _ := os.Stat(w.feed.options.Path)
	if !always && sameFileInfo(info, w.info) {
		return false
	}
	w.info = info
	current := w.feed.state()
	if w.feed.isLast(current) {
		w.candidate = fileState{}
		return false
	}
	if current != w.candidate {
		w.candidate = current
		return true
	}
	w.candidate = fileState{}
	w.feed.setLast(current)
	w.changed()
	return false
}

func sameFileInfo(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

func (f *Feed) isLast(c fileState) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last == c
}
