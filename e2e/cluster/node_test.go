package cluster

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/testprocess"
)

// node is one gate.
type node struct {
	c           *cluster
	name        string
	dir         string
	site, admin string // addresses
	store       string // address of the database, by way of the proxies
	proxies     []*feedtest.Proxy
	redis       *feedtest.Proxy // nil: limits are not shared
	options     string          // further global options of docsgate
	client      *http.Client

	log    logBuffer
	cmd    *exec.Cmd
	exited chan struct{}
}

type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// storeSecret is the secret of all gates.
var storeSecret = base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))

const caddyfile = `{
	admin %s
	persist_config off
	docsgate {
		docsgpt_version 1.1
		feed store {env.STORE} {
			secret {env.STORE_SECRET}
		}
		upstream_token {env.DOCSGPT_TOKEN}
		%s
	}
	metrics
}

http://%s {
	bind 127.0.0.1
	route /alive {
		respond ok
	}
	docsgate %s {
		endpoints widget
		limits {
			visitor_requests off
			visitor_streams off
			failed_tokens off
		}
	}
}
`

func newNode(c *cluster, i int) *node {
	c.t.Helper()
	n := &node{c: c, name: fmt.Sprintf("node %d", i), dir: c.t.TempDir(), site: freeAddress(c), admin: freeAddress(c)}
	n.client = &http.Client{Timeout: 2 * patience, Transport: &http.Transport{MaxIdleConnsPerHost: 50}}
	c.t.Cleanup(n.kill)
	return n
}

// configure writes the configuration.
func (n *node) configure() {
	n.c.t.Helper()
	config := fmt.Sprintf(caddyfile, n.admin, n.options, n.site, n.c.upstream)
	if err := os.WriteFile(filepath.Join(n.dir, "Caddyfile"), []byte(config), 0o600); err != nil {
		n.c.t.Fatal(err)
	}
}

