package docsgpt

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// Binding is what the gate writes into a body in place of the client's choice: an agent's key, or sources.
type Binding struct {
	Agent   string   // the DocsGPT key of an agent; empty if Sources is set
	Sources []string // canonical source IDs; nil if Agent is set
	Facts   Facts    // about the client

	// Usage asks for the usage of a stream, where clients can ask for it.
	Usage bool
}

// RewriteHeadroom is the spare capacity, in bytes, with which [Body.Rewrite] usually needs no second buffer.
const RewriteHeadroom = 512

// Check validates the fields of the body for the endpoint, including the inner structure of their values, and removes the
// parts of the values that are not allowed. The error's text is for the client.
func (b *Body) Check(e *Endpoint) error {
	for i := range e.Fields {
		m := &e.Fields[i]
		switch {
		case !m.Required || b.has(m):
		case m.Missing != "":
			return fmt.Errorf("the field %q is missing: %s", m.Name, m.Missing)
		default:
			return fmt.Errorf("the field %q is missing", m.Name)
		}
	}
	for i := range b.fields {
		f := &b.fields[i]
		raw := b.buf[f.start:f.end]
		if f.spec.Kinds&kindOf(raw) == 0 && (f.spec.Check != CheckHistory || !isEmptyArray(raw)) {
			return fmt.Errorf("the field %q has the wrong type: it must be %s", f.spec.Name, f.spec.Kinds)
		}
		if err := checkCharacters(f.spec, raw); err != nil {
			return err
		}
		if f.spec.Check != CheckHistory && f.spec.Check != CheckMessages { // these have their own limits
			if err := e.limits.checkText(f.spec, raw); err != nil {
				return err
			}
		}
		if err := b.check(f, e.limits); err != nil {
			return err
		}
	}
	return nil
}

func (b *Body) has(m *Field) bool {
	for _, f := range b.fields {
		if f.spec == m {
			return true
		}
	}
	return false
}

// check validates a value. A structured value is overwritten with its allowed parts.
func (b *Body) check(f *field, l *Limits) error {
	m, raw := f.spec, b.buf[f.start:f.end]
	switch m.Check {
	case CheckConversation, CheckOwned:
		if raw[0] == '"' {
			text, err := unquote(raw)
			if err != nil {
				return errSyntax
			}
			b.conversation = string(text)
		}
		b.needsConversation = m.Check == CheckOwned
	case CheckIndex:
		if n, err := strconv.ParseUint(string(raw), 10, 31); err != nil || n > 1<<20 {
			return fmt.Errorf("the field %q must be a non-negative integer", m.Name)
		}
	case CheckRating:
		if text := string(raw); text != `"LIKE"` && text != `"DISLIKE"` && text != "null" {
			return fmt.Errorf(`the field %q must be "LIKE", "DISLIKE" or null`, m.Name)
		}
	case CheckMessages:
		return b.checkMessages(f, l)
	case CheckHistory:
		if b.pairs != (span{}) {
			b.keepPairs(f, b.pairs)
			return nil
		}
		return b.checkHistory(f, l)
	case CheckAttachments:
		if raw[0] == 'n' {
			return nil
		}
		return b.readAttachments(raw)
	case CheckSession:
		text, err := unquote(raw)
		if err != nil {
			return errSyntax
		}
		b.session = string(text)
	case NoValidation, CheckTask:
		if m.inner != nil {
			return b.checkStructure(f, m.inner)
		}
	}
	return nil
}

// Rewrite returns the body to forward: the allowed fields in the client's order, with their values as [Body.Check] left
// them, byte for byte, and the binding. owned reports whether the conversation that the client named belongs to its key;
// if not, that field is dropped. The result is built in the buffer that was parsed and may begin anywhere in it, so the Body
// must not be used afterwards.
func (b *Body) Rewrite(e *Endpoint, in Binding, owned bool) []byte {
	history := e.defaultHistory != ""
	addUsage := in.Usage && b.streams && e.takesStreamOptions()
	facts := e.facts != factsNone && in.Facts != Facts{}
	fields := b.fields[:0]
	for _, f := range b.fields {
		if shouldDrop(f.spec, f.of(b.buf), owned) || facts && f.spec.Name == passthroughField ||
			addUsage && f.spec.Name == fieldStreamOptions {
			continue
		}
		if f.spec.Name == "history" {
			history = false
		}
		fields = append(fields, f)
	}
	out := joinFields(b.buf, fields)
	if history {
		out = append(appendName(out, "history"), e.defaultHistory...)
	}
	if addUsage {
		out = append(appendName(out, fieldStreamOptions), `{"include_usage":true}`...)
	}
	if e.Token == TokenBody {
		switch {
		case in.Agent != "":
			out = appendText(appendName(out, "api_key"), in.Agent)
		case e.Sources && len(in.Sources) == 1:
			out = appendText(appendName(out, "active_docs"), in.Sources[0])
		case e.Sources && len(in.Sources) > 1:
			out = append(appendName(out, "active_docs"), '[')
			for i, id := range in.Sources {
				if i > 0 {
					out = append(out, ',')
				}
				out = appendText(out, id)
			}
			out = append(out, ']')
		}
	}
	if facts {
		out = in.Facts.append(out, e.facts)
	}
	return append(out, '}')
}

