// Command bench compares the gate with plain Caddy: how much CPU time and memory the one binary takes as a plain
// reverse_proxy without a gate, as the gate with its own forwarding, and as the gate in front of reverse_proxy.
//
//	go run ./bench [-rounds 5] [-scale 1] [-kinds name,name] [-memory=false] [-out folder]
//	go run ./bench -profile own -kinds widget
//	go run ./bench -keys 1000000 [-rounds 5] [-out folder]
//
// It prints ratios to plain Caddy, each as the median of all rounds with the lowest and the highest, and the project's
// budgets beside them. No time is judged by itself, so a busy or slow machine gives wider ranges, not other results. The
// raw figures go to load.json in the output folder. It needs Linux, for /proc.
//
// The client and the upstream run in processes of their own (the same program in another role), so that what is
// measured is the proxy alone. All answers are checked, and so is what reached the upstream: if one is wrong there are
// no figures and the exit status is 1. A budget that is not met changes no exit status.
//
// With -keys it shows in place of all that what a store of so many keys takes: the start, memory, listing and searching,
// and a change. Those are times of this machine, beside budgets that any should meet.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
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

// errUsage says that the command line is wrong and that the reader has been told so.
var errUsage = errors.New("wrong usage")

func run(ctx context.Context, args []string) error {
	if len(args) == 1 {
		switch args[0] {
		case roleUpstream:
			return serveUpstream(ctx, os.Stdin, os.Stdout)
		case roleLoad:
			return serveLoad(ctx, os.Stdin, os.Stdout)
		case roleKeys:
			return serveKeys(ctx, os.Stdin, os.Stdout)
		}
	}
	o, err := parseOptions(args, os.Stderr)
	if err != nil {
		return err
	}
	if o.keys > 0 {
		return showScale(ctx, o, os.Stdout)
	}
	w, err := openWorld(ctx, o)
	if err != nil {
		return err
	}
	defer w.close()
	if o.profile != "" {
		return w.takeProfile(ctx)
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

// options are what the command line says.
type options struct {
	rounds      int
	scale       float64
	connections int
	procs       int
	streams     int
	kinds       []kind
	memory      bool
	profile     proxyKind
	keys        int
	out         string
}

func parseOptions(args []string, stderr io.Writer) (*options, error) {
	o := new(options)
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.rounds, "rounds", 5, "how often each is measured")
	flags.Float64Var(&o.scale, "scale", 1, "factor for the number of requests a round")
	flags.IntVar(&o.connections, "connections", 16, "connections of the client, each with one request at a time")
	flags.IntVar(&o.procs, "gomaxprocs", 2, "GOMAXPROCS of the proxies")
	flags.IntVar(&o.streams, "streams", 1000, "open streams when memory is measured")
	flags.BoolVar(&o.memory, "memory", true, "measure memory for each open stream")
	flags.StringVar(&o.out, "out", "", "output folder (default .cache/bench in the project)")
	names := flags.String("kinds", "", "only these kinds of requests: "+strings.Join(kindNames(), ","))
	flags.IntVar(&o.keys, "keys", 0, "instead of comparing, show what a store of so many keys takes, say 1000000")
	profile := flags.String("profile", "", "instead of comparing, profile one proxy: plain, own or via")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, errUsage
	}
	var err error
	if o.kinds, err = findKinds(*names); err != nil {
		return nil, err
	}
	o.profile = proxyKind(*profile)
	switch {
	case flags.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.rounds < 1 || o.scale <= 0 || o.connections < 1 || o.procs < 1 || o.streams < 1 || o.keys < 0:
		return nil, errors.New("numbers must be above zero")
	case o.keys > 0 && o.keys < max(1000, o.rounds):
		return nil, errors.New("a store of many keys has 1000 at least")
	case o.keys > 0 && o.profile != "":
		return nil, errors.New("-keys and -profile do not go together")
	case o.profile != "" && !o.profile.known():
		return nil, fmt.Errorf("unknown proxy %q: known are plain, own, via", o.profile)
	}
	return o, nil
}
