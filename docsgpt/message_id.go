package docsgpt

import (
	"encoding/hex"

	"github.com/go-json-experiment/json/jsontext"
)

// MessageID is the ID that DocsGPT gives the message of an answer: a UUID. The zero value means that there is none. With it an
// answer can be canceled, see [CancelPath].
type MessageID [16]byte

// IsZero reports whether there is no ID.
func (id MessageID) IsZero() bool { return id == MessageID{} }

// String returns the UUID in lower case, as DocsGPT spells it, or "" for the zero value.
func (id MessageID) String() string {
	if id.IsZero() {
		return ""
	}
	text := hex.EncodeToString(id[:])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}

// MessageID returns the ID of the message that the stream has named, as DocsGPT spells it. It is zero until then, for a Verbatim
// stream, and for an answer that DocsGPT does not store.
func (f *SSEFilter) MessageID() MessageID { return f.message }

// parseMessageID returns the UUID in a JSON string, or zero. A UUID has no characters that JSON would escape, so a text with escapes is
// not one.
func parseMessageID(value jsontext.Value) (id MessageID) {
	const quoted = len(`"00000000-0000-0000-0000-000000000000"`)
	if value.Kind() != '"' || len(value) != quoted {
		return MessageID{}
	}
	text := value[1 : quoted-1]
	for i, n := 0, 0; i < len(text); {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if text[i] != '-' {
				return MessageID{}
			}
			i++
		}
		if _, err := hex.Decode(id[n:n+1], text[i:i+2]); err != nil {
			return MessageID{}
		}
		n, i = n+1, i+2
	}
	return id
}
