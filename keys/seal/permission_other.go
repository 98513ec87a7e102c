//go:build !unix

package seal

import "os"

// othersMayRead cannot be told from the mode here.
func othersMayRead(os.FileInfo) bool { return false }
