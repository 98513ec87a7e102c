package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// proxyMode is a program of a comparison with its configuration. Those below are Caddy's binary and docsgate's.
type proxyMode string

const (
	plain        proxyMode = "plain"         // Caddy's reverse_proxy, without the gate
	builtin      proxyMode = "builtin"       // the gate with built-in forwarding
	baseline     proxyMode = "baseline"      // the same with another build of docsgate
	reverseProxy proxyMode = "reverse_proxy" // the gate with reverse_proxy as the next handler
	sourceBound  proxyMode = "sources"       // the gate with built-in forwarding and keys that are bound to sources
	respond      proxyMode = "respond"       // Caddy's respond, without an upstream: what no handler in Caddy can undercut
	fair         proxyMode = "fair"          // the gate with built-in forwarding, for the fairness of its queue
)

var proxyModes = []proxyMode{plain, builtin, reverseProxy}

// limits let the gate forward the complete history of the largest scenario, and one key have all the streams that are
// open at a time, with those that were abandoned in the last 30 seconds: they count as in flight if they cannot be canceled.
const limits = " {\n\t\tendpoints widget openai\n\t\tmax_history_entries 100000\n\t\tmax_history_size 4MiB\n\t\tmax_in_flight 20000\n\t\tmax_in_flight_per_key 20000\n" +
	"\t\tlimits {\n\t\t\tvisitor_requests 1000000/1s\n\t\t\tvisitor_streams 20000\n\t\t\tfailed_tokens 1000000/1s\n\t\t}\n\t}"

func (p proxyMode) isValid() bool { return p == plain || p == builtin || p == reverseProxy }

// isGate reports whether the proxy is docsgate.
func (p proxyMode) isGate() bool {
	return p == builtin || p == baseline || p == reverseProxy || p == sourceBound || p == fair
}

// checksKeys reports whether the proxy checks the key of a client and replaces it.
func (p proxyMode) checksKeys() bool { return p != plain && p != bare && p != vllmRouter }

// handlers returns the directives of the site.
func (p proxyMode) handlers(upstream string) string {
	switch p {
	case builtin, baseline, sourceBound:
		return "docsgate " + upstream + limits
	case reverseProxy:
		return "docsgate" + limits + "\n\treverse_proxy " + upstream
	case respond:
		return respondHandlers()
	case fair:
		return "docsgate " + upstream + fairLimits
	default:
		return "reverse_proxy " + upstream
	}
}

// caddyfile returns the configuration of a proxy, without optional features. admin is an address or "off".
func (p proxyMode) caddyfile(address, upstream, admin, keyFile string) string {
	options := "admin " + admin + "\n\tpersist_config off\n\tauto_https off\n"
	if p.isGate() {
		options += "\tdocsgate {\n\t\tfeed file " + keyFile + "\n"
		if p == sourceBound {
			options += "\t\tdocsgpt_version 1.1.0\n\t\tupstream_token {env.BENCH_AGENT_KEY}\n\t\tupstream_tools none\n"
		}
		options += "\t}\n"
	}
	return "{\n\t" + options + "}\n\nhttp://" + address + " {\n\t" + p.handlers(upstream) + "\n}\n"
}

// unusedKeys is the number of keys in addition to the used one.
const unusedKeys = 999

// unusedToken returns the token of an unused key.
func unusedToken(i int) string { return fmt.Sprintf("dgk_bench_other_%d", i) }

// The bindings of the keys in a key file.
const (
	agentBinding  = `agent: "{env.BENCH_AGENT_KEY}"`
	sourceBinding = `source: ["7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10"]`
)

// writeKeys writes a key file.
func writeKeys(path, binding string) error {
	var b strings.Builder
	b.WriteString("keys:\n")
	add := func(id, token string) {
		fmt.Fprintf(&b, "  - id: %s\n    sha256: %x\n    %s\n", id, sha256.Sum256([]byte(token)), binding)
	}
	add("bench", goodToken)
	for i := range unusedKeys {
		add(fmt.Sprintf("other-%d", i), unusedToken(i))
	}
	return os.WriteFile(path, []byte(b.String()), 0o600)
}

// proxy is a running proxy.
type proxy struct {
	mode    proxyMode
	address string
	admin   string // empty: off
	cmd     *exec.Cmd
	log     *os.File
	service *subprocess // that it asks; nil: none
}

// startProxy starts a proxy in a new folder and waits until it accepts connections.
func (w *env) startProxy(ctx context.Context, p proxyMode, admin bool) (*proxy, error) {
	return w.startWith(ctx, p, admin, func(address, admin string) string {
		keyFile := w.keyFile
		if p == sourceBound {
			keyFile = w.sourceKeyFile
		}
		return p.caddyfile(address, w.backend, admin, keyFile)
	})
}

