package commands

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

	"github.com/docsgate/docsgate/doctor"
)

// exitNothingChecked is the exit status of "docsgate doctor" if nothing could be examined. It is promised in its help.
const exitNothingChecked = 3

// doctorOptions are the flags of the doctor.
type doctorOptions struct {
	connFlags
	doctor.Options
	keyFile  string
	keyStdin bool
	json     bool
}

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "doctor",
		Short: "Examines a deployment and says how to mend it",
		Long: `
Examines a deployment of the gate, from inside and from outside, and prints what is wrong with it and how to mend it.

From inside: whether the configuration loads, the feeds can be read and hold keys, logs keep keys out, and the admin
endpoint and the console are protected. From outside: whether DocsGPT answers, in the configured version, and not past the
gate; whether the gate answers at --url, refuses what it must, and whether what it says reaches clients as it is: errors,
CORS, streams. It changes nothing, writes nothing, and starts nothing.

With a key it also asks a few questions, which cost what questions cost. The key comes on the standard input (--key-stdin)
or in a file (--key-file), never on the command line. With --source and --canary it tries to get a text out of a source that
the key must not reach. With --page it looks at the widget of a page.

The page docs/doctor.md tells about each finding.

Exit status: 0 no failures; 1 failures; 2 wrong use of the command; 3 nothing could be examined.`,
		CobraFunc: setUpDoctor,
	})
}

func setUpDoctor(cmd *cobra.Command) {
	cmd.Use = "doctor [flags]"
	cmd.Example = `  $ docsgate doctor
  $ docsgate doctor --config /etc/caddy/Caddyfile --url https://ask.example.com --key-stdin < token.txt
  $ docsgate doctor --url https://ask.example.com --backend ask.example.com:7091 --page https://docs.example.com/
  $ docsgate doctor --url https://ask.example.com --key-file token.txt --source ID --canary "walrus 7391" --json`
	var o doctorOptions
	flags := cmd.Flags()
	flags.StringVarP(&o.config, "config", "c", "", "Configuration of the gate (default: the Caddyfile in this folder)")
	flags.StringVarP(&o.adapter, "adapter", "a", "", "Name of the config adapter to apply to it")
	flags.StringVar(&o.address, "address", "", "Address of the admin endpoint of the running gate (default: the configuration's)")
	flags.StringVar(&o.URL, "url", "", "Address of the gate, as clients reach it, such as https://ask.example.com")
	flags.BoolVar(&o.keyStdin, "key-stdin", false, "Read a token of the gate from the standard input, and ask with it")
	flags.StringVar(&o.keyFile, "key-file", "", "Read a token of the gate from a file, and ask with it")
	flags.StringVar(&o.Source, "source", "", "Id of a source that the key must not reach; needs --canary")
	flags.StringVar(&o.Canary, "canary", "", "A text that only stands in that source")
	flags.StringVar(&o.Question, "question", "", "A question that this text answers (default: one for everything)")
	flags.StringVar(&o.Page, "page", "", "Address of the page that the widget is on")
	flags.StringArrayVar(&o.Backends, "backend", nil, "An address, host:port, at which DocsGPT must not answer; may be repeated")
	flags.BoolVar(&o.json, "json", false, "Print the findings as JSON")
	cmd.SetFlagErrorFunc(flagError)
	cmd.Args = arguments(0, 0, "the doctor takes flags only; see --help")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err := o.run(ctx, cmd)
		if errors.Is(err, errFindings) { // all was said
			cmd.SilenceErrors = true
			return err
		}
		return exit(cmd, err)
	}
}

func (o *doctorOptions) run(ctx context.Context, cmd *cobra.Command) error {
	if err := o.check(); err != nil {
		return &exitError{exitUsage, err}
	}
	if err := o.readKey(cmd); err != nil {
		return &exitError{exitUsage, err}
	}
	facts, err := o.facts(ctx)
	if err != nil {
		return err
	}
	if facts.Config == "" && o.URL == "" && o.Page == "" && len(o.Backends) == 0 {
		return failf(exitNothingChecked, "there is nothing to examine: name the configuration with --config, or the gate with --url")
	}
	report := doctor.Examine(ctx, facts, o.Options)
	if err := ctx.Err(); err != nil {
		return failf(exitNothingChecked, "the examination was interrupted")
	}
	out := cmd.OutOrStdout()
	if o.json {
		err = printFindingsJSON(out, report)
	} else {
		err = printFindings(out, report, colourful(out))
	}
	if err != nil {
		return fmt.Errorf("printing the findings: %w", err)
	}
	if report.Count(doctor.Failure) > 0 {
		return errFindings
	}
	return nil
}

// errFindings ends the command with status 1, as every error does that is not told another.
var errFindings = errors.New("there are failures")

// check refuses what cannot be meant.
func (o *doctorOptions) check() error {
	for name, text := range map[string]string{"--url": o.URL, "--page": o.Page} {
		if text == "" {
			continue
		}
		u, err := url.Parse(text)
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
			return fmt.Errorf("%s: write an address with http or https, such as https://ask.example.com", name)
		case u.User != nil:
			return fmt.Errorf("%s: leave the user and the password out of the address", name)
		case name == "--url" && (u.RawQuery != "" || u.Fragment != ""):
			return fmt.Errorf("%s: leave out what follows the path", name)
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
		return errors.New("--key-stdin and --key-file exclude each other")
	case (o.Source == "") != (o.Canary == ""):
		return errors.New("--source and --canary go together: a source that the key must not reach, and a text that only " +
			"stands there")
	case o.Source != "" && !o.keyStdin && o.keyFile == "":
		return errors.New("--source needs a key: give it with --key-stdin or --key-file")
	}
	return nil
}

func (o *doctorOptions) readKey(cmd *cobra.Command) (err error) {
	switch {
	case o.keyStdin:
		o.Key, err = readToken(cmd.InOrStdin(), cmd.ErrOrStderr())
	case o.keyFile != "":
		f, openErr := os.Open(o.keyFile)
		if openErr != nil {
			return fmt.Errorf("reading the key: %w", openErr)
		}
		defer f.Close()
		if o.Key, err = readToken(f, cmd.ErrOrStderr()); err != nil {
			err = fmt.Errorf("reading the key of --key-file: %w", err)
		}
	}
	return err
}
