package initcmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/docsgate/docsgate/cmd/commands/doctorcmd"
	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
)

// options are the flags of "docsgate init".
type options struct {
	upstream    string
	site        string
	feeds       []string // empty: choose by what was found
	postgresURI string
	docsgptDirs []string // empty: the usual folders
	output      string
	yes, dryRun bool

	program string // as it was called, for the next steps
}

// Command returns the subcommand "init".
func Command() caddycmd.Command {
	return caddycmd.Command{
		Name:  "init",
		Short: "Write a configuration for the DocsGPT on this machine",
		Long: `
Write a Caddyfile for a gate in front of a DocsGPT, and an env file for its secret, the address of DocsGPT's database.

DocsGPT is searched at port 7091 of this machine, and by the .env and compose files in the current folder, in DOCSGPT_HOME, in
~/.docsgpt/server and in /opt/docsgpt, where "docsgpt up" keeps them. At a terminal the command asks up to three questions: the
address of DocsGPT, the address of the gate for clients, and where keys come from. Flags answer them beforehand. The configuration
is validated before it is written, and "docsgate doctor" checks it afterwards.

Existing files are never overwritten. The command changes nothing in DocsGPT, and sends it only requests without a credential.

An address of the database with a password is never passed as a flag; set the environment variable DOCSGPT_POSTGRES_URI to it.

Exit status: 0 the files are written; 1 failure, such as a configuration that does not load; 2 usage error; 4 a file exists;
5 no DocsGPT or no database was found.`,
		CobraFunc: setUp,
	}
}

func setUp(cmd *cobra.Command) {
	cmd.Use = "init [flags]"
	cmd.Example = `  $ docsgate init
  $ docsgate init --site ask.example.com --yes
  $ docsgate init --docsgpt-dir ~/DocsGPT --feed docsgpt,store
  $ docsgate init --upstream http://10.0.0.7:7091 --feed store --dry-run`
	o := options{program: os.Args[0]}
	o.addFlags(cmd.Flags())
	cmd.SetFlagErrorFunc(cli.FlagError)
	cmd.Args = cli.Args(0, 0, "this command takes no arguments, only flags; see --help")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return cli.Exit(cmd, o.run(ctx, cmd))
	}
}

func (o *options) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.upstream, "upstream", "", "Address of DocsGPT, such as http://localhost:7091 (default: the one that is found)")
	flags.StringVar(&o.site, "site", "", "Address of the gate for clients: a domain name, which gets HTTPS automatically, or a URL (default: http://localhost:8080)")
	flags.StringSliceVar(&o.feeds, "feed", nil, "Where keys come from: docsgpt (DocsGPT's database), store (keys that the gate issues), or both, separated by a comma "+
		"(default: both, or store without a database)")
	flags.StringVar(&o.postgresURI, "postgres-uri", "", "Address of DocsGPT's database, without a password (default: DOCSGPT_POSTGRES_URI, or the one that is found)")
	flags.StringArrayVar(&o.docsgptDirs, "docsgpt-dir", nil, "Folder with DocsGPT's .env or compose file, in place of the usual ones; may be repeated")
	flags.StringVarP(&o.output, "output", "o", ".", "Folder of the new files")
	flags.BoolVarP(&o.yes, "yes", "y", false, "Ask nothing: use the flags, then what is found, then the defaults")
	flags.BoolVar(&o.dryRun, "dry-run", false, "Print the Caddyfile to standard output, and write nothing")
}

func (o *options) run(ctx context.Context, cmd *cobra.Command) error {
	if err := o.check(); err != nil {
		return cli.WithStatus(cli.ExitUsage, err)
	}
	files := filesIn(o.output)
	if !o.dryRun {
		if err := files.checkNew(); err != nil {
			return err
		}
	}
	var ask *questions
	if in := cmd.InOrStdin(); !o.yes && terminal.IsTerminal(in) {
		ask = &questions{ctx: ctx, in: bufio.NewReader(in), out: cmd.ErrOrStderr()}
	}
	c, err := o.plan(ctx, ask, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	caddyfile := c.caddyfile()
	if err := c.validate(caddyfile, files.caddyfile); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if o.dryRun {
		fmt.Fprintf(cmd.ErrOrStderr(), "\nThe files are not written. %s would be:\n\n", files.caddyfile)
		fmt.Fprint(cmd.OutOrStdout(), caddyfile)
		if c.postgresURI != "" {
			fmt.Fprintf(cmd.ErrOrStderr(), "\n%s would have DocsGPT's database, %s.\n", files.env, terminal.Sanitize(redacted(c.postgresURI)))
		}
		return nil
	}
	if err := files.write(caddyfile, c.envFile()); err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "\nWrote %s", files.caddyfile)
	if c.postgresURI != "" {
		fmt.Fprintf(out, ", and %s, which only you can read", files.env)
	}
	fmt.Fprint(out, ".\n\nThe doctor checks the configuration. The gate does not run yet.\n\n")
	if err := doctorcmd.CheckNew(ctx, out, files.caddyfile); err != nil {
		return err
	}
	fmt.Fprint(out, c.nextSteps(files, quoted(o.program)))
	return nil
}

// check returns an error for an invalid value of a flag.
func (o *options) check() error {
	if o.upstream != "" {
		if _, err := checkUpstream(o.upstream); err != nil {
			return fmt.Errorf("--upstream: %w", err)
		}
	}
	if o.site != "" {
		if _, err := parseSite(o.site); err != nil {
			return fmt.Errorf("--site: %w", err)
		}
	}
	for _, feed := range o.feeds {
		if feed != feedDocsGPT && feed != feedStore {
			return errors.New("--feed: write docsgpt, store, or docsgpt,store")
		}
	}
	if o.postgresURI != "" {
		switch u, err := parsePostgresURI(o.postgresURI); {
		case err != nil:
			return fmt.Errorf("--postgres-uri: %w", err)
		case hasPassword(u):
			return errors.New("--postgres-uri: a password must not be on the command line, where it stays in the shell history and is " +
				"visible in the process list: set the environment variable " + uriVariable + " to the address instead")
		}
	}
	if strings.TrimSpace(o.output) == "" {
		return errors.New("--output: name a folder")
	}
	return nil
}
