package caddymodule

import (
	"net/http"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/ownership"
)

// Kinds of belongings that only uploads and speech have.
const (
	// accountTask is a task that DocsGPT made for the gate's own account, and tells about to nobody else.
	accountTask ownership.Kind = "task of the account"
	liveSession ownership.Kind = "live transcription"
)

var (
	errTaskNotFound    = newError(http.StatusNotFound, "task_not_found", "There is no such task.")
	errSessionNotFound = newError(http.StatusNotFound, "session_not_found", "There is no such transcription.")
)

// authorizeTask tells whether the task that a request without a key asks for was given to a key.
func (x *gatewayRequest) authorizeTask() *apiError {
	id := x.query.Value(x.endpoint, docsgpt.CheckTask)
	if id == "" {
		return nil
	}
	if _, known := x.handler.app.state.belongings.Owner(ownership.Task, id); !known {
		return errTaskNotFound
	}
	return nil
}

// rewriteTaskStatus makes the query and the credential of a request without a key.
func (x *gatewayRequest) rewriteTaskStatus() {
	if x.endpoint.Params == nil {
		return
	}
	x.rawQuery = x.query.Rewrite(x.endpoint, "")
	id := x.query.Value(x.endpoint, docsgpt.CheckTask)
	if _, ours := x.handler.app.state.belongings.Owner(accountTask, id); ours && x.handler.app.version.Accounts {
		x.header["Authorization"] = []string{"Bearer " + x.handler.app.token.Reveal()}
	}
}

// isTaskStatus tells whether the answer is about a task, for somebody without a key.
func (a *response) isTaskStatus() bool {
	g := a.x.endpoint.Group
	return a.x.key == nil && (g == docsgpt.GroupAttachments || g == docsgpt.GroupSpeech)
}

// recordUploadIDs notes the tasks, attachments and transcriptions that an answer names. What comes of a task belongs to
// whoever was given the task.
func (a *response) recordUploadIDs() {
	x := a.x
	if g := x.endpoint.Group; g != docsgpt.GroupAttachments && g != docsgpt.GroupSpeech {
		return
	}
	made, belongings := docsgpt.ParseCreatedIDs(a.out), x.handler.app.state.belongings
	if a.isTaskStatus() {
		a.out = docsgpt.RedactTask(a.out)
		if owner, known := belongings.Owner(ownership.Task, x.query.Value(x.endpoint, docsgpt.CheckTask)); known {
			for _, id := range made.Attachments {
				belongings.Assign(owner, ownership.Attachment, id)
			}
		}
		return
	}
	for _, id := range made.Tasks {
		x.recordOwnership(ownership.Task, id)
		if x.key.Binding.Kind() == keys.SourceBinding {
			x.recordOwnership(accountTask, id)
		}
	}
	for _, id := range made.Attachments {
		x.recordOwnership(ownership.Attachment, id)
	}
	for _, id := range made.Sessions {
		x.recordOwnership(liveSession, id)
	}
}
