package docsgpt

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// CreatedKind is the kind of a resource that DocsGPT has created for an upload or a recording.
type CreatedKind uint8

// The kinds.
const (
	CreatedTask CreatedKind = iota
	CreatedAttachment
	CreatedSession // a live transcription
)

// createdFields are the fields with the IDs of created resources.
var createdFields = map[string]CreatedKind{
	"task_id": CreatedTask, "attachment_id": CreatedAttachment, "session_id": CreatedSession,
}

// CreatedIDs rewrites the IDs of created resources before clients get them.
type CreatedIDs interface {
	// AppendCreatedID appends what the client gets instead of id, which needs no escaping in JSON. It reports false, and appends
	// nothing, if the ID is not rewritten. id is not empty.
	AppendCreatedID(dst []byte, kind CreatedKind, id string) (out []byte, ok bool)
}

// RewriteCreatedIDs returns the response of an upload or speech endpoint with the IDs of the resources that it reports rewritten: the
// tasks and attachments of an upload of one or several files, the attachment of a finished task, a live transcription. Of an invalid
// response, the IDs before the error are rewritten.
func RewriteCreatedIDs(response []byte, ids CreatedIDs) []byte {
	w := createdWriter{response: response, ids: ids}
	d := jsontext.NewDecoder(bytes.NewReader(response))
	if d.PeekKind() == '{' {
		_ = w.object(d, 0)
	}
	return append(w.out, response[w.written:]...)
}

type createdWriter struct {
	response []byte
	ids      CreatedIDs
	out      []byte
	written  int // bytes of response that are in out
}

// object reads an object. The IDs are at the top level, in the objects of the list "tasks", or in the object "result".
func (w *createdWriter) object(d *jsontext.Decoder, depth int) error {
	return forEachField(d, func(name string) error {
		switch {
		case depth == 0 && name == "result" && d.PeekKind() == '{':
			return w.object(d, 1)
		case depth == 0 && name == "tasks" && d.PeekKind() == '[':
			return w.list(d)
		}
		value, err := d.ReadValue()
		if err != nil {
			return err
		}
		kind, known := createdFields[name]
		if id, ok := textOf(value); known && ok && id != "" {
			w.replace(int(d.InputOffset())-len(value), int(d.InputOffset()), kind, id)
		}
		return nil
	})
}

func (w *createdWriter) list(d *jsontext.Decoder) error {
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() == '{' {
		if err := w.object(d, 1); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// replace rewrites the ID in a value of the response.
func (w *createdWriter) replace(start, end int, kind CreatedKind, id string) {
	kept := len(w.out)
	w.out = append(append(w.out, w.response[w.written:start]...), '"')
	out, ok := w.ids.AppendCreatedID(w.out, kind, id)
	if !ok {
		w.out = w.out[:kept]
		return
	}
	w.out, w.written = append(out, '"'), end
}
