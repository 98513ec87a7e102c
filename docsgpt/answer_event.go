package docsgpt

import "bytes"

// answerBegin is the beginning of the data line of an event with a piece of the answer, as DocsGPT writes it.
var answerBegin = []byte(`data: {"type": "answer"`)

// answerEvent returns the data line of an event with a piece of the answer, with the blank line, and the offset after the event. Most
// events of a stream are such events, which need no inspection. It returns nil unless s begins with a complete one in the form in which
// DocsGPT writes it, with or without an ID; [SSEFilter.appendEvent] relays any other event.
func answerEvent(s []byte) (event []byte, after int) {
	begin := skipEventID(s)
	line := s[begin:]
	if !bytes.HasPrefix(line, answerBegin) {
		return nil, 0
	}
	end := bytes.IndexByte(line, '\n')
	if end < 0 || end+1 == len(line) || line[end+1] != '\n' || bytes.IndexByte(line[:end], '\r') >= 0 {
		return nil, 0
	}
	end += len("\n\n")
	return line[:end], begin + end
}

// skipEventID returns the offset after the line with the ID of an event, or 0 if s does not begin with one as DocsGPT writes it.
func skipEventID(s []byte) int {
	digits, ok := bytes.CutPrefix(s, []byte("id: "))
	if !ok {
		return 0
	}
	for i, c := range digits {
		if c == '\n' {
			return len("id: ") + i + 1
		}
		if c < '0' || '9' < c {
			break
		}
	}
	return 0
}

// appendAnswer appends what answerEvent has returned.
func (f *SSEFilter) appendAnswer(out, event []byte) []byte {
	f.spoke = true
	f.countText(event[len("data: ") : len(event)-len("\n\n")])
	return append(out, event...)
}

// countText counts the data of an event, if CountText is set.
func (f *SSEFilter) countText(data []byte) {
	if f.CountText {
		f.text += max(0, len(data)-len(`{"type": "answer", "answer": ""}`))
	}
}
