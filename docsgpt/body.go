package docsgpt

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// Limits of a request body. They are far above what clients send, and keep hostile bodies cheap.
const (
	maxFields = 128 // of the body's object
	maxDepth  = 64  // of a forwarded value
	maxDigits = 400 // of a number in a forwarded value; Python rejects integers of over 4300
)

// Errors of a body. Clients see their texts.
var (
	errNotObject  = errors.New("the body must be one JSON object in UTF-8")
	errTrailing   = errors.New("the body has more than one JSON value")
	errSyntax     = errors.New("the body is not valid JSON in UTF-8")
	errDuplicate  = errors.New("a field is specified twice in the body")
	errTooMany    = errors.New("the body has too many fields")
	errTooDeep    = errors.New("the body is nested too deeply")
	errLongNumber = errors.New("a number in the body is too long")
)

// span is the position of a value in the buffer.
type span struct{ start, end int }

// of returns the value in the buffer.
func (s span) of(buf []byte) []byte { return buf[s.start:s.end] }

// field is an allowed field that the body contains.
type field struct {
	spec *Field
	span
}

// Body is a parsed request body. It refers to the buffer that it was parsed from, and is not safe for concurrent use.
type Body struct {
	buf    []byte
	fields []field // in the client's order; usually a slice of inline
	inline [8]field
	token  span // of api_key; zero when absent
	pairs  span // of a compact history: those to forward; zero if the history is yet to be read

	conversation      string // of a field with a conversation check
	needsConversation bool   // the check is CheckOwned
	attachments       []string
	session           string // of a live transcription
	streams           bool   // the field "stream" is true
}

// parser holds the state of parsing, and memory that is reused for the next request.
type parser struct {
	reader  bytes.Buffer
	decoder *jsontext.Decoder
	names   [][]byte

	text   []byte // of a nested value; see load
	starts []int  // offsets of a history's entries in the output
	texts  []span // text parts of a message, as positions in text
}

// Only the top level's names matter to the gate and are checked for duplicates here; values have their own checks.
var parsers = sync.Pool{New: func() any {
	p := &parser{}
	p.decoder = jsontext.NewDecoder(&p.reader, jsontext.AllowDuplicateNames(true))
	return p
}}

// newParser returns a parser of buf. The decoder reads a bytes.Buffer in place: values are slices of buf, and nothing is
// copied.
func newParser(buf []byte) *parser {
	p := parsers.Get().(*parser)
	p.reader = *bytes.NewBuffer(buf)
	p.decoder.Reset(&p.reader, jsontext.AllowDuplicateNames(true))
	return p
}

// free returns the parser to the pool, without references that would keep the text in memory.
func (p *parser) free() {
	clear(p.names)
	p.names = p.names[:0]
	p.reader = bytes.Buffer{}
	p.decoder.Reset(&p.reader)
	if cap(p.text) > keptText || cap(p.starts) > keptText/8 {
		p.text, p.starts = nil, nil
	}
	parsers.Put(p)
}

// Parse parses a request body for an endpoint: exactly one JSON object in UTF-8, without duplicate names or trailing data.
// A byte order mark before it is skipped. Parse finds the fields that the endpoint allows and the client's token, and does
// not decode anything else. The error's text is for the client. b takes ownership of buf.
func (b *Body) Parse(e *Endpoint, buf []byte) error {
	buf = bytes.TrimPrefix(buf, byteOrderMark)
	*b = Body{buf: buf}
	b.fields = b.inline[:0]
	if b.parseFast(e) {
		return nil
	}
	*b = Body{buf: buf}
	b.fields = b.inline[:0]
	p := newParser(buf)
	defer p.free()
	return b.parse(p, e)
}

