package app

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

// FeedDeps holds functions of the app that feeds need.
type FeedDeps struct {
	// Resolve returns the value of a placeholder {env.NAME} or {file.PATH}.
	Resolve func(placeholder string) (string, error)
	// CheckSource returns a source ID in the format of the configured DocsGPT version, or an error.
	CheckSource func(id string) (string, error)
	// CheckSources returns an error if a key must not be bound to n sources.
	CheckSources func(n int) error
}

// FeedModule is a module of the namespace docsgate.feeds.
type FeedModule interface {
	caddy.Module
	// Feed returns the feed, or nil if there is none. It is called once per configuration, after provisioning.
	Feed(FeedDeps) (keys.Feed, error)
}

// FileFeed loads keys from a YAML or JSON file and reloads them when the file changes. If a changed file is invalid, the
// error is logged once and the previous keys stay in use.
//
//	feed file <path>
type FileFeed struct {
	// The path of the file. Placeholders are replaced when the configuration is loaded. Required.
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
		return d.Errf("unrecognized subdirective '%s': the feed file takes only a path", d.Val())
	}
	return nil
}

// Feed implements FeedModule.
func (f *FileFeed) Feed(deps FeedDeps) (keys.Feed, error) {
	path, err := caddy.NewReplacer().ReplaceOrErr(f.Path, true, true)
	if err != nil || path == "" {
		return nil, errors.Join(errors.New("feed file: the path must not be empty"), err)
	}
	return filefeed.New(filefeed.Options{
		Path: path, Resolve: deps.Resolve, CheckSource: deps.CheckSource, CheckSources: deps.CheckSources,
	})
}

var (
	_ FeedModule            = (*FileFeed)(nil)
	_ caddyfile.Unmarshaler = (*FileFeed)(nil)
)
