package doctorcmd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/doctor"
)

// exitNothingChecked is the exit status of "docsgate doctor" if nothing could be checked, as documented in its help.
const exitNothingChecked = 3

// options are the flags of "docsgate doctor".
type options struct {
	doctor.Options
	address  string // of the admin endpoint
	config   string // file
	adapter  string
	envFiles []string
	keyFile  string
	keyStdin bool
	json     bool
}

// Command returns the subcommand "doctor".
func Command() caddycmd.Command {
	return caddycmd.Command{
		Name:  "doctor",
		Short: "Check a deployment and report how to fix it",
		Long: `
Check a deployment of the gate, from inside and from outside, and print each problem with its fix.

From inside: whether the configuration loads, the feeds can be read and have keys, logs contain no keys, and the admin endpoint
and the console are protected. From outside: whether DocsGPT answers, has the configured version, and is not reachable without
the gate; whether the gate responds at --url and rejects invalid requests; and whether its error responses, CORS headers and
streams reach clients unchanged. The doctor does not modify, write or start anything.

With a key, the doctor also asks up to nine questions, which DocsGPT's model answers at its usual cost. The key is read from
standard input (--key-stdin) or a file (--key-file), never from the command line. With --source and --canary the doctor tries
to read a text of a source that the key must not reach. With --page it checks the settings of the widget on a page.

The page docs/doctor.md describes each finding.

Exit status: 0 no failures; 1 failures; 2 usage error; 3 nothing could be checked.`,
		CobraFunc: setUp,
	}
}

func setUp(cmd *cobra.Command) {
	cmd.Use = "doctor [flags]"
	cmd.Example = `  $ docsgate doctor
  $ docsgate doctor --config /etc/docsgate/Caddyfile --envfile /etc/docsgate/env
  $ docsgate doctor --config /etc/caddy/Caddyfile --url https://ask.example.com --key-stdin < token.txt
  $ docsgate doctor --url https://ask.example.com --backend ask.example.com:7091 --page https://docs.example.com/
  $ docsgate doctor --url https://ask.example.com --key-file token.txt --source ID --canary "walrus 7391" --json`
	var o options
	flags := cmd.Flags()
	flags.StringVarP(&o.config, "config", "c", "", "Configuration file of the gate (default: the Caddyfile in the current directory)")
	flags.StringVarP(&o.adapter, "adapter", "a", "", "Name of the config adapter to apply to the configuration file")
	flags.StringSliceVar(&o.envFiles, "envfile", nil, "Environment file to load, as for docsgate run; may be repeated")
	flags.StringVar(&o.address, "address", "", "Address of the running gate's admin endpoint (default: the one in the configuration)")
	flags.StringVar(&o.URL, "url", "", "Address of the gate for clients, such as https://ask.example.com (default: its site in the configuration, on this machine)")
	flags.BoolVar(&o.keyStdin, "key-stdin", false, "Read a token of the gate from standard input, and ask questions with it")
	flags.StringVar(&o.keyFile, "key-file", "", "Read a token of the gate from a file, and ask questions with it")
	flags.StringVar(&o.Source, "source", "", "ID of a source that the key must not reach; requires --canary and a key")
	flags.StringVar(&o.Canary, "canary", "", "Text that only that source contains")
	flags.StringVar(&o.Question, "question", "", "Question that this text answers (default: a general question)")
	flags.StringVar(&o.Page, "page", "", "URL of the page with the widget")
	flags.StringArrayVar(&o.Backends, "backend", nil, "Address, host:port, at which DocsGPT must not answer; may be repeated (default port: 7091)")
	flags.BoolVar(&o.json, "json", false, "Print the findings as JSON")
	cmd.SetFlagErrorFunc(cli.FlagError)
	cmd.Args = cli.Args(0, 0, "this command takes no arguments, only flags; see --help")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err := o.run(ctx, cmd)
		if errors.Is(err, errFindings) { // the findings are already printed
			cmd.SilenceErrors = true
			return err
		}
		return cli.Exit(cmd, err)
	}
}

func (o *options) run(ctx context.Context, cmd *cobra.Command) error {
	if err := o.check(); err != nil {
		return cli.WithStatus(cli.ExitUsage, err)
	}
	if err := cli.LoadEnvFiles(o.envFiles); err != nil {
		return cli.WithStatus(cli.ExitUsage, err)
	}
	if err := o.readKey(cmd); err != nil {
		return cli.WithStatus(cli.ExitUsage, err)
	}
	input, err := o.collect(ctx)
	if err != nil {
		return err
	}
	if input.Config == "" && o.URL == "" && o.Page == "" && len(o.Backends) == 0 {
		return cli.Errorf(exitNothingChecked, "there is nothing to check: name the configuration with --config, or the gate with --url")
	}
	report := doctor.Examine(ctx, input, o.Options)
	if err := ctx.Err(); err != nil {
		return cli.Errorf(exitNothingChecked, "interrupted")
	}
	out := cmd.OutOrStdout()
	if o.json {
		err = printFindingsJSON(out, report)
	} else {
		err = printFindings(out, report, useColors(out))
	}
	if err != nil {
		return fmt.Errorf("printing the findings: %w", err)
	}
	if report.Count(doctor.Failure) > 0 {
		return errFindings
	}
	return nil
}

// errFindings makes the command exit with status 1.
var errFindings = errors.New("there are failures")

// check returns an error for an invalid value or combination of flags.
func (o *options) check() error {
	for name, text := range map[string]string{"--url": o.URL, "--page": o.Page} {
		if text == "" {
			continue
		}
		u, err := url.Parse(text)
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
			return fmt.Errorf("%s: write a URL with http or https, such as https://ask.example.com", name)
		case u.User != nil:
			return fmt.Errorf("%s: remove the user name and password from the URL", name)
		case name == "--url" && (u.RawQuery != "" || u.Fragment != ""):
			return fmt.Errorf("%s: remove the query and the fragment from the URL", name)
		}
	}
	for _, address := range o.Backends {
		if address == "" || strings.ContainsAny(address, "/@ ") {
			return errors.New("--backend: write host:port, such as ask.example.com:7091")
		}
	}
	switch {
	case o.adapter != "" && o.config == "":
		return errors.New("--adapter needs --config")
	case o.keyStdin && o.keyFile != "":
		return errors.New("--key-stdin and --key-file are mutually exclusive")
	case (o.Source == "") != (o.Canary == ""):
		return errors.New("--source and --canary must be used together: a source that the key must not reach, and a text that only " +
			"this source contains")
	case o.Source != "" && !o.keyStdin && o.keyFile == "":
		return errors.New("--source requires a key: pass it with --key-stdin or --key-file")
	}
	return nil
}

func (o *options) readKey(cmd *cobra.Command) (err error) {
	switch {
	case o.keyStdin:
		o.Key, err = cli.ReadToken(cmd.InOrStdin(), cmd.ErrOrStderr())
	case o.keyFile != "":
		f, openErr := os.Open(o.keyFile)
		if openErr != nil {
			return fmt.Errorf("reading the key: %w", openErr)
		}
		defer f.Close()
		if o.Key, err = cli.ReadToken(f, cmd.ErrOrStderr()); err != nil {
			err = fmt.Errorf("--key-file: reading the key: %w", err)
		}
	}
	return err
}
