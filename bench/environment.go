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

// env is the shared environment of all measurements: the binary, the upstream and the keys.
type env struct {
	options       *options
	root          string // of the project
	dir           string // temporary folder, removed at the end
	binary        string
	caddy         string // Caddy's own binary; empty before caddyBinary
	keyFile       string
	sourceKeyFile string // the same keys, bound to sources
	upstream      *upstream
	backend       string // address of the upstream
	unknown       uint64 // number of unknown tokens used so far
}

// openEnv returns the environment of the comparison.
func openEnv(ctx context.Context, o *options) (*env, error) {
	w, err := prepareEnv(ctx, o)
	if err != nil {
		return nil, err
	}
	if w.upstream, err = startUpstream(ctx); err != nil {
		w.close()
		return nil, err
	}
	w.backend = w.upstream.address
	return w, nil
}

// prepareEnv returns an environment without an upstream.
func prepareEnv(ctx context.Context, o *options) (_ *env, err error) {
	w := &env{options: o}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.root, err = projectFolder(ctx); err != nil {
		return nil, err
	}
	if o.out == "" {
		o.out = filepath.Join(w.root, ".cache", "bench")
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return nil, err
	}
	if w.dir, err = os.MkdirTemp("", "docsgate-bench-"); err != nil {
		return nil, err
	}
	w.keyFile, w.sourceKeyFile = filepath.Join(w.dir, "keys.yaml"), filepath.Join(w.dir, "source-keys.yaml")
	if err := errors.Join(writeKeys(w.keyFile, agentBinding), writeKeys(w.sourceKeyFile, sourceBinding)); err != nil {
		return nil, err
	}
	w.binary = filepath.Join(w.dir, "docsgate")
	return w, build(ctx, w.root, "./cmd/docsgate", w.binary)
}

func (w *env) close() {
	if w.upstream != nil {
		w.upstream.process.stop()
	}
	if w.dir != "" {
		_ = os.RemoveAll(w.dir) // only a temporary folder
	}
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// projectFolder returns the root folder of the module that contains the working directory.
func projectFolder(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("finding the project: run bench inside the repository, with go in PATH: %w", err)
	}
	return string(bytes.TrimSpace(out)), nil
}

const module = "github.com/docsgate/docsgate"

// build builds a main package as the Makefile builds docsgate, with the versions of the project.
func build(ctx context.Context, root, main, binary string) error {
	progress("building %s", main)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags=nobadger,nomysql,nopgx", "-ldflags=-w -s", "-o", binary, main)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", main, err, out)
	}
	return nil
}

// caddyBinary returns the path of Caddy's own binary, and builds it at the first call.
func (w *env) caddyBinary(ctx context.Context) (string, error) {
	if w.caddy != "" {
		return w.caddy, nil
	}
	path := filepath.Join(w.dir, "caddy")
	if err := build(ctx, w.root, "github.com/caddyserver/caddy/v2/cmd/caddy", path); err != nil {
		return "", err
	}
	w.caddy = path
	return path, nil
}

// send sends requests of a scenario through a proxy, and checks the responses and the requests at the upstream. The returned client
// keeps its open streams until it is stopped.
func (w *env) send(ctx context.Context, p *proxy, k *scenario, requests int) (*subprocess, error) {
	client, _, err := w.sendAt(ctx, p, k, requests, 0)
	return client, err
}

// sendAt is send with a number of requests per second; 0: each connection sends the next request after a response.
func (w *env) sendAt(ctx context.Context, p *proxy, k *scenario, requests int, rate float64) (*subprocess, outcome, error) {
	before, err := w.upstream.counts()
	if err != nil {
		return nil, outcome{}, err
	}
	connections := w.options.connections
	if rate > 0 {
		connections = max(connections, pacedConnections)
	}
	client, result, err := startLoad(ctx, workload{
		Address: p.address, Proxy: p.mode, Scenario: k.Name, Requests: requests,
		Connections: min(connections, requests), FirstUnknown: w.unknown, Rate: rate,
	})
	if err != nil {
		return nil, result, err
	}
	if k.UnknownTokens {
		w.unknown += uint64(requests)
	}
	after, err := w.upstream.counts()
	if err == nil {
		err = checkCounts(p.mode, k, after.minus(before), uint64(requests))
	}
	if err != nil {
		client.stop()
		return nil, result, err
	}
	return client, result, nil
}

// checkCounts returns an error unless the upstream received the expected requests, and no others.
func checkCounts(p proxyMode, k *scenario, got counts, requests uint64) error {
	want := counts{Requests: requests}
	switch {
	case p == respond:
		want.Requests = 0
	case k.UnknownTokens && !p.checksKeys():
		want.Unknown = requests
	case k.UnknownTokens:
		want.Requests = 0
	case !p.checksKeys():
		want.Token = requests
	default:
		want.Agent = requests
	}
	if got != want {
		return fmt.Errorf("%s, %s: the upstream received %+v, want %+v", p, k.Name, got, want)
	}
	return nil
}

// quiesce is the time that a proxy gets after the last response to finish its work.
const quiesce = 50 * time.Millisecond

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return errors.New("interrupted")
	}
}
