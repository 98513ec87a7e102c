//go:build unix

package atomicfile

import "os"

// OthersMayRead reports whether users other than the owner and the group may access the file. The group is permitted, because
// Kubernetes gives files on a volume to the group of the pod, whatever mode they were created with.
func OthersMayRead(info os.FileInfo) bool { return info.Mode().Perm()&0o007 != 0 }
