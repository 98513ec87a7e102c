package docsgpt

import "bytes"

// ListsCapabilities reports whether the response to the request says what the server supports.
func (c *Request) ListsCapabilities() bool { return c.IsInitialize() || c.Method == "server/discover" }

// FilterCapabilities returns a response, a JSON text or a server-sent event that contains one, without the capabilities that
// the gate does not serve. DocsGPT lists prompts, resources, logging and extensions, of which it has none, and clients
// that use what is listed would fail. Anything else is returned unchanged.
func FilterCapabilities(message []byte) []byte {
	start, data := 0, message
	if at, line, ok := firstData(message); ok {
		start, data = at, line
	}
	from, to := findCapabilities(data)
	if to == 0 {
		return message
	}
	tools := fieldOf(data[from:to], "tools")
	out := append(make([]byte, 0, len(message)), message[:start+from]...)
	out = append(out, '{')
	if tools != nil {
		out = append(append(out, `"tools":`...), tools...)
	}
	out = append(out, '}')
	return append(out, message[start+to:]...)
}

// findCapabilities returns the position of the object in a response, or zeros.
func findCapabilities(response []byte) (from, to int) {
	p := newParser(response)
	defer p.free()
	d := p.decoder
	for d.StackPointer() != "/result/capabilities" || d.PeekKind() != '{' {
		if _, err := d.ReadToken(); err != nil {
			return 0, 0
		}
	}
	value, err := d.ReadValue()
	if err != nil {
		return 0, 0
	}
	to = int(d.InputOffset())
	return to - len(value), to
}

// firstData returns the first data line of a server-sent event, and its offset. ok is false if the event has none.
func firstData(event []byte) (at int, data []byte, ok bool) {
	const prefix = "data:"
	for !bytes.HasPrefix(event[at:], []byte(prefix)) {
		n := bytes.IndexByte(event[at:], '\n')
		if n < 0 {
			return 0, nil, false
		}
		at += n + 1
	}
	at += len(prefix)
	data, _, _ = bytes.Cut(event[at:], []byte("\n"))
	return at, data, true
}
