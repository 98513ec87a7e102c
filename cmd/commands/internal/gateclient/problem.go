package gateclient

import (
	"encoding/json"
	"mime"
	"net/http"
	"strings"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
)

// Problem is an error response of the API, in the format of RFC 9457.
type Problem struct {
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
	Errors []struct {
		Field   string `json:"field"`
		Pointer string `json:"pointer"`
		Message string `json:"message"`
	} `json:"errors"`
}

// responseError returns the error, with its exit status, for an error response.
func (c *Client) responseError(resp *http.Response, body []byte) error {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	var p Problem
	if kind != "application/problem+json" || json.Unmarshal(body, &p) != nil {
		var e struct{ Error string } // of Caddy's admin endpoint
		_ = json.Unmarshal(body, &e)
		switch resp.StatusCode {
		case http.StatusServiceUnavailable:
			if e.Error != "" {
				return cli.Errorf(cli.ExitUnreachable, "%s: %s", c.Name, terminal.Sanitize(e.Error))
			}
		case http.StatusNotFound, http.StatusNotImplemented:
			if strings.Contains(e.Error, "backend") {
				return cli.Errorf(cli.ExitUnreachable, "%s: %s", c.Name, terminal.Sanitize(e.Error))
			}
			return cli.Errorf(cli.ExitUnreachable, "%s has no key store: add \"feed store\" to the docsgate options of its "+
				"configuration, or name another gate with --address", c.Name)
		case http.StatusForbidden:
			return cli.Errorf(cli.ExitUnreachable, "%s does not allow this origin: see admin > origins in its configuration", c.Name)
		}
		return cli.Errorf(cli.ExitUnreachable, "%s responded with status %d, which is not a response of docsgate", c.Name, resp.StatusCode)
	}
	status := cli.ExitFailed
	switch resp.StatusCode {
	case http.StatusNotFound:
		if p.Code == "not_found" { // the path, not the key
			return cli.Errorf(cli.ExitUnreachable, "%s does not have the API endpoint of this command; it may have another version", c.Name)
		}
		status = cli.ExitNotFound
	case http.StatusNotImplemented, http.StatusServiceUnavailable, http.StatusUnauthorized, http.StatusForbidden:
		status = cli.ExitUnreachable
	case http.StatusBadRequest, http.StatusConflict, http.StatusGone, http.StatusPreconditionFailed,
		http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		status = cli.ExitRejected
	}
	return cli.WithStatus(status, &p)
}

// Error returns the problem as sanitized lines for a terminal.
func (p *Problem) Error() string {
	if len(p.Errors) == 0 {
		if p.Detail == "" {
			return terminal.Sanitize(p.Title)
		}
		return terminal.Sanitize(p.Detail)
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
		line := terminal.Sanitize(e.Message)
		if where != "" {
			line = terminal.Sanitize(where) + ": " + line
		}
		if len(p.Errors) > 1 {
			line = "  " + line
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}
