package docsgpt

import (
	"errors"
	"fmt"
	"slices"
)

// Errors of messages. Clients see their texts.
var (
	errMessageParts = errors.New("messages may contain only text: images, files and other parts are not accepted")
	errMessage      = errors.New("each of the messages must be an object")
)

// Fields of a message that DocsGPT gets. DocsGPT treats a request with tool calls in its messages as the continuation of
// these calls: it passes the messages to the model unchanged, including a system message of the client, and searches
// nothing. A conversation that a message names ("docsgpt") is continued, regardless of its owner.
var (
	messageFields = []string{"role", "content", "name"}
	toolFields    = []string{"tool_calls", "tool_call_id"}
)

// The layouts of the fields other than the content.
var (
	roleLayout = oneOf("system", "developer", "user", "assistant", "tool", "function")
	nameLayout = layout{kinds: textOrNull, longest: 256}
)

// isAllowed reports whether a field of a message is forwarded.
func (m *Field) isAllowed(name []byte) bool {
	return slices.Contains(messageFields, string(name)) || m.Tools && slices.Contains(toolFields, string(name))
}

// messageReader reads chat messages and writes the parts that DocsGPT gets.
type messageReader struct {
	reshaper
	spec   *Field
	limits *Limits
	size   int // bytes of the texts so far
}

// checkMessages validates the chat messages and removes everything that DocsGPT must not see, in place. A content that is
// a list of texts becomes one text: DocsGPT counts the tokens of a text, and truncates a conversation by them, but counts
// a list as nothing. Other parts (images, files) would be stored among the owner's attachments, and would reach the model
// in addition to the source that the key is bound to. They are forwarded only if the operator allows them.
func (b *Body) checkMessages(f *field, l *Limits) error {
	raw := b.buf[f.start:f.end]
	p := newNested()
	defer p.free()
	p.load(raw)
	r := messageReader{reshaper{p: p, out: append(raw[:0], '[')}, f.spec, l, 0}
	if err := r.read(); err != nil {
		return nestedFailure(f.spec.Name, err)
	}
	f.end = f.start + r.finish(raw)
	return nil
}

func (r *messageReader) read() error {
	d := r.p.decoder
	if err := r.p.bracket(); err != nil {
		return err
	}
	for i := 0; d.PeekKind() != ']'; i++ {
		if kind := d.PeekKind(); kind != '{' && kind != 0 {
			return errMessage
		}
		if i == r.limits.Messages {
			return fmt.Errorf(`the field "messages" is too long: at most %d messages are accepted`, r.limits.Messages)
		}
		if i > 0 {
			r.out = append(r.out, ',')
		}
		if err := r.message(); err != nil {
			return inItem(err, i)
		}
	}
	r.out = append(r.out, ']')
	return r.p.bracket()
}

// message reads one message. Its fields keep their order.
func (r *messageReader) message() error {
	r.out = append(r.out, '{')
	begin := len(r.out)
	err := r.p.each(func(name []byte) error {
		if !r.spec.isAllowed(name) {
			r.changed = true
			return r.p.decoder.SkipValue()
		}
		if len(r.out) > begin {
			r.out = append(r.out, ',')
		}
		r.out = append(append(append(r.out, '"'), name...), '"', ':')
		at := len(r.out)
		switch string(name) {
		case "content":
			return r.content()
		case "role":
			return inField(r.value(&roleLayout), "role")
		case "tool_calls":
			if err := r.value(&callsLayout); err != nil {
				return inField(err, "tool_calls")
			}
			return inField(r.count(len(r.out)-at), "tool_calls")
		default:
			return inField(r.value(&nameLayout), string(name))
		}
	})
	r.out = append(r.out, '}')
	return err
}

// count adds n bytes to the size of the texts, and returns an error above the limits.
func (r *messageReader) count(n int) error {
	if n > r.limits.TextSize {
		return fault("is too long: at most %d bytes are accepted", r.limits.TextSize)
	}
	if r.size += n; r.size > r.limits.MessagesSize {
		return fmt.Errorf(`the field "messages" is too long: at most %d bytes of text are accepted`, r.limits.MessagesSize)
	}
	return nil
}

func (r *messageReader) content() error {
	switch r.p.decoder.PeekKind() {
	case '[':
		return r.parts()
	case '"', 'n', 0:
	default:
		return errMessageParts
	}
	raw, err := r.p.value()
	if err != nil {
		return err
	}
	r.out = append(r.out, raw...)
	if raw[0] == 'n' {
		return nil
	}
	return inField(r.count(len(raw)-2), "content")
}
