package docsgpt

import (
	"bytes"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxUsage is the largest number of tokens of one answer that is believed.
const maxUsage = 1 << 40

// usageField is the field of a completion, or of a chunk of one, with the tokens that it has cost.
var usageField = []byte(`"usage"`)

// Tokens is what an answer has cost, over all calls of the model. Total may be more than the sum of the others.
type Tokens struct {
	Prompt, Answer, Total int64
}

// Usage returns the tokens that a completion, or a chunk of one, has cost. ok is false if it does not say. sole reports whether that is all that a chunk says: DocsGPT sends such a chunk
// only if the client asks for it, and other clients do not expect it.
func Usage(body []byte) (tokens Tokens, sole, ok bool) {
	if !bytes.Contains(body, usageField) {
		return Tokens{}, false, false
	}
	var completion struct {
		Choices []jsontext.Value `json:"choices"`
		Usage   *struct {
			Prompt     int64 `json:"prompt_tokens"`
			Completion int64 `json:"completion_tokens"`
			Total      int64 `json:"total_tokens"`
		} `json:"usage"`
	}
	if err := json.Unmarshal(body, &completion); err != nil || completion.Usage == nil {
		return Tokens{}, false, false
	}
	u := completion.Usage
	tokens = Tokens{u.Prompt, u.Completion, max(u.Total, u.Prompt+u.Completion)}
	if u.Prompt < 0 || u.Completion < 0 || tokens.Total < 0 || tokens.Total > maxUsage {
		return Tokens{}, false, false
	}
	return tokens, len(completion.Choices) == 0, true
}

// EventUsage is Usage for an event of a stream.
func EventUsage(event []byte) (tokens Tokens, sole, ok bool) {
	if !bytes.Contains(event, usageField) {
		return Tokens{}, false, false
	}
	_, data, found := firstData(event)
	if !found {
		return Tokens{}, false, false
	}
	return Usage(data)
}

// contentField is the field of a chunk with the text of the answer.
var contentField = []byte(`"content": "`)

// EventText returns about how many bytes of the answer an event of a completion contains.
func EventText(event []byte) int {
	at := bytes.Index(event, contentField)
	if at < 0 {
		return 0
	}
	text := event[at+len(contentField):]
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return len(text)
}

// AsksForUsage reports whether the client has asked for the usage of a stream. [Body.Check] must have been called.
func (b *Body) AsksForUsage() bool {
	for i := range b.fields {
		f := &b.fields[i]
		if f.spec.Name != fieldStreamOptions {
			continue
		}
		var options struct {
			IncludeUsage bool `json:"include_usage"`
		}
		if json.Unmarshal(b.buf[f.start:f.end], &options) == nil && options.IncludeUsage {
			return true
		}
	}
	return false
}

// fieldStreamOptions is the field with which a client asks for the usage of a stream.
const fieldStreamOptions = "stream_options"

// takesStreamOptions reports whether DocsGPT reads that field here.
func (e *Endpoint) takesStreamOptions() bool { return e.Relay == RelayChunks }
