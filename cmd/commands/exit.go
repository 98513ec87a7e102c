package commands

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The exit statuses of "docsgate keys", as documented in its help.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitRejected    = 4
	exitUnreachable = 5
)

// exitError is an error with the exit status that the command ends with.
type exitError struct {
	status int
	err    error
}

func (f *exitError) Error() string { return f.err.Error() }
func (f *exitError) Unwrap() error { return f.err }

func failf(status int, format string, a ...any) error {
	return &exitError{status: status, err: fmt.Errorf(format, a...)}
}

// exit prints an error and returns an error with which Caddy's main function exits with its status.
func exit(cmd *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "Error:", sanitizeLines(err.Error()))
	cmd.SilenceErrors = true
	status := exitFailed
	if f := (*exitError)(nil); errors.As(err, &f) {
		status = f.status
	}
	if status == exitFailed {
		return err // Caddy's main function exits with 1
	}
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return status, nil })(cmd, nil)
}

// usageError wraps an argument check, so that its errors have the status exitUsage.
func usageError(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return exit(cmd, &exitError{exitUsage, err})
		}
		return nil
	}
}

// secretPattern matches a token, or the beginning of one, anywhere on the command line. It does not match the masked form that
// lists show.
var secretPattern = regexp.MustCompile(`dgk_[0-9A-Za-z_-]{5}`)

var errSecretArgument = errors.New("a token must not be on the command line, where it stays in the shell history and is visible " +
	"in the process list: name the key by its ID or name (list --query finds it by its last four characters), and rotate it")

// flagError reports a flag error without repeating a secret: pflag quotes unknown flags.
func flagError(cmd *cobra.Command, err error) error {
	if secretPattern.MatchString(err.Error()) {
		return exit(cmd, &exitError{exitUsage, errSecretArgument})
	}
	if e := (*pflag.InvalidValueError)(nil); errors.As(err, &e) {
		cause := errors.Unwrap(e)
		if n := (*strconv.NumError)(nil); errors.As(cause, &n) { // its text names a Go function
			cause = errors.New("write a whole number")
			if e.GetFlag().Value.Type() == "bool" {
				cause = errors.New("write true or false, or leave the value out")
			}
		}
		err = fmt.Errorf("invalid value for --%s: %w", e.GetFlag().Name, cause)
	}
	return exit(cmd, failf(exitUsage, "%w; see --help", err))
}

// noSecrets returns an error if an argument or the value of a flag may be a token.
func noSecrets(cmd *cobra.Command, args []string) error {
	found := false
	for _, arg := range args {
		found = found || secretPattern.MatchString(arg)
	}
	cmd.Flags().Visit(func(f *pflag.Flag) { found = found || secretPattern.MatchString(f.Value.String()) })
	if found {
		return errSecretArgument
	}
	return nil
}

// arguments checks that the number of arguments is in [least, most], with message as the error otherwise, and that no argument
// or flag is a secret.
func arguments(least, most int, message string) cobra.PositionalArgs {
	return usageError(func(cmd *cobra.Command, args []string) error {
		if err := noSecrets(cmd, args); err != nil {
			return err
		}
		if len(args) < least || len(args) > most {
			return errors.New(message)
		}
		return nil
	})
}
