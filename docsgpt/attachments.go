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
