package docsgpt

import (
	"bytes"
	"errors"

	"github.com/go-json-experiment/json/jsontext"
)

// Errors of a history. Clients see their texts.
var (
	errHistorySyntax = errors.New(`the field "history" does not contain a single valid JSON value`)
	errHistoryList   = errors.New(`the field "history" must be a JSON list`)
)

// pair is a question and its answer, as raw JSON strings. A missing one is nil.
type pair struct{ prompt, response []byte }

// checkHistory reduces the history to what DocsGPT needs: pairs of the texts "prompt" and "response", which keep the
// client's encoding. Entries without one of the two, such as that of a question that failed or is being asked, are
// dropped. So are all other fields of an entry, since DocsGPT passes "tool_calls", "thought" and "metadata" on to the
// model. If there are more pairs than the limits allow, the oldest are dropped, as DocsGPT does itself.
//
// The result is written over the value. It always fits, since no pair is longer than its entry was.
func (b *Body) checkHistory(f *field, l *Limits) error {
	raw := b.buf[f.start:f.end]
	if shouldDrop(f.spec, raw, false) {
		return nil
	}
	p := newNested()
	defer p.free()
	text := raw[0] == '"'
	if text {
		if kept, _, ok := p.compactHistory(b.buf[:f.end], f.start, l); ok {
			b.keepPairs(f, kept)
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
			return nestedFailure(f.spec.Name, err)
		}
		if errors.Is(err, errHistoryList) {
			return err
		}
		return errHistorySyntax
	}
	f.end = f.start + len(out)
	return nil
}

// readHistory appends the history to out: as a list or, if text is set, as a JSON string that contains the list.
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
				err = fault("specifies a field twice")
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
	case 'n', '{': // DocsGPT reads null and an empty object as an empty list
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
	rest := begin + 1 + quotes // bytes of the brackets and quotes
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

// firstKept returns the index of the first entry to forward, so that at most that number of entries, of at most size
// bytes together, remain. starts are the offsets of the entries, and end is the end of the last one.
func firstKept(starts []int, end, entries, size int) int {
	from := max(0, len(starts)-entries)
	for from < len(starts) && end-starts[from] > size {
		from++
	}
	return from
}

// readPair reads an entry of a history. A field of the pair that is missing or null is nil.
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
			return inField(fault("must be a string"), string(name))
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

// appendQuoted appends a raw JSON string as a part of a JSON string that contains JSON. It uses the shortest encoding:
// only quotes and backslashes need an escape, since raw escapes everything else. A quote inside raw always follows a
// backslash.
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
