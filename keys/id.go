package keys

// maxIDBytes is the maximum length of an ID.
const maxIDBytes = 128

// IsValidID reports whether a text can be the ID of a key: 1 to 128 ASCII letters, digits, ".", "_" or "-", of which the first is a
// letter or digit. IDs are public, so a caller must also reject tokens, many of which have the same syntax.
func IsValidID(id string) bool {
	if len(id) == 0 || len(id) > maxIDBytes {
		return false
	}
	for i := range len(id) {
		switch b := id[i]; {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9':
		case i > 0 && (b == '.' || b == '_' || b == '-'):
		default:
			return false
		}
	}
	return true
}
