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
func authorizeTask(c *client, head requestHead, _ *requestBody, key *keys.Key) (authorization, *apiError) {
	access := authorization{}
	if key != nil {
		return access, nil
	}
	if access.task = head.query.Value(c.endpoint.Endpoint, docsgpt.CheckTask); access.task == "" {
		return access, nil
	}
	if _, known := c.handler.app.State().Ownership.Owner(ownership.Task, access.task); !known {
		return access, errTaskNotFound
	}
	return access, nil
}

// taskCredential returns the credential for the status of a task of the account, or "".
func taskCredential(c *client, access authorization) string {
	if _, owned := c.handler.app.State().Ownership.Owner(accountTask, access.task); owned && c.handler.app.Version().Accounts {
		return c.handler.app.Credential().Reveal()
	}
	return ""
}

// isTaskStatus reports whether the response is the status of a task for a client without a key.
func (res *response) isTaskStatus() bool {
	g := res.client.endpoint.Group
	return res.key == nil && (g == docsgpt.GroupAttachments || g == docsgpt.GroupSpeech)
}

// recordUploadIDs records the owner of tasks, attachments and transcriptions in a buffered response. Attachments that a task
// creates belong to the owner of the task.
func (res *response) recordUploadIDs() *docsgpt.Error {
	created, index := docsgpt.ParseCreatedIDs(res.out), res.ownership()
	if res.isTaskStatus() {
		res.out = docsgpt.RedactTask(res.out)
		if owner, known := index.Owner(ownership.Task, res.task); known {
			for _, id := range created.Attachments {
				index.Assign(owner, ownership.Attachment, id)
			}
		}
		return nil
	}
	for _, id := range created.Tasks {
		res.recordOwnership(ownership.Task, id)
		if res.key.Binding.Kind() == keys.SourceBinding {
			res.recordOwnership(accountTask, id)
		}
	}
	for _, id := range created.Attachments {
		res.recordOwnership(ownership.Attachment, id)
	}
	for _, id := range created.Sessions {
		res.recordOwnership(liveSession, id)
	}
	return nil
}
