package keys

import "regexp"

var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// IsValidID reports whether a text can be the ID of a key: 1 to 128 ASCII letters, digits, ".", "_" or "-", of which the first is a
// letter or digit. IDs are public, so a caller must also reject tokens, many of which have the same syntax.
func IsValidID(id string) bool { return idPattern.MatchString(id) }
