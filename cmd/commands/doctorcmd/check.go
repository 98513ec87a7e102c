package doctorcmd

import (
	"context"
	"fmt"
	"io"

	"github.com/docsgate/docsgate/doctor"
)

// Validate loads a configuration in Caddy's JSON as "validate" does, but writes no files. It has the state of the process, such as
// environment variables.
func Validate(config []byte) error { return dryRun(config).err }

// Check runs "docsgate doctor --config" with a file, and prints the findings to out. It returns how many of them are failures.
func Check(ctx context.Context, out io.Writer, config string) (failures int, err error) {
	o := options{config: config}
	input, err := o.collect(ctx)
	if err != nil {
		return 0, err
	}
	report := doctor.Examine(ctx, input, o.Options)
	if err := printFindings(out, report, useColors(out)); err != nil {
		return 0, fmt.Errorf("printing the findings: %w", err)
	}
	return report.Count(doctor.Failure), nil
}
