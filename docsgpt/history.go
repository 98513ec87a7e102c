package docsgpt

import (
	"bytes"
	"errors"

	"github.com/go-json-experiment/json/jsontext"
)

// Errors of a history. Their texts go to the client.
var (
	errHistorySyntax = errors.New(`the member "history" does not hold one valid JSON value`)
	errHistoryList   = errors.New(`the member "history" must hold a JSON list`)
)

// pair is a question and its answer, as raw JSON strings.
type pair struct{ prompt, response []byte }

// checkHistory reads the conversation so far, and leaves of it only what DocsGPT needs: pairs of a text "prompt" and a
// text "response", in the spelling that the client has for these texts. Entries without one of the two, such as that of a
// question that failed or has just been asked, are dropped, and so is everything else in an entry: DocsGPT hands on
// "tool_calls", "thought" and "metadata" of it to the model. Where there are more pairs than the limits allow, the oldest
// are dropped, as DocsGPT does itself.
//
// What is left is written over the value, which it never outgrows: each pair is at most as long as its entry was.
func (b *Body) checkHistory(f *field, l *Limits) error {
	raw := b.buf[f.start:f.end]
	if shouldDrop(f.member, raw, false) {
		return nil
	}
	p := newNested()
	defer p.free()
	text := raw[0] == '"'
	if text {
		if n, ok := p.keepCompact(raw, l); ok {
			f.end = f.start + n
			return nil
		}
	}
	if !text {
		p.load(raw)
	} else if err := p.loadText(raw); err != nil {
		return err
	}
	out, err := p.readHistory(raw[:0], text, l)
	if err != nil {
		var nested *nestedError
		if errors.As(err, &nested) {
			return nestedFailure(f.member.Name, err)
		}
		if errors.Is(err, errHistoryList) {
			return err
		}
		return errHistorySyntax
	}
	f.end = f.start + len(out)
	return nil
}

// readHistory appends the history to out: a list, or with text the JSON string that holds it.
func (p *parser) readHistory(out []byte, text bool, l *Limits) ([]byte, error) {
	d := p.decoder
	quotes := 0
	if text {
		out = append(out, '"')
		quotes = 1
	}
	out = append(out, '[')
	begin := len(out)
	p.starts = p.starts[:0]
	switch d.PeekKind() {
	case '[':
		if err := p.bracket(); err != nil {
			return nil, err
		}
		for i := 0; d.PeekKind() != ']'; i++ {
			entry, err := p.readPair()
			if errors.Is(err, jsontext.ErrDuplicateName) {
				err = fault("has a member twice")
			}
			if err != nil {
				return nil, inItem(err, i)
			}
			if entry.prompt == nil || entry.response == nil {
				continue
			}
			if len(p.starts) > 0 {
				out = append(out, ',')
			}
			p.starts = append(p.starts, len(out))
			out = appendPair(out, entry, text)
		}
		if err := p.bracket(); err != nil {
			return nil, err
		}
	case 'n', '{': // DocsGPT takes null and an empty object for an empty list
		if value, err := p.value(); err != nil || len(bytes.TrimSpace(value[1:len(value)-1])) > 0 && value[0] == '{' {
			return nil, errors.Join(err, errHistoryList)
		}
	case 0:
		return nil, errHistorySyntax
	default:
		return nil, errHistoryList
	}
	if err := p.end(); err != nil {
		return nil, err
	}
	rest := begin + 1 + quotes // of the bytes: brackets and quotes
	if from := firstKept(p.starts, len(out), l.HistoryEntries, l.HistorySize-rest); from == len(p.starts) {
		out = out[:begin]
	} else if from > 0 {
		out = append(out[:begin], out[p.starts[from]:]...)
	}
	out = append(out, ']')
	if text {
		out = append(out, '"')
	}
	return out, nil
}

// firstKept returns which entry is the first that is forwarded, so that there are at most so many and they have at most so
// many bytes together. starts are the places of the entries, end is where the last one ends.
func firstKept(starts []int, end, entries, size int) int {
	from := max(0, len(starts)-entries)
	for from < len(starts) && end-starts[from] > size {
		from++
	}
	return from
}

// readPair reads an entry of a history. A member of the pair that is missing, or null, is nil.
func (p *parser) readPair() (pair, error) {
	var entry pair
	switch p.decoder.PeekKind() {
	case '{':
	case 0:
		return entry, errHistorySyntax
	default:
		return entry, fault("must be an object")
	}
	err := p.each(func(name []byte) error {
		var into *[]byte
		switch string(name) {
		case "prompt":
			into = &entry.prompt
		case "response":
			into = &entry.response
		default:
			return p.decoder.SkipValue()
		}
		value, err := p.value()
		switch {
		case err != nil:
			return err
		case value[0] == '"':
			*into = value
		case value[0] != 'n':
			return inMember(fault("must be a string"), string(name))
		}
		return nil
	})
	return entry, err
}

func appendPair(out []byte, entry pair, text bool) []byte {
	if !text {
		out = append(append(out, `{"prompt":`...), entry.prompt...)
		out = append(append(out, `,"response":`...), entry.response...)
		return append(out, '}')
	}
	out = appendQuoted(append(out, `{\"prompt\":`...), entry.prompt)
	out = appendQuoted(append(out, `,\"response\":`...), entry.response)
	return append(out, '}')
}

// appendQuoted appends a raw JSON string as a part of a JSON string that holds JSON text. It is the shortest spelling of
// that: only quotes and backslashes need an escape, since all else that does is escaped in raw. A quote inside raw
// always has a backslash before it.
func appendQuoted(out, raw []byte) []byte {
	raw = raw[1 : len(raw)-1]
	out = append(out, '\\', '"')
	for {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 {
			break
		}
		out = append(append(out, raw[:i]...), '\\', '\\')
		if c := raw[i+1]; c == '"' || c == '\\' {
			out = append(out, '\\')
		}
		out = append(out, raw[i+1])
		raw = raw[i+2:]
	}
	out = append(out, raw...)
	return append(out, '\\', '"')
}
