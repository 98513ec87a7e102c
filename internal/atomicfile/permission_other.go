//go:build !unix

package atomicfile

import "os"

// OthersMayRead returns false: on this system file modes do not contain this information.
func OthersMayRead(os.FileInfo) bool { return false }
