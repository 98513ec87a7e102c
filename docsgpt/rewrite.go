package docsgpt

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// Binding is what the gate puts into a body in place of what the client chose: an agent's key, or sources.
type Binding struct {
	Agent   string   // the DocsGPT key that is swapped in; empty with Sources
	Sources []string // canonical source ids
}

// RewriteHeadroom is how many bytes a buffer should have to spare so that [Body.Rewrite] needs no other one.
const RewriteHeadroom = 512

// Validator tests the members of the body against what the endpoint allows, down to the inner structure of their values, and
// leaves of that what is let through. The error's text is meant for the client.
func (b *Body) Check(e *Endpoint) error {
	for i := range e.Members {
		m := &e.Members[i]
		switch {
		case !m.Required || b.has(m):
		case m.Missing != "":
			return fmt.Errorf("the member %q is missing: %s", m.Name, m.Missing)
		default:
			return fmt.Errorf("the member %q is missing", m.Name)
		}
	}
	for i := range b.fields {
		f := &b.fields[i]
		raw := b.buf[f.start:f.end]
		if f.member.Kinds&kindOf(raw) == 0 && (f.member.Check != CheckHistory || !isEmptyArray(raw)) {
			return fmt.Errorf("the member %q has the wrong type", f.member.Name)
		}
		if f.member.Check != CheckHistory && f.member.Check != CheckMessages { // which have limits of their own
			if err := e.limits.checkText(f.member, raw); err != nil {
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
		if f.member == m {
			return true
		}
	}
	return false
}

// check tests a value, and writes over it what is left of one with an inner structure.
func (b *Body) check(f *field, l *Limits) error {
	m, raw := f.member, b.buf[f.start:f.end]
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
			return fmt.Errorf("the member %q must be a whole number from 0 on", m.Name)
		}
	case CheckRating:
		if text := string(raw); text != `"LIKE"` && text != `"DISLIKE"` && text != "null" {
			return fmt.Errorf(`the member %q must be "LIKE", "DISLIKE" or null`, m.Name)
		}
	case CheckMessages:
		return b.checkMessages(f, l)
	case CheckHistory:
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

// Rewrite returns the body to forward: the allowed members in the client's order with what [Body.Check] left of their
// values, byte for byte, and what the gate injects. owned tells whether the conversation that the client named is this key's; else its member is
// dropped. The result is built in the buffer that was parsed, so the Body must not be used afterwards.
func (b *Body) Rewrite(e *Endpoint, in Binding, owned bool) []byte {
	// Writing never passes reading: what has been written before a member is at most what the client needed for the
	// same members, with names in their shortest spelling. append moves overlapping bytes correctly.
	src := b.buf
	out := append(b.buf[:0], '{')
	history := e.defaultHistory != ""
	for _, f := range b.fields {
		if shouldDrop(f.member, src[f.start:f.end], owned) {
			continue
		}
		if f.member.Name == "history" {
			history = false
		}
		out = appendName(out, f.member.Name)
		out = append(out, src[f.start:f.end]...)
	}
	if history {
		out = append(appendName(out, "history"), e.defaultHistory...)
	}
	if e.Token == PlaceBody {
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
	return append(out, '}')
}

// maxAttachments is how many attachments one question may name.
const maxAttachments = 100

// readAttachments reads the list of attachment ids, for [Body.Attachments].
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
			return fmt.Errorf(`the member "attachments" must be a list of at most %d ids`, maxAttachments)
		}
		b.attachments = append(b.attachments, id)
	}
	return nil
}

// shouldDrop tells whether an allowed member stays behind for its value: a conversation of others, and a history that says
// nothing, in the spellings that older clients have for that and DocsGPT does not understand.
func shouldDrop(m *Field, raw []byte, owned bool) bool {
	switch m.Check {
	case CheckConversation:
		return raw[0] == '"' && !owned
	case CheckHistory:
		// DocsGPT's Slack bot sends an empty list, which only the oldest versions take.
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

// appendText appends s as a JSON string. Keys and ids come from configuration that was checked to be valid UTF-8.
func appendText(out []byte, s string) []byte {
	quoted, _ := jsontext.AppendQuote(out, s) // the error is about invalid UTF-8, which is replaced
	return quoted
}

// forEachField reads an object and calls do with each name; do must read the value.
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
