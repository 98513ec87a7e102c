package doctorcmd

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/docsgate/docsgate/doctor"
)

// Validate loads a configuration in Caddy's JSON as "validate" does, but writes no files. It has the state of the process, such as
// environment variables.
func Validate(config []byte) error { return dryRun(config).err }

// CheckNew runs "docsgate doctor --config" with a file with which no gate runs yet, and prints the findings to out, except that no gate
// runs.
func CheckNew(ctx context.Context, out io.Writer, config string) error {
	o := options{config: config}
	input, err := o.collect(ctx)
	if err != nil {
		return err
	}
	report := doctor.Examine(ctx, input, o.Options)
	if input.Running == doctor.NotRunning {
		report.Findings = slices.DeleteFunc(report.Findings, func(f doctor.Finding) bool {
			return f.ID == "config.running" || f.ID == "gate.answers" && f.Severity == doctor.Unknown
		})
	}
	if err := printFindings(out, report, useColors(out)); err != nil {
		return fmt.Errorf("printing the findings: %w", err)
	}
	return nil
}
