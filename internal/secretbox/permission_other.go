//go:build !unix

package seal

import "os"

// othersMayRead returns false: file modes do not tell it on this system.
func othersMayRead(os.FileInfo) bool { return false }
