package caddymodule

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
	"github.com/docsgate/docsgate/upstream"
)

// detectTimeout is how long asking DocsGPT for its version may take altogether. Loading a configuration waits for it.
const detectTimeout = 3 * time.Second

var errNoUpstream = errors.New("docsgpt_version auto: there is no DocsGPT to ask, since no docsgate directive names an upstream: " +
	"write its address after auto, or its version in place of auto")

// detection is what an app with the version "auto" knows before it has a version. The app stands above all sites and
// does not know their upstreams, so the first handler that has one settles it.
type detection struct {
	ctx     caddy.Context    // the app's own
	asked   string           // the address that was asked; empty: none yet
	found   *docsgpt.Version // what it answered; nil: nothing
	waiting []func() error   // what needs the version
}

// resolveVersionAt asks the DocsGPT that the app's own options name.
func (a *App) resolveVersionAt() error {
	text, err := caddy.NewReplacer().ReplaceOrErr(a.DocsGPTAddress, true, true)
	if err != nil {
		return fmt.Errorf("docsgpt_version auto: %w", err)
	}
	address, err := upstream.ParseAddress(text)
	if err != nil {
		return fmt.Errorf("docsgpt_version auto: %w", err)
	}
	up := upstream.New(upstream.Config{Address: address, DialTimeout: detectTimeout})
	defer up.Close()
	return a.resolveVersion(up, text)
}

// resolveVersion gives an app that has no version yet the one that this upstream has, and loads its feeds, whose source ids
// depend on it. address is for the log. Later calls do nothing.
func (a *App) resolveVersion(up *upstream.Upstream, address string) error {
	switch {
	case a.DocsGPT != docsgpt.Auto || a.DocsGPTAddress != "" && a.asked != "" || a.asked == address:
		return nil
	case a.asked != "":
		a.logger.Warn("docsgpt_version auto asks only the first upstream; if the DocsGPT of another one has another version, "+
			"give it a Caddy of its own", zap.String("asked", a.asked), zap.String("not_asked", address))
		return nil
	}
	a.asked = address
	if err := a.setVersion(a.detect(up, address)); err != nil {
		return err
	}
	for _, do := range a.waiting {
		if err := do(); err != nil {
			return err
		}
	}
	a.waiting = nil
	return nil
}

// onVersionResolved does something that needs the app's version, now or as soon as it is known.
func (a *App) onVersionResolved(do func() error) error {
	if a.version != nil {
		return do()
	}
	a.waiting = append(a.waiting, do)
	return nil
}

// detect asks for the version. A DocsGPT that cannot be asked, since it starts later than Caddy, has the version that it
// had last time, or else the newest.
func (a *App) detect(up *upstream.Upstream, address string) *docsgpt.Version {
	ctx, cancel := context.WithTimeout(a.ctx, detectTimeout)
	defer cancel()
	upstream := zap.String("upstream", address)
	found, err := docsgpt.Detect(func(path string) (int, []byte, error) { return getUnauthenticated(ctx, up, path) })
	if err == nil {
		a.logger.Info("detected DocsGPT version", upstream, zap.String("docsgpt", found.Version.Name),
			zap.Strings("or", found.Ambiguous), zap.String("from", found.From))
		a.found = found.Version
		return found.Version
	}
	if v := a.loadVersion(address); v != nil {
		a.logger.Warn("the version of DocsGPT could not be found out; it is taken for the one that was found last time",
			upstream, zap.String("docsgpt", v.Name), zap.Error(err))
		return v
	}
	v, _ := docsgpt.FindVersion(docsgpt.Default) // there is one of that name
	a.logger.Warn("the version of DocsGPT could not be found out; it is taken for the newest known one; if that is wrong, "+
		"name the version in the docsgate options, or reload when DocsGPT answers",
		upstream, zap.String("docsgpt", v.Name), zap.Error(err))
	return v
}

// getUnauthenticated reads a path of the upstream, without any credential.
func getUnauthenticated(ctx context.Context, up *upstream.Upstream, path string) (status int, body []byte, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	resp, err := up.Send(ctx, stop, upstream.Request{
		Method: http.MethodGet, Path: path,
		Header: http.Header{"Accept": jsonType, "User-Agent": {"docsgate"}},
	})
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, docsgpt.MaxSwaggerSize))
	return resp.StatusCode, body, err
}

// versionKey is where the version of the DocsGPT at an address is kept in Caddy's storage.
func versionKey(address string) string {
	sum := sha256.Sum256([]byte(address))
	return "docsgate/docsgpt/" + hex.EncodeToString(sum[:8])
}

// storeVersion keeps what was found, if anything was, for the next start. It is for configurations that do start:
// others must write nothing. That it cannot be kept is no reason not to start.
func (a *App) storeVersion() {
	if a.found == nil {
		return
	}
	if last := a.loadVersion(a.asked); last != nil && last.Name == a.found.Name {
		return
	}
	if err := a.ctx.Storage().Store(a.ctx, versionKey(a.asked), []byte(a.found.Name)); err != nil {
		a.logger.Warn("the version of DocsGPT was not kept for the next start", zap.Error(err))
	}
}

// loadVersion returns what was found last time, or nil.
func (a *App) loadVersion(address string) *docsgpt.Version {
	name, err := a.ctx.Storage().Load(a.ctx, versionKey(address))
	if err != nil || len(name) == 0 {
		return nil
	}
	v, err := docsgpt.FindVersion(string(name))
	if err != nil {
		return nil
	}
	return v
}
