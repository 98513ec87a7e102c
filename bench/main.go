// Command bench compares the gate with plain Caddy. It measures CPU time and memory of Caddy's own binary as a plain reverse_proxy, of the
// gate with built-in forwarding, and of the gate in front of reverse_proxy.
//
//	go run ./bench [-rounds 5] [-scale 1] [-scenarios name,name] [-memory=false] [-out folder]
//	go run ./bench -profile builtin -scenarios widget
//	go run ./bench -keys 1000000 [-rounds 5] [-out folder]
//	go run ./bench -mixed [-rounds 5] [-scale 1]
//	go run ./bench -fairness
//	go run ./bench -gateways all [-rate 1500] [-rounds 5] [-scale 1]
//	go run ./bench -all [-rounds 5] [-scale 1]
//	go run ./bench -reloads 100 [-streams 1000] [-out folder]
//	go run ./bench -soak 30m [-soak-rate 100] [-out folder]
//
// It prints ratios to plain Caddy, each as the median of all rounds with minimum and maximum, and the project's budgets. No
// absolute time is compared with a budget, so on a busy or slow machine the ranges are wider, but the results are the same. The
// raw figures are written to load.json in the output folder. Linux only: it reads /proc.
//
// The client and the upstream run in subprocesses, which are the same program in another role, so the figures are those of the
// proxy alone. All responses and all requests at the upstream are checked. If one is invalid, bench prints no figures and exits
// with status 1. An exceeded budget does not change the exit status.
//
// With -mixed it sends requests with keys of all kinds of policies at the same time. A limit that does not hold is an error.
//
// With -keys it measures a store of that many keys instead: startup, memory, listing, searching and an update. These are absolute
// times, with budgets that any machine should meet.
//
// With -fairness it measures how much a flood on one key delays another key, and exits with status 1 if that is more than the queue
// allows.
//
// With -reloads it reloads the configuration of plain Caddy and of the gate, with open streams and steady traffic, and counts the
// requests that fail.
//
// With -soak it sends requests at a steady rate while keys, origins, visitors and conversations change, and exits with status 1 if memory
// or latency grow.
//
// With -gateways it compares the CPU time of other programs that check keys: nginx, Envoy, Caddy with forward_auth, LiteLLM. With -rate
// requests have a fixed rate, and latencies, the delay of events and the highest rates are measured, too.
//
// With -all it does both with all programs that this machine has, measures their memory, and appends the tables to bench/RESULTS.md.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// errUsage means that the command line is invalid and that the error has been printed.
var errUsage = errors.New("invalid usage")

func run(ctx context.Context, args []string) error {
	if len(args) == 1 {
		switch args[0] {
		case roleUpstream:
			return serveUpstream(ctx, os.Stdin, os.Stdout)
		case roleLoad:
			return serveLoad(ctx, os.Stdin, os.Stdout)
		case roleKeys:
			return serveKeys(ctx, os.Stdin, os.Stdout)
		case roleAuth:
			return serveAuth(ctx, os.Stdin, os.Stdout)
		case roleBare:
			return serveBare(ctx)
		}
	}
	o, err := parseOptions(args, os.Stderr)
	if err != nil {
		return err
	}
	switch {
	case o.keys > 0:
		return runScale(ctx, o, os.Stdout)
	case o.fairness:
		return runFairness(ctx, o, os.Stdout)
	case o.mixed:
		return runMixed(ctx, o, os.Stdout)
	}
	w, err := openEnv(ctx, o)
	if err != nil {
		return err
	}
	defer w.close()
	if o.profile != "" {
		return w.takeProfile(ctx)
	}
	if o.reloads > 0 {
		return w.runReloads(ctx, os.Stdout)
	}
	if o.soak > 0 {
		return w.runSoak(ctx, os.Stdout)
	}
	if o.all {
		return w.runAll(ctx, os.Stdout)
	}
	if o.gateways != nil {
		return w.runGateways(ctx, o.gateways, os.Stdout)
	}
	report := newReport(o)
	if err := w.compare(ctx, report); err != nil {
		return err
	}
	report.printLoad(os.Stdout)
	if o.memory {
		if err := w.compareMemory(ctx, report); err != nil {
			return err
		}
		report.printMemory(os.Stdout)
	}
	return report.save(o.out)
}

