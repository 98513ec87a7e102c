package gateway

import (
	"net/http"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/ownership"
)

// Kinds of resources that only uploads and speech have.
const (
	// accountTask is a task that DocsGPT created for the account of upstream_token. Its status needs that credential.
	accountTask ownership.Kind = "task of the account"
	liveSession ownership.Kind = "live transcription"
)

var (
	errTaskNotFound    = newError(http.StatusNotFound, "task_not_found", "There is no such task.")
	errSessionNotFound = newError(http.StatusNotFound, "session_not_found", "There is no such transcription.")
)

// authorizeTask checks that the task in a request without a key was created through the gate.
func (x *gatewayRequest) authorizeTask() *apiError {
	id := x.query.Value(x.endpoint, docsgpt.CheckTask)
	if id == "" {
		return nil
	}
	if _, known := x.handler.app.State().Ownership.Owner(ownership.Task, id); !known {
		return errTaskNotFound
	}
	return nil
}

// rewriteTaskStatus sets the query and the credential of a request without a key.
func (x *gatewayRequest) rewriteTaskStatus() {
	if x.endpoint.Params == nil {
		return
	}
	x.rawQuery = x.query.Rewrite(x.endpoint, "")
	id := x.query.Value(x.endpoint, docsgpt.CheckTask)
	if _, owned := x.handler.app.State().Ownership.Owner(accountTask, id); owned && x.handler.app.Version().Accounts {
		x.header["Authorization"] = []string{"Bearer " + x.handler.app.Credential().Reveal()}
	}
}

// isTaskStatus reports whether the response is the status of a task for a client without a key.
func (res *response) isTaskStatus() bool {
	g := res.x.endpoint.Group
	return res.x.key == nil && (g == docsgpt.GroupAttachments || g == docsgpt.GroupSpeech)
}

// recordUploadIDs records the owner of tasks, attachments and transcriptions in a buffered response. Attachments that a task
// creates belong to the owner of the task.
func (res *response) recordUploadIDs() {
	x := res.x
	if g := x.endpoint.Group; g != docsgpt.GroupAttachments && g != docsgpt.GroupSpeech {
		return
	}
	created, index := docsgpt.ParseCreatedIDs(res.out), x.handler.app.State().Ownership
	if res.isTaskStatus() {
		res.out = docsgpt.RedactTask(res.out)
		if owner, known := index.Owner(ownership.Task, x.query.Value(x.endpoint, docsgpt.CheckTask)); known {
			for _, id := range created.Attachments {
				index.Assign(owner, ownership.Attachment, id)
			}
		}
		return
	}
	for _, id := range created.Tasks {
		x.recordOwnership(ownership.Task, id)
		if x.key.Binding.Kind() == keys.SourceBinding {
			x.recordOwnership(accountTask, id)
		}
	}
	for _, id := range created.Attachments {
		x.recordOwnership(ownership.Attachment, id)
	}
	for _, id := range created.Sessions {
		x.recordOwnership(liveSession, id)
	}
}
