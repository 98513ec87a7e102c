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

// The exit statuses of "docsgate keys". They are promised in its help.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitRefused     = 4
	exitUnreachable = 5
)

// exitError is an error that decides the exit status.
type exitError struct {
	status int
	err    error
}

func (f *exitError) Error() string { return f.err.Error() }
func (f *exitError) Unwrap() error { return f.err }

func failf(status int, format string, a ...any) error {
	return &exitError{status: status, err: fmt.Errorf(format, a...)}
}

// exit prints an error and returns what makes Caddy's main function end with its status.
func exit(cmd *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "Error:", visibleLines(err.Error()))
	cmd.SilenceErrors = true
	status := exitFailed
	if f := (*exitError)(nil); errors.As(err, &f) {
		status = f.status
	}
	if status == exitFailed {
		return err // Caddy's own
	}
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return status, nil })(cmd, nil)
}

// usageError makes the errors of a check of arguments end with exitUsage.
func usageError(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return exit(cmd, &exitError{exitUsage, err})
		}
		return nil
	}
}

// secretPattern matches what may be a token, or a piece of one, in whatever stands on the command line. The masked form that
// lists show does not match.
var secretPattern = regexp.MustCompile(`dgk_[0-9A-Za-z_-]{5}`)

var errSecretArgument = errors.New("a token does not go onto the command line, where it stays in the history of the shell " +
	"and shows in the list of processes: name the key by its ID or name (list --query finds it by its last four " +
	"characters), and rotate it")

// flagError says what is wrong with the flags, without repeating what may be a secret: pflag repeats all it does not know.
func flagError(cmd *cobra.Command, err error) error {
	if secretPattern.MatchString(err.Error()) {
		return exit(cmd, &exitError{exitUsage, errSecretArgument})
	}
	if e := (*pflag.InvalidValueError)(nil); errors.As(err, &e) {
		cause := errors.Unwrap(e)
		if n := (*strconv.NumError)(nil); errors.As(cause, &n) { // its text names a function of Go
			cause = errors.New("write a whole number")
			if e.GetFlag().Value.Type() == "bool" {
				cause = errors.New("write true or false, or nothing")
			}
		}
		err = fmt.Errorf("this is no value for --%s: %w", e.GetFlag().Name, cause)
	}
	return exit(cmd, failf(exitUsage, "%w; see --help", err))
}

// noSecrets refuses arguments and values of flags that may be tokens.
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

// arguments checks that there are as many arguments as the command takes, and no secrets.
func arguments(least, most int, sentence string) cobra.PositionalArgs {
	return usageError(func(cmd *cobra.Command, args []string) error {
		if err := noSecrets(cmd, args); err != nil {
			return err
		}
		if len(args) < least || len(args) > most {
			return errors.New(sentence)
		}
		return nil
	})
}