// joinFields returns an object of fields without its closing brace, built in the buffer that contains them. The longest
// value, usually the history, stays where it is: the fields before it are moved toward it, the last one first, and then those
// after it. So writing never overtakes reading: what is written between two values is at most as long as what the client sent
// there, since names have their shortest spelling. copy and append handle overlapping bytes.
func joinFields(buf []byte, fields []field) []byte {
	if len(fields) == 0 {
		return append(buf[:0], '{')
	}
	longest := 0
	for i, f := range fields {
		if f.end-f.start > fields[longest].end-fields[longest].start {
			longest = i
		}
	}
	start := fields[longest].start
	prepend := func(text string) {
		start -= len(text)
		copy(buf[start:], text)
	}
	for i := longest; ; i-- {
		prepend(`":`)
		prepend(fields[i].spec.Name)
		prepend(`"`)
		if i == 0 {
			break
		}
		prepend(`,`)
		value := fields[i-1].of(buf)
		start -= len(value)
		copy(buf[start:], value)
	}
	prepend(`{`)
	out := buf[start:fields[longest].end]
	for _, f := range fields[longest+1:] {
		out = append(appendName(out, f.spec.Name), f.of(buf)...)
	}
	return out
}

// maxAttachments is the largest number of attachments of one question.
const maxAttachments = 100

// readAttachments parses the list of attachment IDs, for [Body.Attachments].
func (b *Body) readAttachments(raw []byte) error {
	d := jsontext.NewDecoder(bytes.NewReader(raw))
	if _, err := d.ReadToken(); err != nil {
		return errSyntax
	}
	for d.PeekKind() != ']' {
		value, err := d.ReadValue()
		if err != nil {
			return errSyntax
		}
		id, ok := textOf(value)
		if !ok || len(b.attachments) == maxAttachments {
			return fmt.Errorf(`the field "attachments" must be a list of at most %d IDs`, maxAttachments)
		}
		b.attachments = append(b.attachments, id)
	}
	return nil
}

// shouldDrop reports whether an allowed field is dropped because of its value: a conversation that the key does not own,
// or an empty history in an encoding that older clients use and DocsGPT does not understand.
func shouldDrop(m *Field, raw []byte, owned bool) bool {
	switch m.Check {
	case CheckConversation:
		return raw[0] == '"' && !owned
	case CheckHistory:
		// DocsGPT's Slack bot sends an empty list, which only the oldest versions accept.
		return raw[0] == 'n' || len(raw) == len(`""`) && raw[0] == '"' || isEmptyArray(raw)
	default:
		return false
	}
}

func isEmptyArray(raw []byte) bool {
	return raw[0] == '[' && len(bytes.TrimSpace(raw[1:len(raw)-1])) == 0
}

func appendName(out []byte, name string) []byte {
	if len(out) > 1 {
		out = append(out, ',')
	}
	out = append(out, '"')
	out = append(out, name...)
	return append(out, '"', ':')
}

// appendText appends s as a JSON string. Keys and IDs come from configuration that is known to be valid UTF-8.
func appendText(out []byte, s string) []byte {
	quoted, _ := jsontext.AppendQuote(out, s) // an error means invalid UTF-8, which is replaced
	return quoted
}

// forEachField reads an object and calls do for each name; do must read the value.
func forEachField(d *jsontext.Decoder, do func(name string) error) error {
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != '}' {
		token, err := d.ReadToken()
		if err != nil {
			return err
		}
		if err := do(token.String()); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}
