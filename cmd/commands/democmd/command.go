package democmd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/caddymodule"
	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/demo"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/policy"
)

// options are the flags of "docsgate demo".
type options struct {
	listen           string // host:port of the gate; port 0 selects a free port
	page             string // host:port of the page; empty: the gate's port plus 1
	console          string // port of the console; empty: the gate's port plus 2
	docsgpt          string // address of a running DocsGPT; empty: the built-in backend
	agentKeyEnv      string
	source           string
	upstreamTokenEnv string
}

// Command returns the subcommand "demo".
func Command() caddycmd.Command {
	return caddycmd.Command{
		Name:  "demo",
		Short: "Run a gate with a demo page and a built-in backend",
		Long: `
Run, in one process, a gate with two keys, a page with the real DocsGPT widget, and behind the gate a small backend that
speaks DocsGPT's protocol and names in each answer the source that it was told to use. The page has a publishable key, which
works only there and has a limit for each visitor; the other key is for servers. The command prints the address of the page,
the address of the console, where you can create more keys, and some commands to try. Nothing is kept: the keys are valid
for this run only, and the temporary files are removed when the demo ends. No network is needed.

With --docsgpt the gate is in front of a DocsGPT that already runs. The keys of the demo are then bound to an agent of that
DocsGPT, whose key is in an environment variable (--agent-key-env), or to a source (--source, with an access token in the
environment variable that --upstream-token-env names). Secrets are never passed as flags.`,
		CobraFunc: setUp,
	}
}

// setUp defines the flags of "docsgate demo" and what it runs.
func setUp(cmd *cobra.Command) {
	cmd.Use = "demo [flags]"
	cmd.Example = `  $ docsgate demo
  $ docsgate demo --listen 127.0.0.1:0
  $ DOCSGPT_AGENT_KEY="$(cat agent.key)" docsgate demo --docsgpt http://localhost:7091`
	cmd.Args = cli.NoArgs("this command takes no arguments, only flags; see --help")
	var o options
	flags := cmd.Flags()
	flags.StringVar(&o.listen, "listen", "127.0.0.1:8080", "Address of the gate, host:port; port 0 selects a free port")
	flags.StringVar(&o.page, "page-listen", "", "Address of the page, host:port (default: the gate's address with its port plus 1)")
	flags.StringVar(&o.console, "console-port", "",
		"Port of the console on 127.0.0.1 (default: the gate's port plus 2)")
	flags.StringVar(&o.docsgpt, "docsgpt", "", "Address of a running DocsGPT, such as http://localhost:7091 (default: the built-in backend)")
	flags.StringVar(&o.agentKeyEnv, "agent-key-env", "DOCSGPT_AGENT_KEY",
		"With --docsgpt: environment variable that holds the key of an agent")
	flags.StringVar(&o.source, "source", "", "With --docsgpt: ID of the source that the key is bound to, in place of an agent")
	flags.StringVar(&o.upstreamTokenEnv, "upstream-token-env", "",
		"With --source: environment variable that holds an access token of DocsGPT")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		d, err := startDemo(ctx, o)
		if err != nil {
			return err
		}
		defer d.close()
		if err := printDemo(cmd.OutOrStdout(), d.shown, d.pageURL, d.consoleURL); err != nil {
			return fmt.Errorf("printing the commands to try: %w", err)
		}
		<-ctx.Done() // further signals are ignored: the shutdown takes a few seconds at most
		return nil
	}
}

// runningDemo is a started demo. A process can have only one, because Caddy has one configuration.
type runningDemo struct {
	shown      demo.Page
	pageURL    string
	consoleURL string
	undo       []func()
}

// close stops everything and removes the files, in the reverse order of starting.
func (d *runningDemo) close() {
	for len(d.undo) > 0 {
		last := len(d.undo) - 1
		d.undo[last]()
		d.undo = d.undo[:last]
	}
}

