package docsgpt

import (
	"errors"
	"fmt"
	"slices"
)

// Errors of messages. Their texts go to the client.
var (
	errMessageParts = errors.New("messages may hold text only: images, files and other parts are not accepted")
	errMessage      = errors.New("each of the messages must be an object")
)

// Members of a message that DocsGPT gets to see. With calls of tools in its messages a request counts as one that goes on
// after them: DocsGPT then hands the messages to the model as they are, a system message of the client's included, and
// searches for nothing. A conversation that a message names ("docsgpt") is gone on with, whoever's it is.
var (
	messageMembers = []string{"role", "content", "name"}
	toolMembers    = []string{"tool_calls", "tool_call_id"}
)

// The layouts of those that are not content.
var (
	roleLayout = oneOf("system", "developer", "user", "assistant", "tool", "function")
	nameLayout = layout{kinds: textOrNull, longest: 256}
)

// isAllowed tells whether a member of a message stays in it.
func (m *Field) isAllowed(name []byte) bool {
	return slices.Contains(messageMembers, string(name)) || m.Tools && slices.Contains(toolMembers, string(name))
}

// messageReader reads chat messages and writes what DocsGPT gets of them.
type messageReader struct {
	reshaper
	member *Field
	limits *Limits
	size   int // bytes of the texts so far
}

// checkMessages tests the chat messages, and takes everything out of them in place that DocsGPT is not to see. Contents
// that are lists of texts become one text: DocsGPT counts the tokens of texts, and cuts a conversation by them, but takes
// a list for nothing. Other parts (images, files) would be stored among the owner's attachments and reach the model
// beside the source that the key is bound to; they pass where the operator allows them.
func (b *Body) checkMessages(f *field, l *Limits) error {
	raw := b.buf[f.start:f.end]
	p := newNested()
	defer p.free()
	p.load(raw)
	r := messageReader{reshaper{p: p, out: append(raw[:0], '[')}, f.member, l, 0}
	if err := r.read(); err != nil {
		return nestedFailure(f.member.Name, err)
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
			return fmt.Errorf(`the member "messages" is too long: at most %d messages are accepted`, r.limits.Messages)
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

// message reads one message. Its members keep their order.
func (r *messageReader) message() error {
	r.out = append(r.out, '{')
	begin := len(r.out)
	err := r.p.each(func(name []byte) error {
		if !r.member.isAllowed(name) {
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
			return inMember(r.value(&roleLayout), "role")
		case "tool_calls":
			if err := r.value(&callsLayout); err != nil {
				return inMember(err, "tool_calls")
			}
			return inMember(r.count(len(r.out)-at), "tool_calls")
		default:
			return inMember(r.value(&nameLayout), string(name))
		}
	})
	r.out = append(r.out, '}')
	return err
}

// count adds to the size of the texts.
func (r *messageReader) count(n int) error {
	if n > r.limits.TextSize {
		return fault("is too long: at most %d bytes are accepted", r.limits.TextSize)
	}
	if r.size += n; r.size > r.limits.MessagesSize {
		return fmt.Errorf(`the member "messages" is too long: at most %d bytes of text are accepted`, r.limits.MessagesSize)
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
	return inMember(r.count(len(raw)-2), "content")
}
