package commands

import (
	"fmt"
	"io"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
)

// explained are Caddy's commands that load a configuration, with the beginning of the sentence about their errors.
var explained = map[string]string{
	"adapt":    "The configuration is not valid: ",
	"reload":   "The configuration was not loaded: ",
	"run":      "docsgate did not start: ",
	"start":    "docsgate did not start: ",
	"stop":     "docsgate was not stopped: ",
	"validate": "The configuration is not valid: ",
}

// explaining returns a command that also lets Caddy's commands end with a sentence about their error. Caddy only logs the error, at
// the end of a line with all steps before it. A command gets the others only when one of them runs.
func explaining(command caddycmd.Command) caddycmd.Command {
	setUp := command.CobraFunc
	command.CobraFunc = func(cmd *cobra.Command) {
		setUp(cmd)
		cobra.OnInitialize(func() { explainErrors(cmd.Root()) })
	}
	return command
}

func explainErrors(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		begin, run := explained[cmd.Name()], cmd.RunE
		if begin == "" || run == nil {
			continue
		}
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			err := run(cmd, args)
			if err != nil {
				printExplanation(cmd.ErrOrStderr(), begin, err.Error())
			}
			return err
		}
	}
}

// printExplanation prints the cause of an error and what to do, on one line.
func printExplanation(w io.Writer, begin, text string) {
	reason, fix := cli.Explain(text)
	if fix != "" {
		fix = " " + fix
	}
	fmt.Fprintf(w, "\n%s%s.%s\n", begin, strings.TrimRight(terminal.Sanitize(reason), "."), fix)
}
