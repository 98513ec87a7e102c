package docsgpt

import "bytes"

// roleField is the field that addRole adds.
const roleField = `"role": "assistant"`

// addRole adds the role of the author to the first chunk of a completion, where OpenAI sends it. DocsGPT sends none, and
// the stream helpers of OpenAI's SDK reject a completion without one. done reports whether the event is that chunk, with
// or without a role: later chunks need none. All other events are returned unchanged.
func addRole(event []byte) (out []byte, done bool) {
	if !bytes.Contains(event, []byte(`"delta"`)) {
		return event, false
	}
	start, data, ok := firstData(event)
	if !ok {
		return event, false
	}
	at, empty, role := findDelta(data)
	if at == 0 || role {
		return event, at != 0
	}
	out = append(make([]byte, 0, len(event)+len(roleField+", ")), event[:start+at]...)
	out = append(out, roleField...)
	if !empty {
		out = append(out, ", "...)
	}
	return append(out, event[start+at:]...), true
}

// findDelta returns the offset after the opening brace of the first choice's delta in a chunk, or 0 if there is none. empty
// reports whether the delta has no fields, and role whether it has a role.
func findDelta(chunk []byte) (at int, empty, role bool) {
	p := newParser(chunk)
	defer p.free()
	d := p.decoder
	for d.StackPointer() != "/choices/0/delta" || d.PeekKind() != '{' {
		if _, err := d.ReadToken(); err != nil {
			return 0, false, false // the end of the chunk, or not JSON
		}
	}
	_, _ = d.ReadToken() // the brace
	at, empty = int(d.InputOffset()), true
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return 0, false, false
		}
		empty, role = false, role || name.String() == "role"
		if err := d.SkipValue(); err != nil {
			return 0, false, false
		}
	}
	return at, empty, role
}
