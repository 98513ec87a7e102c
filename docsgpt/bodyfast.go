package docsgpt

import "bytes"

// parseFast does the same as parse, in a fraction of the time, for what clients send. It reports false for any other body,
// valid or not, which parse then reads from its beginning: so it accepts less than jsontext, and errors are those of
// jsontext. b is not usable then, and the buffer is unchanged.
func (b *Body) parseFast(e *Endpoint) bool {
	p := newNested()
	defer p.free()
	buf := b.buf
	i := skipSpace(buf, 0)
	if i == len(buf) || buf[i] != '{' {
		return false
	}
	if i = skipSpace(buf, i+1); i < len(buf) && buf[i] == '}' {
		return skipSpace(buf, i+1) == len(buf)
	}
	for {
		if i = b.parseFieldFast(p, e, i); i < 0 {
			return false
		}
		if i = skipSpace(buf, i); i == len(buf) {
			return false
		}
		if buf[i] == '}' {
			return skipSpace(buf, i+1) == len(buf)
		}
		if buf[i] != ',' {
			return false
		}
		i = skipSpace(buf, i+1)
	}
}

// parseFieldFast returns the offset after the field that begins at i, or -1.
func (b *Body) parseFieldFast(p *parser, e *Endpoint, i int) int {
	buf := b.buf
	start := i
	if i == len(buf) || buf[i] != '"' {
		return -1
	}
	if i = scanString(buf, i); i < 0 {
		return -1
	}
	name := buf[start+1 : i-1]
	if bytes.IndexByte(name, '\\') >= 0 || len(p.names) == maxFields {
		return -1
	}
	for _, other := range p.names {
		if bytes.Equal(other, name) {
			return -1
		}
	}
	p.names = append(p.names, name)
	if i = skipSpace(buf, i); i == len(buf) || buf[i] != ':' {
		return -1
	}
	start = skipSpace(buf, i+1)
	m := e.field(name)
	if m != nil && m.Check == CheckHistory {
		if pairs, end, ok := p.compactHistory(buf, start, e.limits); ok {
			b.pairs = pairs
			b.add(m, span{start, end})
			return end
		}
	}
	end := scanValue(buf, start, maxDepth)
	switch {
	case end < 0:
	case string(name) == "api_key":
		b.token = span{start, end}
	case m != nil:
		b.add(m, span{start, end})
	}
	return end
}
