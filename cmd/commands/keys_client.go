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

// maxResponseBytes is the maximum size of a response that is read into memory.
const maxResponseBytes = 64 << 20

// keyView is a key as in the API.
type keyView struct {
	ID              string     `json:"id"`
	Name            string     `json:"name"`
	Feed            string     `json:"feed"`
	Issued          bool       `json:"issued"`
	Binding         string     `json:"binding"`
	Sources         []string   `json:"sources"`
	Agent           string     `json:"agent"`
	Masked          string     `json:"masked_token"`
	State           string     `json:"state"`
	Problem         string     `json:"unusable_reason"`
	Created         *time.Time `json:"created"`
	Changed         *time.Time `json:"changed"`
	Rotated         *time.Time `json:"rotated"`
	Before          *time.Time `json:"not_before"`
	Expires         *time.Time `json:"expires"`
	PreviousExpires *time.Time `json:"previous_token_expires"`
	Used            *time.Time `json:"last_used"`
	PreviousUsed    *time.Time `json:"previous_token_last_used"`
	Requests        []uint64   `json:"requests_24h"`
	Token           string     `json:"token"` // only in the response that creates or rotates the key
}

// keyResponse is a key, and the JSON that it was decoded from.
type keyResponse struct {
	keyView
	raw json.RawMessage
}

// UnmarshalJSON implements json.Unmarshaler.
func (k *keyResponse) UnmarshalJSON(data []byte) error {
	k.raw = bytes.Clone(data)
	return json.Unmarshal(data, &k.keyView)
}

// problem is an error response of the API, in the format of RFC 9457.
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

// run returns cobra's RunE for a command that needs a gate or a store. The error of body sets the exit status. SIGINT and SIGTERM
// cancel its ctx.
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

// call sends in as JSON, or no body if in is nil, and decodes the JSON response into out. If the connection fails, a GET request
// and a request with an idempotency key are retried once.
func (g *client) call(ctx context.Context, method, path string, in any, idempotencyKey string, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	data, err := g.doOnce(ctx, method, path, body, idempotencyKey)
	if broken := (*uncertainError)(nil); errors.As(err, &broken) && ctx.Err() == nil &&
		(idempotencyKey != "" || method == http.MethodGet) {
		data, err = g.doOnce(ctx, method, path, body, idempotencyKey)
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, out); err != nil {
		return failf(exitUnreachable, "cannot decode the response of %s, which may have another version: %w", g.name, err)
	}
	return nil
}

// uncertainError is the failure of a request that the gate may have carried out.
type uncertainError struct{ err error }

func (e *uncertainError) Error() string { return e.err.Error() }
func (e *uncertainError) Unwrap() error { return e.err }

func (g *client) doOnce(ctx context.Context, method, path string, body []byte, idempotencyKey string) ([]byte, error) {
	resp, err := g.send(ctx, method, path, body, idempotencyKey)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxResponseBytes+1))
	switch {
	case err != nil:
		return nil, g.wrapTransportError(err)
	case len(data) > maxResponseBytes:
		return nil, fmt.Errorf("the response of %s is larger than %d bytes", g.name, maxResponseBytes)
	}
	return data, nil
}

func (g *client) wrapTransportError(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err // url.Error repeats the address
	}
	return &exitError{exitUnreachable, &uncertainError{fmt.Errorf("the connection to %s failed: %w", g.name, err)}}
}

// send makes a request. It returns only responses with a 2xx status, whose body the caller closes; others become errors.
func (g *client) send(ctx context.Context, method, path string, body []byte, idempotencyKey string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, g.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		"Origin": g.origin, "Docsgate-Actor": g.actor, "Idempotency-Key": idempotencyKey,
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
	return nil, g.responseError(resp, data)
}

// responseError returns the error, with its exit status, for an error response.
func (g *client) responseError(resp *http.Response, body []byte) error {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	var p problem
	if kind != "application/problem+json" || json.Unmarshal(body, &p) != nil {
		switch resp.StatusCode {
		case http.StatusNotFound, http.StatusNotImplemented:
			return failf(exitUnreachable, "%s has no key store: add \"feed store\" to the docsgate options of its "+
				"configuration, or name another gate with --address", g.name)
		case http.StatusForbidden:
			return failf(exitUnreachable, "%s does not allow this origin: see admin > origins in its configuration", g.name)
		}
		return failf(exitUnreachable, "%s responded with status %d, which is not a response of docsgate", g.name, resp.StatusCode)
	}
	status := exitFailed
	switch resp.StatusCode {
	case http.StatusNotFound:
		if p.Code == "not_found" { // the path, not the key
			return failf(exitUnreachable, "%s does not have the API endpoint of this command; it may have another version", g.name)
		}
		status = exitNotFound
	case http.StatusNotImplemented, http.StatusServiceUnavailable, http.StatusUnauthorized, http.StatusForbidden:
		status = exitUnreachable
	case http.StatusBadRequest, http.StatusConflict, http.StatusGone, http.StatusPreconditionFailed,
		http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		status = exitRejected
	}
	return &exitError{status, &p}
}

// Error returns the problem as sanitized lines for a terminal.
func (p *problem) Error() string {
	if len(p.Errors) == 0 {
		if p.Detail == "" {
			return sanitize(p.Title)
		}
		return sanitize(p.Detail)
	}
	lines := make([]string, 0, len(p.Errors)+1) // the detail only repeats them
	if len(p.Errors) > 1 {
		lines = append(lines, "several values are not valid:")
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