// options are the parsed command line.
type options struct {
	rounds      int
	scale       float64
	connections int
	procs       int
	streams     int
	scenarios   []scenario
	memory      bool
	profile     proxyMode
	keys        int
	database    string // of -keys
	mixed       bool
	fairness    bool
	reloads     int
	rate        float64 // of -gateways
	all         bool
	soak        time.Duration
	soakRate    float64
	gateways    []gateway
	baseline    string // the binary of the gateway "baseline"
	out         string
}

// modes returns how many of the options are set that replace the comparison.
func (o *options) modes() int {
	n := 0
	for _, set := range []bool{o.keys > 0, o.mixed, o.fairness, o.reloads > 0, o.soak > 0, o.gateways != nil, o.profile != ""} {
		if set {
			n++
		}
	}
	return n
}

func parseOptions(args []string, stderr io.Writer) (*options, error) {
	o := new(options)
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.rounds, "rounds", 5, "number of rounds")
	flags.Float64Var(&o.scale, "scale", 1, "factor for the number of requests per round")
	flags.IntVar(&o.connections, "connections", 16, "number of client connections, each with one request at a time")
	flags.IntVar(&o.procs, "gomaxprocs", 2, "GOMAXPROCS of the proxies")
	flags.IntVar(&o.streams, "streams", 1000, "number of open streams for the measurements of memory and reloads")
	flags.BoolVar(&o.memory, "memory", true, "measure the memory of an open stream")
	flags.StringVar(&o.out, "out", "", "output folder (default .cache/bench in the project)")
	names := flags.String("scenarios", "", "comma-separated list of scenarios to run: "+strings.Join(scenarioNames(), ","))
	flags.StringVar(&o.database, "database", "", "with -keys: URI of a PostgreSQL database for the store, in place of a file; without a password")
	flags.IntVar(&o.keys, "keys", 0, "instead of comparing, measure a store of this many keys, for example 1000000")
	flags.BoolVar(&o.mixed, "mixed", false, "instead of comparing, check the limits of keys with all kinds of policies under load")
	flags.BoolVar(&o.fairness, "fairness", false, "instead of comparing, measure how much a flood on one key delays another")
	flags.IntVar(&o.reloads, "reloads", 0, "instead of comparing, reload the configuration so many times, for example 100")
	flags.DurationVar(&o.soak, "soak", 0, "instead of comparing, send requests at a steady rate for this long, for example 30m")
	flags.Float64Var(&o.soakRate, "soak-rate", 100, "with -soak: requests per second")
	flags.Float64Var(&o.rate, "rate", 0, "with -gateways: requests per second, for example 1500; default: as many as possible")
	flags.BoolVar(&o.all, "all", false, "instead of comparing with plain Caddy, measure everything with all other programs, and append it to bench/RESULTS.md")
	others := flags.String("gateways", "", "instead of comparing with plain Caddy, compare with other programs: all, or a comma-separated list")
	flags.StringVar(&o.baseline, "baseline", "", "with -gateways: another build of docsgate, for \"-gateways builtin,baseline\"")
	profile := flags.String("profile", "", "instead of comparing, profile one proxy: plain, builtin or reverse_proxy")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, errUsage
	}
	var err error
	if o.scenarios, err = findScenarios(*names); err != nil {
		return nil, err
	}
	if *others != "" {
		if o.gateways, err = findGateways(*others); err != nil {
			return nil, err
		}
	}
	if o.all {
		o.rate = cmp.Or(o.rate, 1500)
		if o.gateways == nil {
			o.gateways = allGateways()
		}
	}
	o.profile = proxyMode(*profile)
	switch {
	case flags.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.rounds < 1 || o.scale <= 0 || o.connections < 1 || o.procs < 1 || o.streams < 1 || o.keys < 0 || o.reloads < 0 || o.rate < 0 ||
		o.soak < 0 || o.soakRate <= 0:
		return nil, errors.New("numbers must be greater than zero")
	case o.keys > 0 && o.keys < max(1000, o.rounds):
		return nil, errors.New("-keys must be at least 1000, and at least the number of rounds")
	case o.rate > 0 && o.gateways == nil:
		return nil, errors.New("-rate needs -gateways")
	case (o.baseline == "") == slices.ContainsFunc(o.gateways, func(g gateway) bool { return g.mode == baseline }):
		return nil, errors.New("-gateways baseline needs -baseline, and the other way round")
	case o.modes() > 1:
		return nil, errors.New("-keys, -mixed, -fairness, -reloads, -soak, -gateways and -profile are mutually exclusive")
	case o.profile != "" && !o.profile.isValid():
		return nil, fmt.Errorf("unknown proxy %q: choose from plain, builtin, reverse_proxy", o.profile)
	}
	return o, nil
}
