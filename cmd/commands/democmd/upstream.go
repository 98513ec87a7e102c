package democmd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/internal/docsgpttest"
)

// The sources of the built-in backend.
const (
	handbookID = "6f1c2a7e-2d0b-4b1e-9a53-1f6f2f0d8c11"
	payrollID  = "c0a9e4d2-7b36-4f58-8e1d-52b7a3d96e42"
)

// upstream is the DocsGPT behind the demo's gate.
type upstream struct {
	address string // with a scheme
	binding string // what the key is bound to, for display
	other   string // the ID of a source that the key is not bound to
	config  gateConfig
	backend *docsgpttest.Backend // nil: a real DocsGPT
	secrets map[string]string    // secrets, each with the text that is shown in its place
	server  *http.Server         // of the built-in backend, or nil
}

// close stops the built-in backend immediately.
func (u *upstream) close() {
	if u.server != nil {
		_ = u.server.Close()
	}
}

// startFake starts the built-in backend on a free loopback port. Its agent key and access token are written to files in dir,
// because the gate's configuration takes secrets only as placeholders.
func startFake(dir string) (*upstream, error) {
	handbookKey, payrollKey, accessToken := randomKey(), randomKey(), "dgpt_pat_"+rand.Text() // of the gate's account
	b := docsgpttest.New(docsgpttest.Options{
		Label:   "demo",
		Keys:    map[string][]string{handbookKey: {handbookID}, payrollKey: {payrollID}},
		Tokens:  map[string][]string{accessToken: nil},
		Sources: map[string]string{handbookID: "handbook", payrollID: "secret payroll"},
		Delay:   docsgpttest.DefaultDelay,
	})
	keyFile := filepath.Join(dir, "agent.key")
	if err := os.WriteFile(keyFile, []byte(handbookKey), 0o600); err != nil {
		return nil, fmt.Errorf("writing the agent key of the built-in backend: %w", err)
	}
	tokenFile := filepath.Join(dir, "access.token")
	if err := os.WriteFile(tokenFile, []byte(accessToken), 0o600); err != nil {
		return nil, fmt.Errorf("writing the access token of the built-in backend: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the built-in backend: %w", err)
	}
	server := &http.Server{Handler: b, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	return &upstream{
		address: "http://" + listener.Addr().String(),
		binding: `the source "handbook" (` + handbookID + ")",
		other:   payrollID,
		config:  gateConfig{agent: "{file." + keyFile + "}", upstreamToken: "{file." + tokenFile + "}"},
		backend: b,
		secrets: map[string]string{
			handbookKey: "(the agent key, which only the gate has)", accessToken: "(the access token, which only the gate has)",
		},
		server: server,
	}, nil
}

// randomKey returns a random key in DocsGPT's format, a version 4 UUID.
func randomKey() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// connectExisting checks the flags for a DocsGPT that already runs, and that it is reachable.
func connectExisting(ctx context.Context, o options) (*upstream, error) {
	u := &upstream{other: randomKey()}
	switch agentSet := os.Getenv(o.agentKeyEnv) != ""; {
	case o.source != "":
		newest, err := docsgpt.FindVersion("")
		if err != nil {
			return nil, err
		}
		id, err := newest.CheckSource(o.source)
		if err != nil {
			return nil, fmt.Errorf("--source: %w", err)
		}
		u.binding, u.config.source = "the source "+id, id
		if o.upstreamTokenEnv == "" {
			return nil, errors.New("--source needs --upstream-token-env: the name of an environment variable that holds an " +
				"access token of DocsGPT with access to this source")
		}
		if os.Getenv(o.upstreamTokenEnv) == "" {
			return nil, fmt.Errorf("the environment variable %s is empty: set it to an access token of DocsGPT",
				o.upstreamTokenEnv)
		}
		u.config.upstreamToken = "{env." + o.upstreamTokenEnv + "}"
	case o.upstreamTokenEnv != "":
		return nil, errors.New("--upstream-token-env requires --source: name the source that the key is bound to")
	case agentSet:
		u.binding, u.config.agent = "the agent whose key is in "+o.agentKeyEnv, "{env."+o.agentKeyEnv+"}"
	default:
		return nil, fmt.Errorf("the key of the demo must be bound to an agent or a source of this DocsGPT: either set the "+
			"environment variable %s (--agent-key-env takes another name) to the key of an agent, or name a source with "+
			"--source ID and the variable of an access token with --upstream-token-env NAME", o.agentKeyEnv)
	}
	address, err := baseURL(o.docsgpt)
	if err != nil {
		return nil, err
	}
	u.address = address
	return u, checkHealth(ctx, address)
}

// baseURL checks an address and returns it as scheme://host:port.
func baseURL(given string) (string, error) {
	const example = "--docsgpt: write the address of DocsGPT as http://host:port"
	if !strings.Contains(given, "://") {
		given = "http://" + given
	}
	u, err := url.Parse(given)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return "", errors.New(example)
	case u.User != nil:
		return "", errors.New(example + ", without a name or password in it")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return "", errors.New(example + ", without a path")
	}
	return u.Scheme + "://" + u.Host, nil
}

// checkHealth returns an error if DocsGPT does not answer. The gate itself starts without one.
func checkHealth(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/api/health", nil)
	if err != nil {
		return fmt.Errorf("checking the health of DocsGPT at %s: %w", address, err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return fmt.Errorf("DocsGPT does not respond at %s: %w", address, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the server at %s is not DocsGPT: /api/health has status %d", address, resp.StatusCode)
	}
	return nil
}
