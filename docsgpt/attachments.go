package docsgpt

import (
	"bytes"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// maxFiles is how many files one upload may have.
const maxFiles = 16

const errNeedsSource = "In this DocsGPT uploads work only with a key that is bound to sources; this key is bound to an agent."

// attachmentEndpoints are uploads and what becomes of them. Clients ask for that without their key, so a task's id is
// what is checked.
func (v *Version) attachmentEndpoints() []Endpoint {
	if v.Attachments == AttachmentsNone {
		return nil
	}
	return []Endpoint{
		{
			Name: "store_attachment", Path: "/api/store_attachment", Method: http.MethodPost, Group: GroupAttachments,
			Token: PlaceForm, Shape: ShapeJSON, Body: BodyForm, Members: []Field{}, Files: maxFiles,
			Agents: v.Attachments == AttachmentsAny, Sources: true, UnsupportedMessage: errNeedsSource,
		},
		{
			Name: "task_status", Path: "/api/task_status", Method: http.MethodGet, Group: GroupAttachments,
			Token: TokenNone, Shape: ShapeJSON, Params: []Param{{Name: "task_id", Required: true, Check: CheckTask}},
		},
	}
}

// withAttachments lets a chat name attachments, which are checked even where an operator allows that name.
func withAttachments(e *Endpoint) {
	if e.Group != GroupWidget || !e.CreatesConversation {
		return
	}
	e.Members = slices.DeleteFunc(slices.Clone(e.Members), func(m Field) bool { return m.Name == "attachments" })
	e.Members = append(e.Members, Field{Name: "attachments", Kinds: KindArray | KindNull, Check: CheckAttachments})
}

// CreatedIDs are the ids of what DocsGPT made for a request.
type CreatedIDs struct{ Tasks, Attachments, Sessions []string }

// ParseCreatedIDs returns what an answer of an endpoint for uploads or speech says that was made: the tasks and attachments of
// an upload of one or several files, the attachment of a finished task, a live transcription. Anything else says
// nothing.
func ParseCreatedIDs(answer []byte) CreatedIDs {
	var m CreatedIDs
	d := jsontext.NewDecoder(bytes.NewReader(answer))
	if d.PeekKind() == '{' {
		_ = m.read(d, 0) // a broken answer says what was read of it
	}
	return m
}

// read reads an object. The ids stand at the top, in the objects of the list "tasks", or in the object "result".
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

// taskResult are the members of a task's result that a client gets. Others tell the owner's name and the path of the
// stored file; the result of a task that failed may be the text of an exception.
var taskResult = []string{"attachment_id", "current", "filename", "mime_type", "status", "token_count"}

// RedactTask returns DocsGPT's answer about a task with nothing in it but what an uploader needs: the status, and what
// the attachment is. What cannot be read is left out.
func RedactTask(answer []byte) []byte {
	status, result := []byte(`"PENDING"`), []byte("null")
	d := jsontext.NewDecoder(bytes.NewReader(answer))
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
		status = []byte(`"PENDING"`) // DocsGPT read the one before the task was over, and the other after
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
