package docsgpt

import (
	"bytes"
	"errors"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxEvent is the largest size of one event of a stream, in bytes.
const MaxEvent = 16 << 20

// ErrEventTooLarge is returned for an event over [MaxEvent].
var ErrEventTooLarge = errors.New("the upstream sent an event that is too large")

// SSEFilter reduces a stream of server-sent events to complete data events: without id, event and retry lines, without
// comments, and never with a part of an event. Payloads are kept byte for byte. The filter also detects how the stream
// ends and which conversation it belongs to. The zero value is ready to use. It is not safe for concurrent use.
//
// Published widgets need this: they decode each network chunk separately, and pass every line that is not blank, without a
// leading "data:", to their JSON parser.
type SSEFilter struct {
	// Verbatim passes complete events on byte for byte, with their IDs and comments, and inspects nothing. It is for
	// clients that parse event streams correctly, and only need protection from events that are cut off.
	Verbatim bool

	// DetectEnd detects the end of a Verbatim stream for OpenAI clients; see Done.
	DetectEnd bool

	pending []byte // an event that is not complete yet
	scanned int    // bytes of pending without the end of an event
	started bool   // whether a leading byte order mark has been handled

	// Interrupted is an event that is inserted before an error that follows some text; nil for none. Published widgets
	// show an error only if there is no text. After some text, readers would believe that it is complete.
	Interrupted []byte

	// AddRole adds the role to the first chunk of a completion in a Verbatim stream, unless it has one.
	AddRole bool

	// OnEvent is called with each complete event of a Verbatim stream and returns the event to send instead, usually
	// the same one. With DetectEnd it is not called with events in DocsGPT's form that have a piece of the text and nothing else. It may be nil.
	OnEvent func(event []byte) []byte

	// RejectTools ends the stream with a [*ToolCallError] before the first event that reports a call of a tool of the
	// account that answers. It also applies to Verbatim streams.
	RejectTools bool

	// IDs rewrites the IDs of conversations that a stream names, unless it is Verbatim. It may be nil. With RejectTools only the event
	// "id" is rewritten, and it is sent right before the event that ends the stream: only a client that has the rewritten ID can
	// continue the conversation, and a call may be reported until then.
	IDs ConversationIDs

	conversation string     // that the stream has named last
	delayed      *delayedID // the event "id" that is not sent yet; nil: there is none

	message MessageID // that the stream has named; zero: none yet

	// CountText counts the bytes of the events that contain text of the answer or of sources; see Text.
	CountText bool

	text int // see Text

	// DetectSources detects whether the answer names a source; see HasSources.
	DetectSources bool

	sources bool // see HasSources

	// FindRequestID makes the filter find the request ID of the stream; see RequestID.
	FindRequestID bool

	requestID string // see RequestID

	commented bool // a comment was dropped since the last call of Commented

	spoke    bool // some text of the answer has arrived
	ended    bool
	toolCall *ToolCallError // the call that ended the stream; nil: none
}

// HasText reports whether some text of the answer has arrived.
func (f *SSEFilter) HasText() bool { return f.spoke }

// Text returns the size of the texts so far, in bytes, if CountText is set.
func (f *SSEFilter) Text() int { return f.text }

// Done reports whether the event that ends every complete stream has arrived: "end" or "error", or in a Verbatim stream with
// DetectEnd "[DONE]" or an error.
func (f *SSEFilter) Done() bool { return f.ended }

// Filter appends to out the events that src completes, and buffers the rest for the next call. If it returns an error, out
// contains the events before the one that caused it.
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
		if from == 0 {
			var after int
			if out, after = f.appendPiece(out, rest); after > 0 {
				rest = rest[after:]
				continue
			}
		}
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

// appendPiece appends the event that s begins with, if it has a piece of the answer and nothing else, in the form in which DocsGPT writes
// it. Most events are such events. after is the offset after it, or 0 if it is another event or not complete.
func (f *SSEFilter) appendPiece(out, s []byte) (_ []byte, after int) {
	switch {
	case !f.Verbatim:
		if event, after := answerEvent(s); event != nil {
			return f.appendAnswer(out, event), after
		}
	case f.DetectEnd:
		if chunk := readContentChunk(s); chunk.event != nil {
			return f.appendContentChunk(out, chunk), len(chunk.event)
		}
	}
	return out, 0
}

// Pending returns the bytes after the last complete event. They are valid until the next call of Filter.
func (f *SSEFilter) Pending() []byte { return f.pending }

// bufferPartial stores an incomplete event. inside reports whether rest is a slice of pending.
func (f *SSEFilter) bufferPartial(rest []byte, inside bool) {
	switch {
	case len(rest) == 0:
		f.pending = f.pending[:0]
	case inside && len(rest) == len(f.pending):
	default:
		f.pending = append(f.pending[:0], rest...) // append handles overlapping bytes
	}
	// The last three bytes may be the beginning of the blank line that ends the event.
	f.scanned = max(0, len(rest)-3)
}

// endOfEvent returns the offset after the first blank line at or after from, or -1. Lines end in LF, CRLF or CR. A CR at
// the end of s is not treated as a line end, since an LF may follow.
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

// lineEnd returns the offset after the line end at i, or i if there is none. ok is false if that depends on more bytes.
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
		if f.AddRole {
			var done bool
			event, done = addRole(event)
			f.AddRole = !done
		}
		if f.OnEvent != nil {
			event = f.OnEvent(event)
		}
		if f.CountText {
			f.text += EventText(event)
		}
		f.noteSources(event)
		if f.DetectEnd && isOpenAIEnd(event) {
			f.ended = true
		}
		return append(out, event...)
	}
	start, lines := len(out), 0
	for len(event) > 0 {
		var line []byte
		line, event = cutLine(event)
		data, ok := bytes.CutPrefix(line, []byte("data:"))
		if !ok {
			f.commented = f.commented || len(line) > 0 && line[0] == ':'
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
		told, at, id := f.inspect(kind, data)
		switch told {
		case "end", "error":
			if len(out) == start {
				out = f.appendIDEvent(out)
				start = len(out)
			}
			if told == "error" {
				if f.spoke && len(out) == start {
					out = append(out, f.Interrupted...)
				}
				data = sanitizeError(data)
			}
		case "id":
			if f.RejectTools && f.IDs != nil {
				f.delayed = &delayedID{data: bytes.Clone(data), at: at, id: id}
				continue
			}
		}
		out = append(out, "data: "...)
		if told == "id" || told == "message_id" && !f.RejectTools {
			out = appendWithID(out, data, at, id, f.IDs)
		} else {
			out = append(out, data...)
		}
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

// maxInspectedEvent is the largest size of events that the filter inspects: the events that matter to it are short.
const maxInspectedEvent = 4 << 10

// longErrorPrefix is the beginning of an error that may be longer: old versions add the text of an exception.
var longErrorPrefix = []byte(`{"type": "error"`)

// inspect detects the events that matter to the gate, and returns the type of an event that ends a stream or names its conversation; id
// is that name, and at its position in data. Quotes inside a JSON string are escaped, so the patterns match only names or whole values, and
// rule out most events without parsing. kind is the leadingType of the data.
func (f *SSEFilter) inspect(kind, data []byte) (told string, at span, id string) {
	f.countText(data)
	if string(kind) == "answer" { // most events are
		f.spoke = true
		return "", at, ""
	}
	if len(kind) == 0 || string(kind) == "source" {
		f.noteSources(data)
	}
	if !f.spoke && bytes.Contains(data, []byte(`"answer"`)) {
		f.spoke = true
	}
	if len(data) == 0 || data[0] != '{' || len(data) > maxInspectedEvent && !bytes.HasPrefix(data, longErrorPrefix) {
		return "", at, ""
	}
	if !bytes.Contains(data, []byte(`"end"`)) && !bytes.Contains(data, []byte(`"error"`)) &&
		!bytes.Contains(data, []byte(`"id"`)) && !bytes.Contains(data, []byte(`"conversation_id"`)) {
		return "", at, ""
	}
	e, ok := decodeMetaEvent(data)
	if !ok {
		return "", at, ""
	}
	switch string(e.kind.of(data)) {
	case `"end"`:
		f.ended = true
		return "end", at, ""
	case `"error"`:
		f.ended = true
		return "error", at, ""
	case `"id"`:
		return "id", e.id, f.setConversation(e.id.of(data))
	case `"message_id"`:
		if f.message.IsZero() { // the first one of a stream is that of its answer
			f.message = parseMessageID(e.message.of(data))
		}
		f.setRequestID(data)
		return "message_id", e.conversation, f.setConversation(e.conversation.of(data))
	}
	return "", at, ""
}

// sanitizeError reduces an error event's data to a message and its code: DocsGPT 0.10 to 0.13 add the text of the
// exception, and published widgets crash if the message is not a text.
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

// setConversation sets the ID of the conversation to the one in a raw value, and returns it. It returns "" if there is none.
func (f *SSEFilter) setConversation(raw jsontext.Value) string {
	if f.conversation != "" && raw.Kind() == '"' { // a stream names its conversation twice
		if text, err := unquote(raw); err == nil && string(text) == f.conversation {
			return f.conversation
		}
	}
	id := conversationID(raw)
	if id != "" {
		f.conversation = id
	}
	return id
}

// Conversation returns the ID of the conversation that the stream has named last, or "".
func (f *SSEFilter) Conversation() string { return f.conversation }

// conversationID returns the ID in a raw value, or "". DocsGPT writes "None" if it did not store the conversation.
func conversationID(raw jsontext.Value) string {
	id, _ := textOf(raw)
	if id == "None" {
		return ""
	}
	return id
}
