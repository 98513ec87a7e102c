package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/visitortoken"
)

// maxTokenBytes is the maximum length of a token that the gate accepts, other than a signed token of a visitor.
const maxTokenBytes = 512

// secretTexts are the texts about a kind of secret that is read.
type secretTexts struct{ prompt, the, no string }

// ReadToken reads one token of the gate from in, which may be a signed token of a visitor. If in is a terminal, it prompts on prompt and turns echo off. Its errors never
// contain the input.
func ReadToken(in io.Reader, prompt io.Writer) (string, error) {
	return readSecret(in, prompt, secretTexts{"Token: ", "the token", "no token"})
}

// ReadAgentKey is like ReadToken, for a key of DocsGPT.
func ReadAgentKey(in io.Reader, prompt io.Writer) (string, error) {
	return readSecret(in, prompt, secretTexts{"DocsGPT key: ", "the DocsGPT key", "no DocsGPT key"})
}

// ReadSignSecret is like ReadToken, for a secret that signs tokens of visitors.
func ReadSignSecret(in io.Reader, prompt io.Writer) (string, error) {
	return readSecret(in, prompt, secretTexts{"Secret for signing: ", "the secret for signing", "no secret for signing"})
}

func readSecret(in io.Reader, prompt io.Writer, what secretTexts) (string, error) {
	// A CR LF, and 1 to notice that it is too long.
	read := func() ([]byte, error) { return io.ReadAll(io.LimitReader(in, visitortoken.MaxLength+3)) }
	if f, isFile := in.(*os.File); isFile && terminal.IsTerminal(f) {
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
	case visitortoken.HasTokenForm(secret):
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
