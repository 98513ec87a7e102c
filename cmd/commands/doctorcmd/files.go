package doctorcmd

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/docsgate/docsgate/caddymodule"
	"github.com/docsgate/docsgate/doctor"
)

// secretExt is the extension of files with secrets.
const secretExt = ".secret"

// files returns the existing files with keys and secrets of a configuration.
func (d *deployment) files() []doctor.File {
	var all []doctor.File
	found := map[string]bool{}
	add := func(path, content string, secret bool) {
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() || found[path] {
			return
		}
		found[path] = true
		all = append(all, doctor.File{Path: path, Content: content, Mode: info.Mode(), Secret: secret})
	}
	var directories []string
	addFeeds := func(feeds []json.RawMessage, store string) {
		directories = append(directories, filepath.Dir(store))
		for _, raw := range feeds {
			var feed struct{ Feed, Path string }
			if json.Unmarshal(raw, &feed) != nil {
				continue
			}
			path := replaced(feed.Path)
			switch feed.Feed {
			case "file":
				add(path, "a key file", false) // it has digests of tokens, and refers to agent keys
			case "store":
				if path == "" || caddymodule.IsDatabaseURI(path) {
					path = store
				}
				add(path, "the key store", true)
				directories = append(directories, filepath.Dir(path))
			}
		}
	}
	addFeeds(d.Apps.Docsgate.Feeds, caddymodule.DefaultStorePath())
	for _, name := range slices.Sorted(maps.Keys(d.Apps.Docsgate.Backends)) {
		if store, err := caddymodule.BackendStorePath(name); err == nil {
			addFeeds(d.Apps.Docsgate.Backends[name].Feeds, store)
		}
	}
	for _, dir := range directories {
		secrets, _ := filepath.Glob(filepath.Join(dir, "*"+secretExt))
		for _, path := range secrets {
			add(path, "a secret of the gate", true)
		}
	}
	return all
}