// startWith is startProxy with another configuration.
func (w *env) startWith(ctx context.Context, p proxyMode, admin bool, caddyfile func(address, admin string) string) (*proxy, error) {
	running, dir, err := w.configure(ctx, p, admin, caddyfile)
	if err != nil {
		return nil, err
	}
	return launch(ctx, running, dir)
}

// configure returns a proxy that has not been started, and its new folder.
func (w *env) configure(ctx context.Context, p proxyMode, admin bool, caddyfile func(address, admin string) string) (*proxy, string, error) {
	dir, err := os.MkdirTemp(w.dir, string(p)+"-")
	if err != nil {
		return nil, "", err
	}
	running := &proxy{mode: p}
	if running.address, err = freeAddress(); err != nil {
		return nil, "", err
	}
	adminOption := "off"
	if admin {
		if running.admin, err = freeAddress(); err != nil {
			return nil, "", err
		}
		adminOption = running.admin
	}
	config := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(config, []byte(caddyfile(running.address, adminOption)), 0o600); err != nil {
		return nil, "", err
	}
	binary := w.binary
	switch p {
	case baseline:
		binary = w.options.baseline
	case plain, forwardAuth:
		if binary, err = w.caddyBinary(ctx); err != nil {
			return nil, "", err
		}
	case builtin, reverseProxy, sourceBound, fair, respond, bare, vllmRouter, nginxLua, nginxMap, envoy, litellm:
	}
	running.cmd = exec.CommandContext(ctx, binary, "run", "--config", config)
	running.cmd.Env = []string{
		"HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir,
		"GOMAXPROCS=" + strconv.Itoa(w.options.procs), "BENCH_AGENT_KEY=" + agentKey, "BENCH_SIGN_SECRET=" + signSecret,
	}
	if binary == w.caddy {
		running.cmd.Env = append(running.cmd.Env, "GODEBUG=multipathtcp=2") // Go's default, which go.mod changes
	}
	return running, dir, nil
}

// launch starts the command of a proxy, with its output in a file of the folder, and waits until it accepts connections.
func launch(ctx context.Context, p *proxy, dir string) (*proxy, error) {
	return launchUntil(ctx, p, dir, p.wait)
}

// launchUntil is launch, but calls ready to wait.
func launchUntil(ctx context.Context, p *proxy, dir string, ready func(context.Context) error) (_ *proxy, err error) {
	if p.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		return nil, err
	}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	leadProcessGroup(p.cmd) // so that its own subprocesses can be killed, too
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.mode, err)
	}
	if err := ready(ctx); err != nil {
		p.stop()
		text, _ := os.ReadFile(p.log.Name())
		return nil, fmt.Errorf("starting %s: %w\n%s", p.mode, err, text)
	}
	return p, nil
}

// freeAddress returns a loopback address with a free port.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// wait waits until the proxy accepts connections.
func (p *proxy) wait(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stop kills the proxy. Requests in flight do not matter, because its clients have ended.
func (p *proxy) stop() {
	killProcessGroup(p.cmd)
	_ = p.cmd.Wait()
	p.log.Close()
	if p.service != nil {
		p.service.stop()
	}
}

// ticks is the number of clock ticks per second in /proc, which is 100 on every Linux.
const ticks = 100

// cpu returns the CPU time of the proxy so far, in seconds, with its subprocesses and the service that it asks.
func (p *proxy) cpu() (float64, error) {
	pids, err := groupOf(p.cmd.Process.Pid)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", p.mode, err)
	}
	if p.service != nil {
		pids = append(pids, p.service.cmd.Process.Pid)
	}
	sum := 0.0
	for _, pid := range pids {
		seconds, err := cpuOf(pid)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", p.mode, err)
		}
		sum += seconds
	}
	return sum, nil
}

// groupOf returns the processes of a process group.
func groupOf(group int) ([]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, name := range stats {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil {
			continue
		}
		if of, err := processGroup(pid); err == nil && of == group {
			pids = append(pids, pid)
		}
	}
	if len(pids) == 0 {
		return nil, errors.New("the process has ended")
	}
	return pids, nil
}

// cpuOf returns the user and system CPU time of a process so far, in seconds.
func cpuOf(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("reading CPU time (Linux only): %w", err)
	}
	// The second field is the name in parentheses, which may contain spaces. User and system time are fields 14 and 15.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 13 || fields[0] == "Z" {
		return 0, errors.New("the process has ended")
	}
	sum := 0.0
	for _, field := range fields[11:13] {
		n, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading CPU time: %w", err)
		}
		sum += float64(n)
	}
	return sum / ticks, nil
}

// memory returns the resident memory of the proxy in bytes.
func (p *proxy) memory() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("reading memory (Linux only): %w", err)
	}
	var size, resident int
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0, fmt.Errorf("reading memory: %w", err)
	}
	return float64(resident * syscall.Getpagesize()), nil
}
