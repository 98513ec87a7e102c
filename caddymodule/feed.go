package caddymodule

import (
	"errors"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/filefeed"
)

func init() {
	caddy.RegisterModule(new(FileFeed))
}

// FeedDeps is what the app tells a feed.
type FeedDeps struct {
	// Resolve returns what a placeholder {env.NAME} or {file.PATH} stands for.
	Resolve func(placeholder string) (string, error)
	// CheckSource returns a source id in the spelling that the configured DocsGPT understands, or an error.
	CheckSource func(id string) (string, error)
	// CheckSources tells whether a key may be bound to n sources.
	CheckSources func(n int) error
}

// FeedModule is a module of the namespace docsgate.feeds.
type FeedModule interface {
	caddy.Module
	// Feed returns the feed. It is called once a configuration, after provisioning.
	Feed(FeedDeps) (keys.Feed, error)
}

// FileFeed reads keys from a YAML or JSON file and keeps up with its changes. A bad change is logged once and leaves
// the last good keys in force.
//
//	feed file <path>
type FileFeed struct {
	// The file's path. Placeholders are replaced when the configuration is loaded. Required.
	Path string `json:"path,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*FileFeed) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "docsgate.feeds.file", New: func() caddy.Module { return new(FileFeed) }}
}

// UnmarshalCaddyfile sets up the feed from "file <path>".
func (f *FileFeed) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.AllArgs(&f.Path) {
		return d.ArgErr()
	}
	if d.NextBlock(d.Nesting()) {
		return d.Errf("unrecognized subdirective %q: the feed file takes a path and nothing else", d.Val())
	}
	return nil
}

// Feed implements FeedModule.
func (f *FileFeed) Feed(facts FeedDeps) (keys.Feed, error) {
	path, err := caddy.NewReplacer().ReplaceOrErr(f.Path, true, true)
	if err != nil || path == "" {
		return nil, errors.Join(errors.New("feed file: the path is missing"), err)
	}
	return filefeed.New(filefeed.Options{
		Path: path, Resolve: facts.Resolve, CheckSource: facts.CheckSource, CheckSources: facts.CheckSources,
	})
}

var (
	_ FeedModule            = (*FileFeed)(nil)
	_ caddyfile.Unmarshaler = (*FileFeed)(nil)
)
