package doctorcmd

import (
	"encoding/json"
	"os"
	"path/filepath"

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
	directories := []string{filepath.Dir(caddymodule.DefaultStorePath())}
	for _, raw := range d.Apps.Docsgate.Feeds {
		var feed struct{ Feed, Path string }
		if json.Unmarshal(raw, &feed) != nil {
			continue
		}
		path := replaced(feed.Path)
		switch feed.Feed {
		case "file":
			add(path, "a key file", false) // it has digests of tokens, and refers to agent keys
		case "store":
			if path == "" {
				path = caddymodule.DefaultStorePath()
			}
			add(path, "the key store", true)
			directories = append(directories, filepath.Dir(path))
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
