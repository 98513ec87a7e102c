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

// maxTokenBytes is the maximum length of a token that the gate accepts.
const maxTokenBytes = 512

var errOnCommandLine = errors.New("the token must not be on the command line, where it stays in the shell history and is " +
	"visible in the process list: pipe it into this command, or run the command without arguments and type it")

func hashCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hash",
		Short: "Print the SHA-256 of a token for a key file",
		Long: `
Read one token from standard input and print its SHA-256 in lower-case hex digits, which is the value of the field sha256 of a
key in a key file. One line end after the token is ignored. At a terminal the command prompts for the token and does not echo it.

The token itself is never printed, and never read from the command line.`,
		Example: `  $ docsgate keys hash < token.txt
  $ pass show docs-site | docsgate keys hash
  $ docsgate keys hash
  Token: `,
		Args: usageError(rejectArguments(errOnCommandLine.Error())),
		RunE: func(cmd *cobra.Command, _ []string) error {
			token, err := readToken(cmd.InOrStdin(), cmd.ErrOrStderr())
			if err != nil {
				return exit(cmd, &exitError{exitUsage, err})
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), keys.DigestOf(token).Hex())
			return err
		},
	}
	// pflag quotes unknown flags, and a token may begin with a dash.
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, _ error) error {
		return exit(cmd, &exitError{exitUsage, errOnCommandLine})
	})
	return cmd
}

// promptText holds the texts about a kind of secret that is read.
type promptText struct{ prompt, the, no string }

var (
	theToken    = promptText{"Token: ", "the token", "no token"}
	theAgentKey = promptText{"DocsGPT key: ", "the DocsGPT key", "no DocsGPT key"}
)

// readToken reads one token from in. If in is a terminal, it prompts on prompt and turns echo off. Its errors never contain the
// input.
func readToken(in io.Reader, prompt io.Writer) (string, error) {
	return readSecret(in, prompt, theToken)
}

// readSecret is like readToken, for a token of the gate or a key of DocsGPT.
func readSecret(in io.Reader, prompt io.Writer, what promptText) (string, error) {
	read := func() ([]byte, error) { return io.ReadAll(io.LimitReader(in, maxTokenBytes+3)) } // a CR LF, and 1 to notice that it is too long
	if f, isFile := in.(*os.File); isFile && term.IsTerminal(int(f.Fd())) {
		read = func() ([]byte, error) { return askSecret(int(f.Fd()), prompt, what.prompt) }
	}
	data, err := read()
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", what.the, err)
	}
	if line, ends := bytes.CutSuffix(data, []byte("\n")); ends {
		data = bytes.TrimSuffix(line, []byte("\r"))
	}
	secret := string(data)
	switch {
	case secret == "":
		return "", fmt.Errorf("standard input contains %s", what.no)
	case bytes.ContainsAny(data, "\r\n"):
		return "", fmt.Errorf("standard input has more than one line: pass only %s", what.the)
	case len(data) > maxTokenBytes:
		return "", fmt.Errorf("the input is longer than %d bytes, which %s is", maxTokenBytes, what.no)
	case !keys.IsValidToken(secret):
		return "", fmt.Errorf("the input contains a space or a character that is not printable ASCII, which %s does", what.no)
	}
	return secret, nil
}

// askSecret prompts at a terminal and reads a line without echo. SIGINT and SIGTERM restore the terminal and return an error.
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
