package doctor

import (
	"context"
	"fmt"
)

// checkFiles checks that other users of this machine can neither read secrets nor change keys.
func (x *runner) checkFiles(context.Context) {
	const othersRead, othersWrite = 0o004, 0o002
	for _, f := range x.input.Files {
		switch mode := f.Mode.Perm(); {
		case mode&othersWrite != 0:
			x.fail("feeds.files", fmt.Sprintf("Every user of this machine can change %s, %s (mode %04o).", f.Path, f.Content, mode),
				fmt.Sprintf("Run \"chmod o-rwx %s\", and check its content.", f.Path))
		case mode&othersRead != 0 && f.Secret:
			x.warn("feeds.files", fmt.Sprintf("Every user of this machine can read %s, %s (mode %04o).", f.Path, f.Content, mode),
				fmt.Sprintf("Run \"chmod o-rwx %s\".", f.Path))
		}
	}
	if len(x.input.Files) > 0 && x.worst("feeds.files") == "" {
		x.ok("feeds.files", "Other users of this machine can neither read the gate's secrets nor change keys.")
	}
}
