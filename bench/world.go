package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// world is what all measurements share: the binary, the upstream and the keys.
type world struct {
	options  *options
	dir      string // of this run, removed at the end
	binary   string
	keyFile  string
	upstream *upstream
	unknown  uint64 // unknown tokens that were used
}

func openWorld(ctx context.Context, o *options) (_ *world, err error) {
	w := &world{options: o}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	root, err := projectFolder(ctx)
	if err != nil {
		return nil, err
	}
	if o.out == "" {
		o.out = filepath.Join(root, ".cache", "bench")
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return nil, err
	}
	if w.dir, err = os.MkdirTemp("", "docsgate-bench-"); err != nil {
		return nil, err
	}
	w.keyFile = filepath.Join(w.dir, "keys.yaml")
	if err := writeKeys(w.keyFile); err != nil {
		return nil, err
	}
	w.binary = filepath.Join(w.dir, "docsgate")
	progress("building docsgate")
	if err := build(ctx, root, w.binary); err != nil {
		return nil, err
	}
	w.upstream, err = startUpstream(ctx)
	return w, err
}

func (w *world) close() {
	if w.upstream != nil {
		w.upstream.child.stop()
	}
	if w.dir != "" {
		_ = os.RemoveAll(w.dir) // a temporary folder
	}
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// projectFolder returns the top folder of the module that the program is run in.
func projectFolder(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("finding the project: run this inside of it, with go on the path: %w", err)
	}
	return string(bytes.TrimSpace(out)), nil
}

const module = "github.com/docsgate/docsgate"

// build builds the binary as the Makefile does.
func build(ctx context.Context, root, binary string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags=nobadger,nomysql,nopgx", "-ldflags=-w -s",
		"-o", binary, "./cmd/docsgate")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building docsgate: %w\n%s", err, out)
	}
	return nil
}

// send sends requests of a kind through a proxy and checks the answers and what the upstream got. The client keeps its
// open streams until it is stopped.
func (w *world) send(ctx context.Context, p *proxy, k *kind, requests int) (*child, error) {
	before, err := w.upstream.counts()
	if err != nil {
		return nil, err
	}
	client, err := startLoad(ctx, plan{
		Address: p.address, Proxy: p.kind, Kind: k.Name, Requests: requests,
		Connections: min(w.options.connections, requests), First: w.unknown,
	})
	if err != nil {
		return nil, err
	}
	if k.Unknown {
		w.unknown += uint64(requests)
	}
	after, err := w.upstream.counts()
	if err == nil {
		err = checkCounts(p.kind, k, after.minus(before), uint64(requests))
	}
	if err != nil {
		client.stop()
		return nil, err
	}
	return client, nil
}

// checkCounts tells whether the upstream saw what it must see, and nothing else.
func checkCounts(p proxyKind, k *kind, got counts, requests uint64) error {
	want := counts{Requests: requests}
	switch {
	case k.Unknown && p == plain:
		want.Unknown = requests
	case k.Unknown:
		want.Requests = 0
	case p == plain:
		want.Token = requests
	default:
		want.Agent = requests
	}
	if got != want {
		return fmt.Errorf("%s, %s: the upstream saw %+v; it should have been %+v", p, k.Name, got, want)
	}
	return nil
}

// settle is how long a proxy gets after the last answer to finish what it does for it.
const settle = 50 * time.Millisecond

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return errors.New("interrupted")
	}
}
