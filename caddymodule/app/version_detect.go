package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/internal/buildinfo"
	"github.com/docsgate/docsgate/upstream"
)

// detectTimeout is the total timeout of detecting the version, which delays loading the configuration.
const detectTimeout = 3 * time.Second

// ErrNoUpstream is the error of a configuration in which the version cannot be detected.
var ErrNoUpstream = errors.New("docsgpt_version auto needs an upstream, and no docsgate directive has one: " +
	"add the address of DocsGPT after auto, or specify the version instead")

// versionDetection is the state of an app with the version "auto". The app is provisioned before the handlers and does not
// know their upstreams, so the first handler with an upstream resolves the version.
type versionDetection struct {
	ctx     caddy.Context    // context of the app
	asked   string           // the address that was queried; empty: none yet
	found   *docsgpt.Version // the detected version; nil: detection failed
	waiting []func() error   // callbacks of OnVersionResolved
}

// resolveVersionAt detects the version at DocsGPTAddress.
func (b *Backend) resolveVersionAt() error {
	text, err := caddy.NewReplacer().ReplaceOrErr(b.DocsGPTAddress, true, true)
	if err != nil {
		return fmt.Errorf("docsgpt_version auto: %w", err)
	}
	address, err := upstream.ParseAddress(text)
	if err != nil {
		return fmt.Errorf("docsgpt_version auto: %w", err)
	}
	up := upstream.New(upstream.Config{Address: address, DialTimeout: detectTimeout})
	defer up.Close()
	return b.ResolveVersion(up, text)
}

// ResolveVersion detects the version of an upstream, then sets it and runs the waiting callbacks. address is for the log and
// for the stored version. Later calls do nothing.
func (b *Backend) ResolveVersion(up *upstream.Upstream, address string) error {
	switch {
	case b.DocsGPTVersion != docsgpt.Auto || b.DocsGPTAddress != "" && b.asked != "" || b.asked == address:
		return nil
	case b.asked != "":
		b.logger.Warn("docsgpt_version auto uses only the first upstream; if another upstream has another version, "+
			"name a backend for it in the docsgate options", zap.String("upstream", b.asked), zap.String("ignored", address))
		return nil
	}
	b.asked = address
	if err := b.setVersion(b.detect(up, address)); err != nil {
		return err
	}
	for _, callback := range b.waiting {
		if err := callback(); err != nil {
			return err
		}
	}
	b.waiting = nil
	return nil
}

// OnVersionResolved calls callback now if the version is resolved, else as soon as it is.
func (b *Backend) OnVersionResolved(callback func() error) error {
	if b.version != nil {
		return callback()
	}
	b.waiting = append(b.waiting, callback)
	return nil
}

// detect returns the version of DocsGPT. If it cannot be detected, for example because DocsGPT starts later than Caddy, it
// returns the stored version or else the newest one.
func (b *Backend) detect(up *upstream.Upstream, address string) *docsgpt.Version {
	ctx, cancel := context.WithTimeout(b.ctx, detectTimeout)
	defer cancel()
	upstream := zap.String("upstream", address)
	found, err := docsgpt.Detect(func(path string) (int, []byte, error) { return getUnauthenticated(ctx, up, path) })
	if err == nil {
		b.logger.Info("detected DocsGPT version", upstream, zap.String("docsgpt", found.Version.Name),
			zap.Strings("or", found.Ambiguous), zap.String("from", found.From))
		b.found = found.Version
		return found.Version
	}
	if v := b.loadVersion(address); v != nil {
		b.logger.Warn("detecting the DocsGPT version failed; using the version that was detected last",
			upstream, zap.String("docsgpt", v.Name), zap.Error(err))
		return v
	}
	v, _ := docsgpt.FindVersion(docsgpt.Default) // Default is always known
	b.logger.Warn("detecting the DocsGPT version failed; using the newest known version; if that is wrong, "+
		"set docsgpt_version in the docsgate options, or reload when DocsGPT is available",
		upstream, zap.String("docsgpt", v.Name), zap.Error(err))
	return v
}

// getUnauthenticated sends a GET request without a credential.
func getUnauthenticated(ctx context.Context, up *upstream.Upstream, path string) (status int, body []byte, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	resp, err := up.Send(ctx, stop, upstream.Request{
		Method: http.MethodGet, Path: path,
		Header: http.Header{"Accept": {"application/json"}, "User-Agent": {buildinfo.UserAgent()}},
	})
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, docsgpt.MaxSwaggerSize))
	return resp.StatusCode, body, err
}

// versionKey returns the key in Caddy's storage for the version of DocsGPT at an address.
func versionKey(address string) string {
	sum := sha256.Sum256([]byte(address))
	return "docsgate/docsgpt/" + hex.EncodeToString(sum[:8])
}

// storeVersion stores the detected version, if there is one, for the next start. It is called when the configuration starts,
// since a configuration that is only validated must not write. A failure is only logged.
func (b *Backend) storeVersion() {
	if b.found == nil {
		return
	}
	if last := b.loadVersion(b.asked); last != nil && last.Name == b.found.Name {
		return
	}
	if err := b.ctx.Storage().Store(b.ctx, versionKey(b.asked), []byte(b.found.Name)); err != nil {
		b.logger.Warn("storing the DocsGPT version failed", zap.Error(err))
	}
}

// loadVersion returns the stored version, or nil.
func (b *Backend) loadVersion(address string) *docsgpt.Version {
	name, err := b.ctx.Storage().Load(b.ctx, versionKey(address))
	if err != nil || len(name) == 0 {
		return nil
	}
	v, err := docsgpt.FindVersion(string(name))
	if err != nil {
		return nil
	}
	return v
}
