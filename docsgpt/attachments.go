package docsgpt

import (
	"bytes"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// maxFiles is the largest number of files in one upload.
const maxFiles = 16

const errNeedsSource = "This DocsGPT accepts uploads only with a key that is bound to sources; this key is bound to an agent."

// attachmentEndpoints returns the endpoints for uploads and for their tasks. Clients ask for the status of a task without
// their key, so the gate checks the task's ID instead.
func (v *Version) attachmentEndpoints() []Endpoint {
	if v.Attachments == AttachmentsNone {
		return nil
	}
	return []Endpoint{
		{
			Name: "store_attachment", Path: "/api/store_attachment", Method: http.MethodPost, Group: GroupAttachments,
			Token: TokenForm, ErrorFormat: FormatJSON, Body: BodyForm, Fields: []Field{}, Files: maxFiles,
			Agents: v.Attachments == AttachmentsAny, Sources: true, UnsupportedMessage: errNeedsSource,
		},
		{
			Name: "task_status", Path: "/api/task_status", Method: http.MethodGet, Group: GroupAttachments,
			Token: TokenNone, ErrorFormat: FormatJSON, Params: []Param{{Name: "task_id", Required: true, Check: CheckTask}},
		},
	}
}

// withAttachments lets a chat request name attachments. They are checked even if an operator allows the field.
func withAttachments(e *Endpoint) {
	if e.Group != GroupWidget || !e.CreatesConversation {
		return
	}
	e.Fields = slices.DeleteFunc(slices.Clone(e.Fields), func(m Field) bool { return m.Name == "attachments" })
	e.Fields = append(e.Fields, Field{Name: "attachments", Kinds: KindArray | KindNull, Check: CheckAttachments})
}

// CreatedIDs are the IDs of the resources that DocsGPT created for a request.
type CreatedIDs struct{ Tasks, Attachments, Sessions []string }

// ParseCreatedIDs returns the resources that a response of an upload or speech endpoint reports: the tasks and
// attachments of an upload of one or several files, the attachment of a finished task, a live transcription. Anything
// else yields no IDs.
func ParseCreatedIDs(response []byte) CreatedIDs {
	var m CreatedIDs
	d := jsontext.NewDecoder(bytes.NewReader(response))
	if d.PeekKind() == '{' {
		_ = m.read(d, 0) // of an invalid response, keep what was read before the error
	}
	return m
}

// read reads an object. The IDs are at the top level, in the objects of the list "tasks", or in the object "result".
func (m *CreatedIDs) read(d *jsontext.Decoder, depth int) error {
	return forEachField(d, func(name string) error {
		switch {
		case depth == 0 && name == "result" && d.PeekKind() == '{':
			return m.read(d, 1)
		case depth == 0 && name == "tasks" && d.PeekKind() == '[':
			return m.readList(d)
		}
		value, err := d.ReadValue()
		if err != nil {
			return err
		}
		id, ok := textOf(value)
		switch {
		case !ok || id == "":
		case name == "task_id":
			m.Tasks = append(m.Tasks, id)
		case name == "attachment_id":
			m.Attachments = append(m.Attachments, id)
		case name == "session_id":
			m.Sessions = append(m.Sessions, id)
		}
		return nil
	})
}

func (m *CreatedIDs) readList(d *jsontext.Decoder) error {
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() == '{' {
		if err := m.read(d, 1); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// taskResult are the fields of a task's result that clients get. Other fields contain the owner's name and the path of
// the stored file, and the result of a failed task may be the text of an exception.
var taskResult = []string{"attachment_id", "current", "filename", "mime_type", "status", "token_count"}

// RedactTask reduces DocsGPT's response about a task to what an uploader needs: the status and a description of the
// attachment. Parts that cannot be parsed are dropped.
func RedactTask(response []byte) []byte {
	status, result := []byte(`"PENDING"`), []byte("null")
	d := jsontext.NewDecoder(bytes.NewReader(response))
	if d.PeekKind() == '{' {
		_ = forEachField(d, func(name string) error {
			if name == "result" && d.PeekKind() == '{' {
				var err error
				result, err = cleanResult(d)
				return err
			}
			value, err := d.ReadValue()
			if name == "status" && value.Kind() == '"' {
				status = slices.Clone(value)
			}
			return err
		})
	}
	if string(result) == "null" && string(status) == `"SUCCESS"` {
		status = []byte(`"PENDING"`) // DocsGPT read the result before the task ended, and the status after
	}
	out := append([]byte(`{"status":`), status...)
	out = append(append(out, `,"result":`...), result...)
	return append(out, "}\n"...)
}

func cleanResult(d *jsontext.Decoder) ([]byte, error) {
	out := []byte{'{'}
	err := forEachField(d, func(name string) error {
		value, err := d.ReadValue()
		if err == nil && slices.Contains(taskResult, name) {
			out = append(appendName(out, name), value...)
		}
		return err
	})
	return append(out, '}'), err
}
