//go:build !unix

package secretbox

import "os"

// othersMayRead returns false: on this system file modes do not contain this information.
func othersMayRead(os.FileInfo) bool { return false }
