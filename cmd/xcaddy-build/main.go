// Command xcaddy-build builds Caddy with the modules in a manifest, xcaddy.toml. It is xcaddy with a file instead of flags, so that
// a build can be reviewed and reproduced.
//
//	go run ./cmd/xcaddy-build [-config xcaddy.toml] [-output bin/caddy] [-race]
//
// GOOS, GOARCH and GOARM select the target platform, as for the go command.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "xcaddy-build:", err)
		os.Exit(1)
	}
}

// errUsage means that the command line is invalid and that the error has been printed.
var errUsage = errors.New("invalid usage")

// run does one build. The xcaddy library writes the progress of the build to the standard streams of the process, not to stdout
// and stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("xcaddy-build", flag.ContinueOnError)
	flags.SetOutput(stderr)
	config := flags.String("config", "xcaddy.toml", "the build manifest")
	output := flags.String("output", filepath.Join("bin", "caddy"), "the binary to write")
	race := flags.Bool("race", false, "build with the race detector (needs a C compiler)")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return errUsage
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "unexpected argument %q: xcaddy-build accepts only flags\n", flags.Arg(0))
		flags.Usage()
		return errUsage
	}

	manifest, err := ReadManifest(*config)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(*output), 0o755); err != nil {
		return fmt.Errorf("creating the folder for %s: %w", *output, err)
	}
	scratch, err := os.MkdirTemp("", "xcaddy-build-")
	if err != nil {
		return fmt.Errorf("creating a temporary folder: %w", err)
	}
	defer os.RemoveAll(scratch)
	builder, err := manifest.Builder(scratch)
	if err != nil {
		return err
	}
	builder.RaceDetector = *race
	if err := builder.Build(ctx, *output); err != nil {
		return fmt.Errorf("building Caddy %s from %s (the go command's output is above): %w", manifest.Caddy, *config, err)
	}
	fmt.Fprintf(stdout, "built %s: Caddy %s with %d modules from %s\n",
		*output, manifest.Caddy, len(manifest.Modules), *config)
	return nil
}
