package docsgpttest

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// fillerText follows the first line of an answer, to make streaming visible.
const fillerText = "\n\nThis text is here to make the stream visible: it arrives piece by piece, " +
	"like the answer of a model."

// pieces are the parts in which an answer is streamed.
func (b *Backend) pieces(c chat, s faults) []string {
	text, found := b.opts.Answers[c.asked]
	if !found {
		text = b.answerLine(c) + fillerText
	}
	list := strings.SplitAfter(text, " ")
	if s.unicode {
		list = append(list, " Grüße ", "aus ", "東京 ", "🦕🦖")
	}
	for i := range s.words {
		list = append(list, " word"+strconv.Itoa(i+1))
	}
	if s.big > 0 {
		list = append(list, strings.Repeat("x", s.big))
	}
	return list
}

// eventWriter writes server-sent events, each in one write and one flush unless split is set.
type eventWriter struct {
	w       http.ResponseWriter
	r       *request
	control *http.ResponseController
	json    dialect
	number  int // of the next event; -1: no id lines
	split   bool
}

func newEventWriter(w http.ResponseWriter, r *request, s faults, numbered bool) *eventWriter {
	e := &eventWriter{w: w, r: r, control: http.NewResponseController(w), json: spaced, number: -1, split: s.split}
	e.json.raw = s.unicode
	if numbered {
		e.number = 0
	}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	_ = e.control.Flush() // the headers precede the model's answer
	return e
}

// frame returns the bytes of an event.
func (e *eventWriter) frame(event any) []byte {
	var b []byte
	if e.number >= 0 {
		b = append(strconv.AppendInt(append(b, "id: "...), int64(e.number), 10), '\n')
		e.number++
	}
	b = append(b, "data: "...)
	if raw, isText := event.(string); isText {
		b = append(b, raw...)
	} else {
		b = append(b, e.json.dumps(event)...)
	}
	return append(b, "\n\n"...)
}

// send writes one event: an object, or the text [DONE]. It reports whether the client is still connected.
func (e *eventWriter) send(event any) bool { return e.write(e.frame(event)) }

// comment writes a comment line.
func (e *eventWriter) comment(text string) bool { return e.write([]byte(": " + text + "\n\n")) }

// cut writes half of an event and aborts the connection. It does not return.
func (e *eventWriter) cut(event any) {
	frame := e.frame(event)
	e.write(frame[:len(frame)/2])
	panic(http.ErrAbortHandler)
}

// splitSizes are the lengths of the writes of a split event. They split words, lines and characters.
var splitSizes = []int{1, 3, 2, 7, 1, 5, 11, 4}

func (e *eventWriter) write(b []byte) bool {
	for i := 0; len(b) > 0; i++ {
		n := len(b)
		if e.split {
			n = min(n, splitSizes[i%len(splitSizes)])
		}
		if e.r.Context().Err() != nil {
			return false
		}
		if _, err := e.w.Write(b[:n]); err != nil {
			return false
		}
		if err := e.control.Flush(); err != nil {
			return false
		}
		b = b[n:]
	}
	return true
}

// writeText streams the pieces, with the faults s between them. wrap turns a piece into an event. It reports whether the client
// is still connected.
func (e *eventWriter) writeText(list []string, s faults, pace time.Duration, wrap func(string) any) bool {
	if s.keepalive && !e.comment("keepalive") {
		return false
	}
	for i, piece := range list {
		if s.cut && i == len(list)/2 {
			e.cut(wrap(piece))
		}
		if !e.send(wrap(piece)) {
			return false
		}
		wait := pace
		if i == 0 {
			wait += s.gap
			if s.keepalive && !e.comment("keepalive") {
				return false
			}
		}
		if !pause(e.r.Context(), wait) {
			return false
		}
	}
	return true
}
