package ui

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed assets templates
var files embed.FS

// asset is a static file. Its name contains a hash of its content, so browsers can cache it forever.
type asset struct {
	name    string // such as "page.1a2b3c4d5e6f.css"
	mime    string
	content []byte
}

var (
	assetsByFile = loadAssets() // by file name
	assetsByName = byName(assetsByFile)
)

func loadAssets() map[string]*asset {
	entries, err := fs.ReadDir(files, "assets")
	if err != nil {
		panic(err) // embedded in the binary, so this is a bug
	}
	all := make(map[string]*asset, len(entries))
	for _, entry := range entries {
		content, err := fs.ReadFile(files, "assets/"+entry.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(content)
		ext := path.Ext(entry.Name())
		all[entry.Name()] = &asset{
			name:    strings.TrimSuffix(entry.Name(), ext) + "." + hex.EncodeToString(sum[:6]) + ext,
			mime:    mimeOf(ext),
			content: content,
		}
	}
	return all
}

// mimeOf does not use the system's table for scripts and styles: it may have a type that browsers reject.
func mimeOf(ext string) string {
	switch ext {
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	default:
		return mime.TypeByExtension(ext)
	}
}

func byName(all map[string]*asset) map[string]*asset {
	m := make(map[string]*asset, len(all))
	for _, a := range all {
		m[a.name] = a
	}
	return m
}

func assetNamed(p string) (*asset, bool) {
	name, ok := strings.CutPrefix(p, "/assets/")
	if !ok {
		return nil, false
	}
	a, ok := assetsByName[name]
	return a, ok
}

func (p *Page) serveAsset(w http.ResponseWriter, r *http.Request) {
	a, ok := assetNamed(r.URL.Path)
	if !ok {
		p.Refuse(w, r, http.StatusNotFound, "")
		return
	}
	w.Header().Set("Content-Type", a.mime)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	http.ServeContent(w, r, a.name, time.Time{}, bytes.NewReader(a.content))
}
