package docsgpt

import (
	"errors"
	"fmt"
	"strings"
)

// otherVersion is a hint for IDs of another version: without the option docsgpt_version the gate assumes the newest.
const otherVersion = "for another version, add to the docsgate options the line: docsgpt_version VERSION"

// CheckSource returns a source ID in the canonical spelling of this version, or an error that describes the expected
// form. The gate sends IDs in requests with its own credential, and old versions use them as directory names, so only
// the exact form is accepted.
func (v *Version) CheckSource(id string) (string, error) {
	switch v.SourceID {
	case SourceUUID:
		if !isUUID(id) {
			return "", fmt.Errorf("%s is not a source ID of DocsGPT %s: it should be a UUID such as "+
				"7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10; %s", quoteID(id), v.Name, otherVersion)
		}
		return strings.ToLower(id), nil
	case SourceObjectID:
		if len(id) != 24 || !isHex(id) {
			return "", fmt.Errorf("%s is not a source ID of DocsGPT %s: it should be 24 hexadecimal digits such as "+
				"65f1c0ffee5eed0123456789; %s", quoteID(id), v.Name, otherVersion)
		}
		return strings.ToLower(id), nil
	default:
		if !isSourcePath(id) {
			return "", fmt.Errorf("%s is not a source of DocsGPT %s: it should be \"default\" or \"local/NAME/\"; %s",
				quoteID(id), v.Name, otherVersion)
		}
		return id, nil
	}
}

// CheckSources returns an error unless this version can bind one key to n sources.
func (v *Version) CheckSources(n int) error {
	switch {
	case n < 1:
		return errors.New("no source specified")
	case n > 1 && !v.ManySources:
		return fmt.Errorf("DocsGPT %s supports only one source per key: specify one", v.Name)
	}
	return nil
}

// quoteID quotes an ID for a message, and truncates it to a readable length.
func quoteID(id string) string {
	if len(id) > 60 {
		id = id[:60] + "..."
	}
	return fmt.Sprintf("%q", id)
}

func isHex(s string) bool {
	for _, c := range []byte(s) {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
			return false
		}
	}
	return true
}

func isUUID(s string) bool {
	return len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' &&
		isHex(s[:8]) && isHex(s[9:13]) && isHex(s[14:18]) && isHex(s[19:23]) && isHex(s[24:])
}

// isSourcePath accepts the built-in index and indexes of uploaded documents. A first segment of another name would
// choose a retriever (web search among them) instead of a source, and ".." leaves the index directory.
func isSourcePath(s string) bool {
	if s == "default" {
		return true
	}
	name, ok := strings.CutPrefix(s, "local/")
	name, slash := strings.CutSuffix(name, "/")
	if !ok || !slash || name == "" || len(name) > 200 || name == "." || name == ".." {
		return false
	}
	for _, c := range name {
		if c < 0x20 || c == 0x7f || c == '/' || c == '\\' || c == 0xfffd {
			return false
		}
	}
	return true
}
