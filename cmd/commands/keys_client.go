package commands

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// maxAnswerBytes is the longest answer that is kept in memory.
const maxAnswerBytes = 64 << 20

// keyView is a key as the API tells it.
type keyView struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Feed     string     `json:"feed"`
	Issued   bool       `json:"issued"`
	Binding  string     `json:"binding"`
	Sources  []string   `json:"sources"`
	Agent    string     `json:"agent"`
	Masked   string     `json:"masked_token"`
	State    string     `json:"state"`
	Problem  string     `json:"unusable_reason"`
	Created  *time.Time `json:"created"`
	Changed  *time.Time `json:"changed"`
	Rotated  *time.Time `json:"rotated"`
	Before   *time.Time `json:"not_before"`
	Expires  *time.Time `json:"expires"`
	OldUntil *time.Time `json:"previous_token_expires"`
	Used     *time.Time `json:"last_used"`
	OldUsed  *time.Time `json:"previous_token_last_used"`
	Requests []uint64   `json:"requests_24h"`
	Token    string     `json:"token"` // only of a key that was just made or rotated
}

// keyAnswer is a key, and the JSON that it was told in.
type keyAnswer struct {
	keyView
	raw json.RawMessage
}

// UnmarshalJSON implements json.Unmarshaler.
func (k *keyAnswer) UnmarshalJSON(data []byte) error {
	k.raw = bytes.Clone(data)
	return json.Unmarshal(data, &k.keyView)
}

// problem is RFC 9457's.
type problem struct {
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
	Errors []struct {
		Field   string `json:"field"`
		Pointer string `json:"pointer"`
		Message string `json:"message"`
	} `json:"errors"`
}

// run is a command that works on a gate. Its error decides the exit status; an interrupt ends ctx.
func (f *connFlags) run(body func(ctx context.Context, g *client, cmd *cobra.Command, args []string) error) func(
	*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		g, err := f.open(ctx, cmd.ErrOrStderr())
		if err != nil {
			return exit(cmd, err)
		}
		err = body(ctx, g, cmd, args)
		if closeErr := g.close(); err == nil && closeErr != nil {
			err = fmt.Errorf("closing the store: %w", closeErr)
		}
		return exit(cmd, err)
	}
}

// call makes a request and reads the JSON of its answer into out. in nil: without a body. A request with an idempotency key
// is made again if the connection broke.
func (g *client) call(ctx context.Context, method, path string, in any, idempotent string, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	data, err := g.doOnce(ctx, method, path, body, idempotent)
	if broken := (*uncertainError)(nil); errors.As(err, &broken) && ctx.Err() == nil &&
		(idempotent != "" || method == http.MethodGet) {
		data, err = g.doOnce(ctx, method, path, body, idempotent)
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, out); err != nil {
		return failf(exitUnreachable, "%s gave an answer that is not understood; it may be of another version: %w", g.name, err)
	}
	return nil
}

// uncertainError is a request of which it is not known whether it was carried out.
type uncertainError struct{ err error }

func (e *uncertainError) Error() string { return e.err.Error() }
func (e *uncertainError) Unwrap() error { return e.err }

func (g *client) doOnce(ctx context.Context, method, path string, body []byte, idempotent string) ([]byte, error) {
	resp, err := g.send(ctx, method, path, body, idempotent)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes+1))
	switch {
	case err != nil:
		return nil, g.wrapTransportError(err)
	case len(data) > maxAnswerBytes:
		return nil, fmt.Errorf("%s gave an answer of more than %d bytes", g.name, maxAnswerBytes)
	}
	return data, nil
}

func (g *client) wrapTransportError(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err // the rest repeats the address
	}
	return &exitError{exitUnreachable, &uncertainError{fmt.Errorf("the connection with %s broke: %w", g.name, err)}}
}

// send makes a request. The answer is a good one; its body is to be closed.
func (g *client) send(ctx context.Context, method, path string, body []byte, idempotent string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, g.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		"Origin": g.origin, "Docsgate-Actor": g.actor, "Idempotency-Key": idempotent,
	} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := g.client.Do(req)
	if err != nil {
		return nil, g.wrapTransportError(err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, g.wrapTransportError(err)
	}
	return nil, g.refusal(resp, data)
}

// refusal is the error that an answer stands for.
func (g *client) refusal(resp *http.Response, body []byte) error {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	var p problem
	if kind != "application/problem+json" || json.Unmarshal(body, &p) != nil {
		switch resp.StatusCode {
		case http.StatusNotFound, http.StatusNotImplemented:
			return failf(exitUnreachable, "%s has no store of keys: add \"feed store\" to the docsgate options of its "+
				"configuration, or name another gate with --address", g.name)
		case http.StatusForbidden:
			return failf(exitUnreachable, "%s does not take requests from here: see admin > origins in its configuration", g.name)
		}
		return failf(exitUnreachable, "%s answered with status %d, which is not docsgate's", g.name, resp.StatusCode)
	}
	status := exitFailed
	switch resp.StatusCode {
	case http.StatusNotFound:
		if p.Code == "not_found" { // of the path, not of the key
			return failf(exitUnreachable, "%s does not know what this command asks for; it may be of another version", g.name)
		}
		status = exitNotFound
	case http.StatusNotImplemented, http.StatusServiceUnavailable, http.StatusUnauthorized, http.StatusForbidden:
		status = exitUnreachable
	case http.StatusBadRequest, http.StatusConflict, http.StatusGone, http.StatusPreconditionFailed,
		http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		status = exitRefused
	}
	return &exitError{status, &p}
}

// Error tells the problem in lines for a terminal.
func (p *problem) Error() string {
	if len(p.Errors) == 0 {
		if p.Detail == "" {
			return sanitize(p.Title)
		}
		return sanitize(p.Detail)
	}
	lines := make([]string, 0, len(p.Errors)+1) // the detail tells nothing else
	if len(p.Errors) > 1 {
		lines = append(lines, "several things are not valid:")
	}
	for _, e := range p.Errors {
		where := e.Field
		if strings.Count(e.Pointer, "/") > 1 || where == "" {
			where = e.Pointer
		}
		line := sanitize(e.Message)
		if where != "" {
			line = sanitize(where) + ": " + line
		}
		if len(p.Errors) > 1 {
			line = "  " + line
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}