// freeAddress returns a loopback address that stays free while a node is down.
func freeAddress(c *cluster) string {
	c.t.Helper()
	port, err := testprocess.FreePort()
	if err != nil {
		c.t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", port)
}

// start starts the process and waits until it serves.
func (n *node) start() {
	n.c.t.Helper()
	n.launch()
	waitFor(n.c.t, n.name+" serves", func() bool {
		select {
		case <-n.exited:
			n.c.t.Fatalf("%s has exited:\n%s", n.name, n.log.String())
		default:
		}
		response := (*apiError)(nil)
		err := n.call(n.c.t.Context(), http.MethodGet, "keys?limit=1", "", nil) // apps start in no defined order
		return n.alive() == nil && (err == nil || errors.As(err, &response) && response.status != http.StatusNotFound)
	})
}

// launch starts the process.
func (n *node) launch() {
	n.c.t.Helper()
	cmd := exec.Command(binary, "run", "--config", filepath.Join(n.dir, "Caddyfile"), "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "STORE="+n.store, "STORE_SECRET="+storeSecret, "DOCSGPT_TOKEN="+credential, "HOME="+n.dir, "XDG_DATA_HOME="+n.dir, "XDG_CONFIG_HOME="+n.dir)
	cmd.Stdout, cmd.Stderr = &n.log, &n.log
	if err := cmd.Start(); err != nil {
		n.c.t.Fatal(err)
	}
	exited := make(chan struct{})
	n.cmd, n.exited = cmd, exited
	go func() { _ = cmd.Wait(); close(exited) }()
}

// kill ends the process with SIGKILL.
func (n *node) kill() {
	if n.cmd == nil {
		return
	}
	_ = n.cmd.Process.Signal(syscall.SIGKILL)
	<-n.exited
	n.cmd = nil
	n.client.CloseIdleConnections()
}

// alive sends a request that needs neither keys nor a database.
func (n *node) alive() error {
	resp, err := n.client.Get("http://" + n.site + "/alive")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// verdict is what a gate decides on a token.
type verdict int

const (
	unknown     verdict = iota // the gate is not running, or does not respond as expected
	valid                      // the question was answered
	invalid                    // 401
	unavailable                // 503
	limited                    // 429
)

func (v verdict) String() string {
	return [...]string{"unknown", "valid", "invalid", "unavailable", "limited"}[v]
}

// ask asks a question with a token.
func (n *node) ask(token string) (verdict, string) {
	body := fmt.Sprintf(`{"question":"Q","api_key":%q}`, token)
	resp, err := n.client.Post("http://"+n.site+"/api/answer", "application/json", strings.NewReader(body))
	if err != nil {
		return unknown, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return unknown, err.Error()
	case resp.StatusCode == http.StatusOK:
		return valid, string(text)
	case resp.StatusCode == http.StatusUnauthorized:
		return invalid, string(text)
	case resp.StatusCode == http.StatusServiceUnavailable:
		return unavailable, string(text)
	case resp.StatusCode == http.StatusTooManyRequests:
		return limited, string(text)
	}
	return unknown, fmt.Sprintf("%d %s", resp.StatusCode, text)
}

func (n *node) expect(token string, want verdict) {
	n.c.t.Helper()
	if got, text := n.ask(token); got != want {
		n.c.t.Errorf("%s: the token is %v, not %v: %s", n.name, got, want, text)
	}
}

func (n *node) awaitVerdict(token string, want verdict) {
	n.c.t.Helper()
	var got verdict
	var text string
	for deadline := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		if got, text = n.ask(token); got == want {
			return
		}
		if time.Now().After(deadline) {
			n.c.t.Fatalf("%s: the token stays %v, and is not %v: %s", n.name, got, want, text)
		}
	}
}

// apiError is an error response of the API for keys.
type apiError struct {
	status int
	text   string
}

func (e *apiError) Error() string { return fmt.Sprintf("%d %s", e.status, e.text) }

// call calls the API for keys on the admin endpoint.
func (n *node) call(ctx context.Context, method, path, body string, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+n.admin+"/docsgate/v1/"+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Origin", "http://"+n.admin)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := n.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return &apiError{resp.StatusCode, string(text)}
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

// key is a key that was created or rotated.
type key struct {
	ID    string `json:"id"`
	Token string `json:"token"`
}

func (n *node) tryCreate(ctx context.Context, name string) (key, error) {
	return n.tryCreateLimited(ctx, name, 0)
}

// tryCreateLimited creates a key with a limit of requests per hour; 0: without one.
func (n *node) tryCreateLimited(ctx context.Context, name string, limit int) (k key, err error) {
	limits := ""
	if limit > 0 {
		limits = fmt.Sprintf(`,"limits":{"requests":"%d/1h"}`, limit)
	}
	err = n.call(ctx, http.MethodPost, "keys", fmt.Sprintf(`{"name":%q,"sources":[%q]%s}`, name, source, limits), &k)
	return k, err
}

func (n *node) create(name string) key {
	n.c.t.Helper()
	return n.createLimited(name, 0)
}

func (n *node) createLimited(name string, limit int) key {
	n.c.t.Helper()
	k, err := n.tryCreateLimited(n.c.t.Context(), name, limit)
	if err != nil {
		n.c.t.Fatalf("%s: creating a key: %v", n.name, err)
	}
	return k
}

// change is disable, enable, revoke or rotate.
func (n *node) tryChange(ctx context.Context, k key, change string) (changed key, err error) {
	body := ""
	if change == "rotate" {
		body = "{}"
	}
	err = n.call(ctx, http.MethodPost, "keys/"+k.ID+"/"+change, body, &changed)
	return changed, err
}

func (n *node) change(k key, change string) key {
	n.c.t.Helper()
	changed, err := n.tryChange(n.c.t.Context(), k, change)
	if err != nil {
		n.c.t.Fatalf("%s: %s: %v", n.name, change, err)
	}
	return changed
}
