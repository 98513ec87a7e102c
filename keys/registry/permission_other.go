//go:build !unix

package registry

import "os"

// othersMayRead cannot be told from the mode here.
func othersMayRead(os.FileInfo) bool { return false }
