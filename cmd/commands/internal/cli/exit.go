package cli

import (
	"errors"
	"fmt"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
)

// The exit statuses of "docsgate keys", as documented in its help. All commands use the first two.
const (
	ExitFailed      = 1
	ExitUsage       = 2
	ExitNotFound    = 3
	ExitRejected    = 4
	ExitUnreachable = 5
)

// statusError is an error with the exit status that the command ends with.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

// WithStatus wraps an error so that the command ends with an exit status. err must not be nil.
func WithStatus(status int, err error) error { return &statusError{status, err} }

// Errorf is like fmt.Errorf, for an error with an exit status.
func Errorf(status int, format string, a ...any) error {
	return WithStatus(status, fmt.Errorf(format, a...))
}

// Status returns the exit status of an error: 0 for nil, and ExitFailed if the error has no status.
func Status(err error) int {
	if err == nil {
		return 0
	}
	if e := (*statusError)(nil); errors.As(err, &e) {
		return e.status
	}
	return ExitFailed
}

// HasStatus reports whether an error was given an exit status.
func HasStatus(err error) bool {
	e := (*statusError)(nil)
	return errors.As(err, &e)
}

// Exit prints an error and returns an error with which Caddy's main function exits with its status; nil for nil.
func Exit(cmd *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "Error:", terminal.SanitizeLines(err.Error()))
	cmd.SilenceErrors = true
	status := Status(err)
	if status == ExitFailed {
		return err // Caddy's main function exits with 1
	}
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return status, nil })(cmd, nil)
}
