package initcmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
)

// maxAttempts is how often a question is repeated after invalid input.
const maxAttempts = 5

// questions asks an operator at a terminal.
type questions struct {
	ctx context.Context //nolint:containedctx // of the one command that asks
	in  *bufio.Reader
	out io.Writer
}

// ask prints a question until accept returns no error for the input. Empty input is the default value, which may be empty.
func (q *questions) ask(question, value string, accept func(string) error) error {
	for range maxAttempts {
		fmt.Fprint(q.out, question)
		if value != "" {
			fmt.Fprintf(q.out, " [%s]", terminal.Sanitize(value))
		}
		fmt.Fprint(q.out, ": ")
		line, err := q.readLine()
		if err != nil {
			return err
		}
		if line == "" {
			line = value
		}
		if err = accept(line); err == nil {
			return nil
		}
		fmt.Fprintln(q.out, "  "+terminal.Sanitize(err.Error())+".")
	}
	return errors.New("too many invalid values")
}

// readLine returns a line without surrounding spaces. It ends with an error when the input ends or the context is canceled.
func (q *questions) readLine() (string, error) {
	type result struct {
		line string
		err  error
	}
	read := make(chan result, 1)
	go func() {
		line, err := q.in.ReadString('\n')
		read <- result{line, err}
	}()
	select {
	case <-q.ctx.Done():
		fmt.Fprintln(q.out)
		return "", errors.New("interrupted; nothing was written")
	case r := <-read:
		if r.err != nil {
			fmt.Fprintln(q.out)
			return "", errors.New("the input ended; nothing was written")
		}
		return strings.TrimSpace(r.line), nil
	}
}

func (q *questions) upstream(found string) (address string, err error) {
	err = q.ask("Address of DocsGPT", found, func(line string) (err error) {
		if line == "" {
			return errors.New("write the address of DocsGPT as http://host:port")
		}
		address, err = checkUpstream(line)
		return err
	})
	return address, err
}

func (q *questions) site(value string) (text string, err error) {
	err = q.ask("Address of the gate for clients, a domain name or a URL on this machine", value, func(line string) error {
		text = line
		_, err := parseSite(line)
		return err
	})
	return text, err
}

// feedChoices are the values of the question for feeds.
var feedChoices = map[string][]string{
	"1": {feedDocsGPT}, "2": {feedStore}, "3": {feedDocsGPT, feedStore},
	feedDocsGPT: {feedDocsGPT}, feedStore: {feedStore}, "both": {feedDocsGPT, feedStore},
}

func (q *questions) feeds() (feeds []string, err error) {
	const question = "Keys: 1 those that DocsGPT has created, 2 those that the gate issues, 3 both"
	err = q.ask(question, "3", func(line string) error {
		var known bool
		if feeds, known = feedChoices[strings.ToLower(line)]; !known {
			return errors.New("write 1, 2 or 3")
		}
		return nil
	})
	return feeds, err
}
