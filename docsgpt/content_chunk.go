package docsgpt

// The parts of an event with a piece of a completion, as DocsGPT writes it. Between them are the values.
const (
	chunkBegin   = `data: {"id": `
	chunkObject  = `, "object": "chat.completion.chunk", "created": `
	chunkModel   = `, "model": `
	chunkDelta   = `, "choices": [{"index": 0, "delta": {`
	chunkContent = `"content": `
	chunkEnd     = "}, \"finish_reason\": null}]}\n\n"
)

// contentChunk is an event with a piece of a completion and nothing else. The zero value is none.
type contentChunk struct {
	event []byte // with the blank line
	delta int    // offset of the delta's first field
	text  int    // bytes of the piece, encoded as JSON
}

// readContentChunk returns the event that s begins with, if it is a complete one in the form in which DocsGPT writes a piece of a
// completion. Most events of a stream are such events, which need no inspection; [SSEFilter.appendEvent] relays any other event.
func readContentChunk(s []byte) contentChunk {
	i := skipText(s, 0, chunkBegin)
	i = skipText(s, skipString(s, i), chunkObject)
	i = skipText(s, skipNumber(s, i), chunkModel)
	delta := skipText(s, skipString(s, i), chunkDelta)
	begin := skipText(s, delta, chunkContent)
	end := skipString(s, begin)
	after := skipText(s, end, chunkEnd)
	if after < 0 {
		return contentChunk{}
	}
	return contentChunk{event: s[:after], delta: delta, text: end - begin - len(`""`)}
}

// skipText is scanLiteral for an offset that may be -1, since something before is not as expected. The result is -1 then.
func skipText(s []byte, i int, text string) int {
	if i < 0 {
		return -1
	}
	return scanLiteral(s, i, text)
}

// skipString is skipText for a string, in quotes and valid.
func skipString(s []byte, i int) int {
	if i < 0 || i == len(s) || s[i] != '"' {
		return -1
	}
	return scanString(s, i)
}

// skipNumber is skipText for a number.
func skipNumber(s []byte, i int) int {
	if i < 0 {
		return -1
	}
	return scanNumber(s, i)
}

// appendContentChunk appends an event of a Verbatim stream.
func (f *SSEFilter) appendContentChunk(out []byte, c contentChunk) []byte {
	if f.CountText {
		f.text += c.text
	}
	if !f.AddRole {
		return append(out, c.event...)
	}
	f.AddRole = false
	out = append(append(out, c.event[:c.delta]...), roleField+", "...)
	return append(out, c.event[c.delta:]...)
}
