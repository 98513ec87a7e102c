package filefeed

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Error is one error in a key file. The message says how to fix it.
type Error struct {
	Path    string // path of the file, as configured
	Line    int    // starts at 1; 0 if the fault concerns the whole file
	Column  int    // starts at 1; 0 if unknown
	Message string // contains no value of the file that could be a secret
}

// Error returns "path:line: message", or "path: message" if there is no line.
func (f Error) Error() string {
	if f.Line == 0 {
		return f.Path + ": " + f.Message
	}
	return f.Path + ":" + strconv.Itoa(f.Line) + ": " + f.Message
}

// ErrorList contains all faults of a key file, sorted by line. As an error it is never empty.
type ErrorList []Error

// Error returns the faults, one per line.
func (fs ErrorList) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns all faults, for errors.As.
func (fs ErrorList) Unwrap() []error {
	errs := make([]error, len(fs))
	for i, f := range fs {
		errs[i] = f
	}
	return errs
}

func (fs ErrorList) sort() {
	slices.SortStableFunc(fs, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}
