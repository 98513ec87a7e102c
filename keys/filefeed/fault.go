package filefeed

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Fault is one thing that is wrong with a key file, and how to mend it.
type Fault struct {
	Path    string // of the file, as configured
	Line    int    // from 1; 0 if the fault is in the file as a whole
	Column  int    // from 1; 0 if not known
	Message string // holds no value of the file that could be a secret
}

// Error returns "path:line: message", without the line if there is none.
func (f Fault) Error() string {
	if f.Line == 0 {
		return f.Path + ": " + f.Message
	}
	return f.Path + ":" + strconv.Itoa(f.Line) + ": " + f.Message
}

// Faults is every fault of a key file, in the order of the lines. As an error it is never empty.
type Faults []Fault

// Error returns the faults one a line.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives errors.As each fault.
func (fs Faults) Unwrap() []error {
	errs := make([]error, len(fs))
	for i, f := range fs {
		errs[i] = f
	}
	return errs
}

func (fs Faults) sort() {
	slices.SortStableFunc(fs, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}
