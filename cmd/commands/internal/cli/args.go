package cli

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// UsageError wraps an argument check, so that its errors have the status ExitUsage.
func UsageError(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return Exit(cmd, WithStatus(ExitUsage, err))
		}
		return nil
	}
}

// secretPattern matches a token, or the beginning of one, anywhere on the command line. It does not match the masked form that
// lists show.
var secretPattern = regexp.MustCompile(`dg[kps]_[0-9A-Za-z_-]{5}`)

var errSecretArgument = errors.New("a token must not be on the command line, where it stays in the shell history and is visible " +
	"in the process list: name the key by its ID or name (list --query finds it by its last four characters), and rotate it")

// FlagError reports a flag error without repeating a secret: pflag quotes unknown flags.
func FlagError(cmd *cobra.Command, err error) error {
	if MayBeSecret(err.Error()) {
		return Exit(cmd, WithStatus(ExitUsage, errSecretArgument))
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
	return Exit(cmd, Errorf(ExitUsage, "%w; see --help", err))
}

// MayBeSecret reports whether a text contains a token, or the beginning of one.
func MayBeSecret(text string) bool { return secretPattern.MatchString(text) }

// noSecrets returns an error if an argument or the value of a flag may be a token.
func noSecrets(cmd *cobra.Command, args []string) error {
	found := false
	for _, arg := range args {
		found = found || MayBeSecret(arg)
	}
	cmd.Flags().Visit(func(f *pflag.Flag) { found = found || MayBeSecret(f.Value.String()) })
	if found {
		return errSecretArgument
	}
	return nil
}

// Args checks that the number of arguments is in [least, most], with message as the error otherwise, and that no argument
// or flag is a secret.
func Args(least, most int, message string) cobra.PositionalArgs {
	return UsageError(func(cmd *cobra.Command, args []string) error {
		if err := noSecrets(cmd, args); err != nil {
			return err
		}
		if len(args) < least || len(args) > most {
			return errors.New(message)
		}
		return nil
	})
}

// NoArgs is like cobra.NoArgs, but its error is message and does not repeat the argument, which may be a secret.
func NoArgs(message string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return errors.New(message)
		}
		return nil
	}
}
