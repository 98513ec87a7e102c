package commands

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/docsgate/docsgate/keys"
)

// maxTokenBytes is the longest token that the gate looks at.
const maxTokenBytes = 512

var errOnCommandLine = errors.New("the token does not go onto the command line, where it would stay in the history of " +
	"the shell and show in the list of processes: pipe it into this command, or start it without arguments and type it")

func hashCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hash",
		Short: "Prints what belongs into sha256 of a key file",
		Long: `
Reads one token from the standard input and prints its SHA-256, in lower-case hex digits, which is what belongs into the
member sha256 of a key in a key file. A line end behind the token does not count. At a terminal it asks for the token and
does not show it.

The token itself is never printed, and never taken from the command line.`,
		Example: `  $ docsgate keys hash < token.txt
  $ pass show docs-site | docsgate keys hash
  $ docsgate keys hash
  Token: `,
		Args: usageError(refuseArguments(errOnCommandLine.Error())),
		RunE: func(cmd *cobra.Command, _ []string) error {
			token, err := readToken(cmd.InOrStdin(), cmd.ErrOrStderr())
			if err != nil {
				return exit(cmd, &exitError{exitUsage, err})
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), keys.DigestOf(token).Hex())
			return err
		},
	}
	// pflag repeats what it does not know, and a token may begin with a dash.
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, _ error) error {
		return exit(cmd, &exitError{exitUsage, errOnCommandLine})
	})
	return cmd
}

// promptText is what is said about a kind of secret that is read.
type promptText struct{ prompt, one, none string }

var (
	theToken    = promptText{"Token: ", "the token", "no token"}
	theAgentKey = promptText{"DocsGPT key: ", "the DocsGPT key", "no DocsGPT key"}
)

// readToken reads one token from in; if that is a terminal, it asks on prompt. Its errors never repeat what was read.
func readToken(in io.Reader, prompt io.Writer) (string, error) {
	return readSecret(in, prompt, theToken)
}

// readSecret is readToken for any kind of secret that DocsGPT or the gate takes for a key.
func readSecret(in io.Reader, prompt io.Writer, what promptText) (string, error) {
	read := func() ([]byte, error) { return io.ReadAll(io.LimitReader(in, maxTokenBytes+3)) } // with a line end, and one more
	if f, isFile := in.(*os.File); isFile && term.IsTerminal(int(f.Fd())) {
		read = func() ([]byte, error) { return askSecret(int(f.Fd()), prompt, what.prompt) }
	}
	data, err := read()
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", what.one, err)
	}
	if line, ends := bytes.CutSuffix(data, []byte("\n")); ends {
		data = bytes.TrimSuffix(line, []byte("\r"))
	}
	secret := string(data)
	switch {
	case secret == "":
		return "", fmt.Errorf("there is %s on the standard input", what.none)
	case bytes.ContainsAny(data, "\r\n"):
		return "", fmt.Errorf("there is more than one line on the standard input: give %s alone", what.one)
	case len(data) > maxTokenBytes:
		return "", fmt.Errorf("this is longer than %d bytes, which %s is", maxTokenBytes, what.none)
	case !keys.IsValidToken(secret):
		return "", fmt.Errorf("this holds a blank or a character outside of printable ASCII, which %s does", what.none)
	}
	return secret, nil
}

// askSecret asks at a terminal and reads a line that is not shown. An interrupt gives the terminal back as it was.
func askSecret(fd int, prompt io.Writer, question string) ([]byte, error) {
	before, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(interrupted)

	fmt.Fprint(prompt, question)
	defer fmt.Fprintln(prompt)
	type line struct {
		text []byte
		err  error
	}
	typed := make(chan line, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		typed <- line{text, err}
	}()
	select {
	case l := <-typed:
		return l.text, l.err
	case <-interrupted:
		_ = term.Restore(fd, before)
		return nil, errors.New("interrupted")
	}
}
