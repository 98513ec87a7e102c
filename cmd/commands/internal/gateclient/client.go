package gateclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
)

// maxResponseBytes is the maximum size of a response that is read into memory.
const maxResponseBytes = 64 << 20

// Client calls the API of a running gate, or of a store file that this process has opened. It is safe for concurrent use.
type Client struct {
	Name string // of the gate or the store, for messages

	client *http.Client
	base   string // prefix of the API's paths
	origin string // header of requests; empty: none
	actor  string // header of requests; empty: none
	close  func() error
}

// Close closes the connections, or the store file.
func (c *Client) Close() error { return c.close() }

// Call sends in as JSON, or no body if in is nil, and decodes the JSON response into out, unless out is nil. If the connection fails, a GET request
// and a request with an idempotency key are retried once.
func (c *Client) Call(ctx context.Context, method, path string, in any, idempotencyKey string, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	data, err := c.doOnce(ctx, method, path, body, idempotencyKey)
	if broken := (*UncertainError)(nil); errors.As(err, &broken) && ctx.Err() == nil &&
		(idempotencyKey != "" || method == http.MethodGet) {
		data, err = c.doOnce(ctx, method, path, body, idempotencyKey)
	}
	if err != nil {
		return err
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return cli.Errorf(cli.ExitUnreachable, "cannot decode the response of %s, which may have another version: %w", c.Name, err)
	}
	return nil
}

// UncertainError is the failure of a request that the gate may have carried out.
type UncertainError struct{ err error }

func (e *UncertainError) Error() string { return e.err.Error() }
func (e *UncertainError) Unwrap() error { return e.err }

func (c *Client) doOnce(ctx context.Context, method, path string, body []byte, idempotencyKey string) ([]byte, error) {
	resp, err := c.Send(ctx, method, path, body, idempotencyKey)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxResponseBytes+1))
	switch {
	case err != nil:
		return nil, c.wrapTransportError(err)
	case len(data) > maxResponseBytes:
		return nil, fmt.Errorf("the response of %s is larger than %d bytes", c.Name, maxResponseBytes)
	}
	return data, nil
}

func (c *Client) wrapTransportError(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err // url.Error repeats the address
	}
	return cli.WithStatus(cli.ExitUnreachable, &UncertainError{fmt.Errorf("the connection to %s failed: %w", c.Name, err)})
}

// Send makes a request. It returns only responses with a 2xx status, whose body the caller closes; others become errors.
func (c *Client) Send(ctx context.Context, method, path string, body []byte, idempotencyKey string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		"Origin": c.origin, "Docsgate-Actor": c.actor, "Idempotency-Key": idempotencyKey,
	} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, c.wrapTransportError(err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, c.wrapTransportError(err)
	}
	return nil, c.responseError(resp, data)
}

// Download copies the body of a response, of any length, to w. An empty body is an error.
func (c *Client) Download(ctx context.Context, path string, w io.Writer) error {
	resp, err := c.Send(ctx, http.MethodGet, path, nil, "")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	n, err := io.Copy(w, &readErrReader{resp.Body})
	if broken := (*readError)(nil); errors.As(err, &broken) {
		return c.wrapTransportError(broken.err)
	}
	if err == nil && n == 0 {
		return cli.Errorf(cli.ExitUnreachable, "%s gave an empty response", c.Name)
	}
	return err
}

// readErrReader marks errors of reading as readError, so that they differ from errors of writing in io.Copy.
type readErrReader struct{ io.Reader }

// readError is an error of an io.Reader.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }

// Read implements io.Reader.
func (r *readErrReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &readError{err}
	}
	return n, err
}

// Admin returns the response to a GET request for a path of Caddy's own admin API.
func (c *Client) Admin(ctx context.Context, path string) ([]byte, error) {
	status, body, err := c.get(ctx, c.base[:strings.LastIndex(c.base, adminPrefix)]+path)
	if err == nil && status != http.StatusOK {
		return nil, fmt.Errorf("status %d", status)
	}
	return body, err
}

// Ready returns status and body of the probe that reports whether the gate can decide on all tokens.
func (c *Client) Ready(ctx context.Context) (status int, body []byte, err error) {
	return c.get(ctx, c.base+"/ready")
}

func (c *Client) get(ctx context.Context, url string) (status int, body []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	if c.origin != "" {
		r.Header.Set("Origin", c.origin)
	}
	resp, err := c.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxResponseBytes))
	return resp.StatusCode, body, err
}
