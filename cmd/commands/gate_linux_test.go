package commands

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/docsgpttest"
	"github.com/docsgate/docsgate/internal/testprocess"
)

const gateToken = "token-of-the-gate-test"

// testbed is a folder with a key file, and a fake DocsGPT, for docsgate processes.
type testbed struct {
	t        *testing.T
	dir      string
	backend  *docsgpttest.Backend
	upstream string
}

func newTestbed(t *testing.T) *testbed {
	t.Helper()
	b := &testbed{t: t, dir: t.TempDir(), backend: docsgpttest.New(docsgpttest.Options{Keys: map[string][]string{"agent": nil}})}
	server := httptest.NewServer(b.backend)
	t.Cleanup(server.Close)
	b.upstream = strings.TrimPrefix(server.URL, "http://")
	sum := sha256.Sum256([]byte(gateToken))
	b.write("keys.yaml", fmt.Sprintf("keys:\n  - {id: gate, sha256: %s, agent: \"{env.AGENT}\"}\n", hex.EncodeToString(sum[:])))
	return b
}

func (b *testbed) write(name, text string) string {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// caddyfile writes a configuration with one site. Responses have the header Gate with its name.
func (b *testbed) caddyfile(name, admin, site, bind, options string) string {
	b.t.Helper()
	return b.write(name, fmt.Sprintf(`{
	admin %s
	persist_config off
	docsgate {
		feed file %s/keys.yaml
		%s
	}
}
%s {
	%s
	header Gate %s
	docsgate %s {
		limits {
			visitor_requests off
			visitor_streams off
		}
	}
}
`, admin, b.dir, options, site, bind, filepath.Base(name), b.upstream))
}

func (b *testbed) port() string {
	b.t.Helper()
	port, err := testprocess.FreePort()
	if err != nil {
		b.t.Fatal(err)
	}
	return port
}

func (b *testbed) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "docsgate", args...)
	cmd.Env = append(os.Environ(), "AGENT=agent", "HOME="+b.dir, "XDG_DATA_HOME="+b.dir, "XDG_CONFIG_HOME="+b.dir,
		"GORACE=atexit_sleep_ms=0")
	return cmd
}

// process is a running docsgate.
type process struct {
	*exec.Cmd
	exited chan error
	log    *syncBuffer
}

type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// start starts a process and waits until it serves.
func (b *testbed) start(cmd *exec.Cmd) *process {
	b.t.Helper()
	p := &process{cmd, make(chan error, 1), new(syncBuffer)}
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	go func() { p.exited <- cmd.Wait() }()
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(p.log.String(), "serving initial configuration"); {
		select {
		case err := <-p.exited:
			b.t.Fatalf("the process exits: %v\n%s", err, p.log)
		case <-time.After(10 * time.Millisecond):
			if time.Now().After(deadline) {
				b.t.Fatalf("it does not serve\n%s", p.log)
			}
		}
	}
	return p
}

// ask sends a question on a new connection. dial connects to the gate.
func ask(ctx context.Context, dial func(context.Context) (net.Conn, error)) (gate string, err error) {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dial(ctx)
	}}
	body := fmt.Sprintf(`{"question":"q","history":"[]","api_key":%q}`, gateToken)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://127.0.0.1/api/answer", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", resp.StatusCode, text)
	}
	return resp.Header.Get("Gate"), err
}

func dialer(network, address string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, network, address) }
}

// traffic is a steady load of questions on new connections.
type traffic struct {
	mu      sync.Mutex
	served  map[string]int // responses by gate
	failed  []error
	slowest time.Duration
	stop    func() // stops the load and waits for its last response
}

func startTraffic(t *testing.T, clients int, dial func(context.Context) (net.Conn, error)) *traffic {
	t.Helper()
	load := &traffic{served: map[string]int{}}
	stopped := make(chan struct{})
	var running sync.WaitGroup
	for range clients {
		running.Go(func() {
			for {
				select {
				case <-stopped:
					return
				default:
				}
				begun := time.Now()
				gate, err := ask(t.Context(), dial)
				load.mu.Lock()
				load.slowest = max(load.slowest, time.Since(begun))
				if err == nil {
					load.served[gate]++
				} else if !errors.Is(err, context.Canceled) {
					load.failed = append(load.failed, err)
				}
				load.mu.Unlock()
			}
		})
	}
	load.stop = sync.OnceFunc(func() { close(stopped); running.Wait() })
	t.Cleanup(load.stop)
	return load
}

func (l *traffic) count(gate string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.served[gate]
}

// waitCount waits until a gate has served more requests than n.
func (l *traffic) waitCount(t *testing.T, gate string, n int) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); l.count(gate) <= n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s serves nothing; failures: %v", gate, l.failed)
		}
	}
}
