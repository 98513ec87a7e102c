//go:build unix

package seal

import "os"

// othersMayRead tells whether anybody but the owner and the group of a file may read or change it. The group is let
// through: Kubernetes gives files on a volume to the group of the pod, whatever they were made with.
func othersMayRead(info os.FileInfo) bool { return info.Mode().Perm()&0o007 != 0 }
