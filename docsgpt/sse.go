package docsgpt

import (
	"bytes"
	"errors"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxEvent is how large one event of a stream may be, in bytes.
const MaxEvent = 16 << 20

// ErrEventTooLarge is returned for an event over [MaxEvent].
var ErrEventTooLarge = errors.New("the upstream sent an event that is too large")

// SSEFilter turns a stream of server-sent events into one that holds whole data events and nothing else: no id, event
// and retry lines, no comments, never a part of an event. Payloads stay as they are, to the byte. On the way it
// notices how the stream ends and which conversation it belongs to. The zero value is ready; it is for one goroutine.
//
// Published widgets need this: they decode each network chunk by itself and give every line that is not blank,
// without a leading "data:", to their JSON parser.
type SSEFilter struct {
	// Verbatim passes whole events on as they came, to the byte, with their ids and comments, and looks at nothing. It
	// is for clients that read event streams as they should: all they need is never to get a part of an event that is
	// cut off.
	Verbatim bool

	pending []byte // the beginning of an event whose end has not come
	scanned int    // how much of pending is known to hold no end of an event
	started bool   // the byte order mark was looked for

	// Interrupted is an event that goes before an error which comes after some text. Published widgets show an error
	// only in place of an answer; after a text they would leave the reader in the belief that it is whole. Empty: none.
	Interrupted []byte

	// OnEvent is called with each whole event of a Verbatim stream and returns what goes on in its place: the same
	// event, as a rule. It may be nil.
	OnEvent func(event []byte) []byte

	// RejectTools ends the stream with a [*ToolCallError] in place of the first event that reports a call of a tool of
	// the account that answers. It holds for Verbatim streams too.
	RejectTools bool

	conversation string // that was told and not yet asked for

	spoke    bool // text of the answer came
	ended    bool
	toolCall *ToolCallError // RejectTools: what ended the stream
}

// HasText tells whether some of the answer's text came.
func (f *SSEFilter) HasText() bool { return f.spoke }

// Done tells whether the event came that closes every complete stream: "end" or "error".
func (f *SSEFilter) Done() bool { return f.ended }

// Filter appends to out the events that src completes, and keeps the rest for the next call. With an error out holds the
// events before the one that could not be passed on.
func (f *SSEFilter) Filter(out, src []byte) ([]byte, error) {
	if !f.started && !f.Verbatim && len(src) > 0 {
		f.started = true
		src = bytes.TrimPrefix(src, []byte("\ufeff"))
	}
	if f.toolCall != nil {
		return out, f.toolCall
	}
	if len(f.pending) > 0 {
		f.pending = append(f.pending, src...)
		src = f.pending
	}
	rest := src
	from := f.scanned
	for {
		end := endOfEvent(rest, from)
		if end < 0 {
			break
		}
		out = f.appendEvent(out, rest[:end])
		if f.toolCall != nil {
			f.pending = f.pending[:0]
			return out, f.toolCall
		}
		rest, from = rest[end:], 0
	}
	if len(rest) > MaxEvent {
		return out, ErrEventTooLarge
	}
	f.bufferPartial(rest, len(f.pending) > 0)
	return out, nil
}

// Pending returns what came after the last whole event. It is valid until the next call of Filter.
func (f *SSEFilter) Pending() []byte { return f.pending }

// bufferPartial stores the unfinished rest. inside tells whether rest is a part of pending.
func (f *SSEFilter) bufferPartial(rest []byte, inside bool) {
	switch {
	case len(rest) == 0:
		f.pending = f.pending[:0]
	case inside && len(rest) == len(f.pending):
	default:
		f.pending = append(f.pending[:0], rest...) // moves overlapping bytes correctly
	}
	// Three bytes may be the beginning of the blank line that ends the event.
	f.scanned = max(0, len(rest)-3)
}

// endOfEvent returns the place after the first blank line at or after from, or -1. Lines end in LF, CRLF or CR. A CR
// at the very end is not taken for a line's end yet, for a LF may follow.
func endOfEvent(s []byte, from int) int {
	for i := from; i < len(s); {
		n := bytes.IndexByte(s[i:], '\n')
		if n < 0 {
			n = len(s) - i
		}
		if c := bytes.IndexByte(s[i:i+n], '\r'); c >= 0 {
			n = c
		}
		i += n
		if i >= len(s) {
			return -1
		}
		after, ok := lineEnd(s, i)
		if !ok {
			return -1
		}
		second, ok := lineEnd(s, after)
		if ok && second > after {
			return second
		}
		i = after
	}
	return -1
}

// lineEnd returns the place after the line end at i, or i where there is none; ok is false where more bytes are
// needed to tell.
func lineEnd(s []byte, i int) (after int, ok bool) {
	switch {
	case i >= len(s):
		return i, false
	case s[i] == '\n':
		return i + 1, true
	case s[i] != '\r':
		return i, true
	case i+1 >= len(s):
		return i, false
	case s[i+1] == '\n':
		return i + 2, true
	default:
		return i + 1, true
	}
}

// appendEvent appends the data lines of one event.
func (f *SSEFilter) appendEvent(out, event []byte) []byte {
	whole := event
	if f.Verbatim {
		if f.RejectTools {
			if f.toolCall = findToolCallInEvent(event); f.toolCall != nil {
				return out
			}
		}
		if f.OnEvent != nil {
			event = f.OnEvent(event)
		}
		return append(out, event...)
	}
	start, lines := len(out), 0
	for len(event) > 0 {
		var line []byte
		line, event = cutLine(event)
		data, ok := bytes.CutPrefix(line, []byte("data:"))
		if !ok {
			continue
		}
		data = bytes.TrimPrefix(data, []byte(" "))
		lines++
		kind := leadingType(data)
		if f.RejectTools && mayReportTools(kind) {
			if f.toolCall = FindToolCall(data); f.toolCall != nil {
				return out[:start]
			}
		}
		if f.inspect(kind, data) == "error" {
			if f.spoke && len(out) == start {
				out = append(out, f.Interrupted...)
			}
			data = sanitizeError(data)
		}
		out = append(out, "data: "...)
		out = append(out, data...)
		out = append(out, '\n')
	}
	if lines > 1 && f.RejectTools {
		if f.toolCall = findToolCallInEvent(whole); f.toolCall != nil {
			return out[:start]
		}
	}
	if len(out) > start {
		out = append(out, '\n')
	}
	return out
}

func cutLine(s []byte) (line, rest []byte) {
	n := bytes.IndexByte(s, '\n')
	if n < 0 {
		n = len(s)
	}
	if c := bytes.IndexByte(s[:n], '\r'); c >= 0 {
		n = c
	}
	after, _ := lineEnd(s, n)
	if after == n {
		after = len(s)
	}
	return s[:n], s[after:]
}

// maxInspectedEvent is the size up to which an event may be one that tells something: those are short.
const maxInspectedEvent = 4 << 10

// longErrorPrefix is how an error begins that may be longer than that: old versions put the exception's text beside it.
var longErrorPrefix = []byte(`{"type": "error"`)

// inspect notices the events that matter to the gate, and returns the type of one that ends a stream. Quotes inside a JSON
// string are escaped, so the words can only be found where they are names or whole values; most events are passed over
// by that alone. kind is the data's leadingType.
func (f *SSEFilter) inspect(kind, data []byte) string {
	if string(kind) == "answer" { // most events are
		f.spoke = true
		return ""
	}
	if !f.spoke && bytes.Contains(data, []byte(`"answer"`)) {
		f.spoke = true
	}
	if len(data) == 0 || data[0] != '{' || len(data) > maxInspectedEvent && !bytes.HasPrefix(data, longErrorPrefix) {
		return ""
	}
	if !bytes.Contains(data, []byte(`"end"`)) && !bytes.Contains(data, []byte(`"error"`)) &&
		!bytes.Contains(data, []byte(`"id"`)) && !bytes.Contains(data, []byte(`"conversation_id"`)) {
		return ""
	}
	told, id, conversation := decodeMetaEvent(data)
	switch string(told) {
	case `"end"`, `"error"`:
		f.ended = true
		return string(told[1 : len(told)-1])
	case `"id"`:
		f.setConversation(id)
	case `"message_id"`:
		f.setConversation(conversation)
	}
	return ""
}

// sanitizeError returns an error event's data with a sentence and its code, and with nothing else in it: DocsGPT 0.10 to
// 0.13 add the text of the exception, and a sentence that is no text takes published widgets down.
func sanitizeError(data []byte) []byte {
	var sentence, code string
	plain := true
	d := jsontext.NewDecoder(bytes.NewReader(data))
	err := forEachField(d, func(name string) error {
		value, err := d.ReadValue()
		text, isText := textOf(value)
		switch name {
		case "type":
		case "error":
			sentence = text
			plain = plain && isText
		case "code":
			code = text
			plain = plain && isText
		default:
			plain = false
		}
		return err
	})
	if sentence == "" {
		sentence = msgUpstreamError
	} else if plain && err == nil {
		return data
	}
	out := appendText([]byte(`{"type":"error","error":`), sentence)
	if code != "" {
		out = appendText(append(out, `,"code":`...), code)
	}
	return append(out, '}')
}

// decodeMetaEvent returns the raw values of the members of an event that may matter; nil where it is not an object.
func decodeMetaEvent(data []byte) (kind, id, conversation jsontext.Value) {
	p := newParser(data)
	defer p.free()
	d := p.decoder
	if d.PeekKind() != '{' {
		return nil, nil, nil
	}
	_, _ = d.ReadToken() // the brace
	for d.PeekKind() != '}' {
		name, err := d.ReadValue()
		if err != nil {
			return nil, nil, nil
		}
		var to *jsontext.Value
		switch string(name) {
		case `"type"`:
			to = &kind
		case `"id"`:
			to = &id
		case `"conversation_id"`:
			to = &conversation
		}
		value, err := d.ReadValue()
		if err != nil {
			return nil, nil, nil
		}
		if end := int(d.InputOffset()); to != nil {
			*to = data[end-len(value) : end] // the decoder's own slice is valid only until it reads on
		}
	}
	return kind, id, conversation
}

func (f *SSEFilter) setConversation(raw jsontext.Value) {
	if id := conversationID(raw); id != "" {
		f.conversation = id
	}
}

// Conversation returns the id of the conversation that the stream told since the last call, or an empty text.
func (f *SSEFilter) Conversation() string {
	id := f.conversation
	f.conversation = ""
	return id
}

// ConversationOf returns the conversation that a JSON answer of /api/answer names, or an empty text.
func ConversationOf(body []byte) string {
	_, _, raw := decodeMetaEvent(body)
	return conversationID(raw)
}

// conversationID returns the id that a raw value is. DocsGPT writes "None" where it stored nothing.
func conversationID(raw jsontext.Value) string {
	id, _ := textOf(raw)
	if id == "None" {
		return ""
	}
	return id
}