// startDemo starts everything. On an error nothing is left running, and no file remains.
func startDemo(ctx context.Context, o options) (*runningDemo, error) {
	d := &runningDemo{}
	if err := d.start(ctx, o); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func (d *runningDemo) start(ctx context.Context, o options) error {
	if o.docsgpt == "" && (o.source != "" || o.upstreamTokenEnv != "") {
		return errors.New("--source and --upstream-token-env require --docsgpt")
	}
	host, port, err := splitAddress("--listen", o.listen)
	if err != nil {
		return err
	}
	pageHost, pagePort, err := pageAddress(o.page, host, port)
	if err != nil {
		return err
	}
	consolePort, err := portAfter(o.console, port, 2)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "docsgate-demo-")
	if err != nil {
		return fmt.Errorf("creating a directory for the demo: %w", err)
	}
	d.undo = append(d.undo, func() { _ = os.RemoveAll(dir) })

	// The page's port is opened first and the gate's is tried, so that a port in use is found before anything starts.
	pageListener, err := listen("--page-listen", pageHost, pagePort)
	if err != nil {
		return err
	}
	d.undo = append(d.undo, func() { _ = pageListener.Close() })
	if _, err := tryPort("--listen", host, port); err != nil {
		return err
	}
	if consolePort, err = tryPort("--console-port", "127.0.0.1", consolePort); err != nil {
		return err
	}
	var u *upstream
	if o.docsgpt == "" {
		u, err = startFake(dir)
	} else {
		u, err = connectExisting(ctx, o)
	}
	if err != nil {
		return err
	}
	d.undo = append(d.undo, u.close)

	d.pageURL = browserURL(pageHost, portOf(pageListener.Addr()))
	token, serverToken := keys.NewToken(policy.Publishable), keys.NewToken(policy.Secret)
	config := gateConfig{
		dir: dir, host: host, port: port, upstream: u.address,
		tokenDigest: keys.DigestOf(token).Hex(), serverTokenDigest: keys.DigestOf(serverToken).Hex(), origin: d.pageURL,
		agent: u.config.agent, source: u.config.source, upstreamToken: u.config.upstreamToken, consolePort: consolePort,
	}
	if port != "0" {
		config.gateURL = browserURL(host, port)
	}
	gatePort, err := d.startGate(config)
	if err != nil {
		return err
	}
	d.consoleURL = browserURL("127.0.0.1", consolePort)
	gateURL := browserURL(host, gatePort)
	d.shown = demo.Page{
		GateURL: gateURL, ConsoleURL: d.consoleURL, Upstream: u.address, Token: token, ServerToken: serverToken, Binding: u.binding,
		Origin: d.pageURL, OtherOrigin: otherOrigin(d.pageURL), Limit: pageLimit,
		Commands:        sampleCommands(gateURL, token, serverToken, u),
		CrossSourceBody: crossSourceFields(token, u.other), Backend: u.backend, Secrets: u.secrets,
	}
	handler, err := demo.Handler(d.shown)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(pageListener) }()
	d.undo = append(d.undo, func() { _ = server.Close() })
	return nil
}

// startGate starts Caddy with the gate and the console, and returns the port that the gate listens on.
func (d *runningDemo) startGate(c gateConfig) (port string, err error) {
	if err := c.writeKeyFile(); err != nil {
		return "", err
	}
	adapter := caddyconfig.GetAdapter("caddyfile")
	if adapter == nil {
		return "", errors.New("the demo needs Caddy's standard modules, but this binary was built without them")
	}
	config, _, err := adapter.Adapt([]byte(c.caddyfile()), map[string]any{"filename": "demo.Caddyfile"})
	if err != nil {
		return "", fmt.Errorf("adapting the configuration of the demo: %w", err)
	}
	if err := caddy.Load(config, true); err != nil {
		return "", fmt.Errorf("starting the gate: %w", err)
	}
	d.undo = append(d.undo, func() {
		caddymodule.Shutdown(0)
		_ = caddy.Stop()
	})
	app, err := caddy.ActiveContext().App("http")
	if err != nil {
		return "", fmt.Errorf("finding the gate's address: %w", err)
	}
	for _, server := range app.(*caddyhttp.App).Servers {
		for _, listener := range server.Listeners() {
			if found := portOf(listener.Addr()); found != c.consolePort {
				return found, nil
			}
		}
	}
	return "", errors.New("finding the gate's address: it has no listener")
}

func splitAddress(flag, address string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(address)
	if n, notNumber := strconv.Atoi(port); err != nil || notNumber != nil || n < 0 || n > 65535 {
		return "", "", fmt.Errorf("%s: write host:port, such as 127.0.0.1:8080", flag)
	}
	return host, port, nil
}

// pageAddress returns the given address of the page; without one, the gate's with the next port, so that the page has another
// origin than the gate.
func pageAddress(given, gateHost, gatePort string) (host, port string, err error) {
	if given != "" {
		return splitAddress("--page-listen", given)
	}
	port, err = portAfter("", gatePort, 1)
	return gateHost, port, err
}

// portAfter returns the given port; without one, the gate's port plus n. It returns "0", a free port, if the gate's port is 0 or
// the sum is too large.
func portAfter(given, gatePort string, n int) (string, error) {
	if given != "" {
		_, port, err := splitAddress("--console-port", "127.0.0.1:"+given)
		if err != nil {
			return "", errors.New("--console-port: write a port number from 0 to 65535")
		}
		return port, nil
	}
	first, err := strconv.Atoi(gatePort)
	if err != nil {
		return "", err
	}
	if first == 0 || first+n > 65535 {
		return "0", nil
	}
	return strconv.Itoa(first + n), nil
}

func listen(flag, host, port string) (net.Listener, error) {
	address := net.JoinHostPort(host, port)
	listener, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("the address %s is already in use: choose another with %s; port 0 selects a free port", address, flag)
	}
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", address, err)
	}
	return listener, nil
}

// tryPort returns an error if a port is in use, and a free port for port 0. Caddy itself would share the port with another Caddy.
func tryPort(flag, host, port string) (free string, err error) {
	listener, err := listen(flag, host, port)
	if err != nil {
		return "", err
	}
	return portOf(listener.Addr()), listener.Close()
}

func portOf(address net.Addr) string {
	_, port, _ := net.SplitHostPort(address.String())
	return port
}

// browserURL returns the URL at which a browser on this machine reaches an address.
func browserURL(host, port string) string {
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// otherOrigin returns another URL of the page, which is another origin for browsers; empty if there is none.
func otherOrigin(pageURL string) string {
	if port, found := strings.CutPrefix(pageURL, "http://127.0.0.1:"); found {
		return "http://localhost:" + port
	}
	return ""
}