func (b *Body) parse(p *parser, e *Endpoint) error {
	d := p.decoder
	if d.PeekKind() != '{' {
		return errNotObject
	}
	if _, err := d.ReadToken(); err != nil {
		return errSyntax
	}
	for d.PeekKind() != '}' {
		if err := b.parseField(p, e); err != nil {
			return err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return errSyntax
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return errTrailing
	}
	return nil
}

func (b *Body) parseField(p *parser, e *Endpoint) error {
	d := p.decoder
	raw, err := d.ReadValue()
	if err != nil || raw.Kind() != '"' {
		return errSyntax
	}
	// The raw name is valid only until the next read, unless it is a slice of buf, which the decoder does not guarantee.
	end := int(d.InputOffset())
	name, err := unquote(b.buf[end-len(raw) : end])
	if err != nil {
		return errSyntax
	}
	for _, other := range p.names {
		if bytes.Equal(other, name) {
			return errDuplicate
		}
	}
	if len(p.names) == maxFields {
		return errTooMany
	}
	p.names = append(p.names, name)

	value, err := d.ReadValue()
	if err != nil {
		return syntaxError(err)
	}
	end = int(d.InputOffset())
	at := span{end - len(value), end}
	if string(name) == "api_key" {
		b.token = at
		return nil
	}
	if m := e.field(name); m != nil {
		b.add(m, at)
		return checkNested(b.buf[at.start:at.end])
	}
	return nil
}

// field returns the allowed field of that name, or nil.
func (e *Endpoint) field(name []byte) *Field {
	for i := range e.Fields {
		if m := &e.Fields[i]; string(name) == m.Name {
			return m
		}
	}
	return nil
}

// add adds an allowed field that the body contains.
func (b *Body) add(m *Field, at span) {
	b.fields = append(b.fields, field{m, at})
	b.streams = b.streams || m.Name == "stream" && string(b.buf[at.start:at.end]) == "true"
}

// unquote returns the text of a raw JSON string. Without escapes, the text is a slice of raw.
func unquote(raw []byte) ([]byte, error) {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1], nil
	}
	return jsontext.AppendUnquote(nil, raw)
}

// Token returns the client's token from the body. ok is false unless api_key is a string: an absent field and values of
// all other kinds are no token for DocsGPT either.
func (b *Body) Token() (token string, ok bool) {
	raw := b.buf[b.token.start:b.token.end]
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	text, err := unquote(raw)
	if err != nil {
		return "", false
	}
	return string(text), true
}

// Conversation returns the ID of the conversation to continue or rate, or "" if the client names none.
func (b *Body) Conversation() string { return b.conversation }

// SetConversation replaces the ID of the conversation by a shorter one of letters, digits, "_" and "-".
func (b *Body) SetConversation(id string) {
	for i := range b.fields {
		if c := b.fields[i].spec.Check; c == CheckConversation || c == CheckOwned {
			f := &b.fields[i]
			f.end = f.start + copy(b.buf[f.start:f.end], `"`+id+`"`)
			b.conversation = id
		}
	}
}

// NeedsConversation reports whether the request is valid only with a conversation of the same key.
func (b *Body) NeedsConversation() bool { return b.needsConversation }

// Session returns the ID of the live transcription that the request is about, or "" if it names none.
func (b *Body) Session() string { return b.session }

// Attachments returns the IDs of the attachments that the request names.
func (b *Body) Attachments() []string { return b.attachments }

// SetSession replaces the ID of the live transcription by a shorter one of letters, digits, "_" and "-".
func (b *Body) SetSession(id string) {
	for i := range b.fields {
		if f := &b.fields[i]; f.spec.Check == CheckSession {
			f.end = f.start + copy(b.buf[f.start:f.end], `"`+id+`"`)
			b.session = id
		}
	}
}

// SetAttachments replaces the IDs of the attachments by shorter ones of letters, digits, "_" and "-".
func (b *Body) SetAttachments(ids []string) {
	for i := range b.fields {
		if f := &b.fields[i]; f.spec.Check == CheckAttachments && len(ids) > 0 {
			f.end = f.start + copy(b.buf[f.start:f.end], `["`+strings.Join(ids, `","`)+`"]`)
			b.attachments = ids
		}
	}
}

// kindOf returns the kind of a raw value.
func kindOf(raw []byte) Kinds {
	switch raw[0] {
	case '"':
		return KindString
	case 't', 'f':
		return KindBool
	case 'n':
		return KindNull
	case '{':
		return KindObject
	case '[':
		return KindArray
	default:
		return KindNumber
	}
}

// checkNested bounds the cost of a valid JSON value in Python: its depth, since Python's parser recurses, and the digits
// of its numbers, since Python converts them.
func checkNested(raw []byte) error {
	if raw[0] == '"' {
		return nil
	}
	depth, digits := 0, 0
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			i = endOfString(raw, i)
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ',', ':', ' ', '\t', '\r', '\n':
		default:
			if digits++; digits > maxDigits {
				return errLongNumber
			}
			continue
		}
		if depth > maxDepth {
			return errTooDeep
		}
		digits = 0
	}
	return nil
}

// endOfString returns the offset of the closing quote of the string that begins at i.
func endOfString(raw []byte, i int) int {
	for {
		i += 1 + bytes.IndexByte(raw[i+1:], '"')
		escapes := i
		for raw[escapes-1] == '\\' {
			escapes--
		}
		if (i-escapes)%2 == 0 {
			return i
		}
	}
}
