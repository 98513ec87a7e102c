package gateway

import (
	"net/http"
	"time"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/ownership"
	"github.com/docsgate/docsgate/ownership/signedid"
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

// statusTask is the task whose status a client without a key requests.
type statusTask struct {
	owner     ownership.Owner // of the task, and of the attachments that it creates
	ofAccount bool            // see accountTask
}

// authorizeTask checks that the task in a request without a key was created through the gate.
func authorizeTask(c *client, head requestHead, _ *requestBody, key *keys.Key) (authorization, *apiError) {
	access := authorization{}
	if key != nil {
		return access, nil
	}
	signed := head.query.Value(c.endpoint.Endpoint, docsgpt.CheckTask)
	if signed == "" {
		return access, nil
	}
	for _, kind := range []ownership.Kind{ownership.Task, accountTask} {
		id, owner, ok := c.handler.backend.IDs().Signer.CheckWithOwner(signed, &signedid.Subject{Kind: string(kind)}, c.started)
		if ok {
			head.query.SetValue(c.endpoint.Endpoint, docsgpt.CheckTask, id)
			access.task = &statusTask{owner: owner, ofAccount: kind == accountTask}
			return access, nil
		}
	}
	return access, errTaskNotFound
}

// taskCredential returns the credential for the status of a task of the account, or "".
func taskCredential(c *client, access authorization) string {
	if access.task != nil && access.task.ofAccount && c.handler.backend.Version().Accounts {
		return c.handler.backend.Credential().Reveal()
	}
	return ""
}

// isTaskStatus reports whether the response is the status of a task for a client without a key.
func (res *response) isTaskStatus() bool {
	g := res.client.endpoint.Group
	return res.key == nil && (g == docsgpt.GroupAttachments || g == docsgpt.GroupSpeech)
}

// signUploadIDs signs the IDs of tasks, attachments and transcriptions in a buffered response.
func (res *response) signUploadIDs() *docsgpt.Error {
	if res.isTaskStatus() {
		res.out = docsgpt.RedactTask(res.out)
	}
	res.out = docsgpt.RewriteCreatedIDs(res.out, res)
	return nil
}

// AppendCreatedID implements docsgpt.CreatedIDs. Attachments that a task creates belong to the owner of the task.
func (res *response) AppendCreatedID(dst []byte, created docsgpt.CreatedKind, id string) (out []byte, ok bool) {
	signer, about := res.client.handler.backend.IDs().Signer, signedid.Subject{}
	switch {
	case res.key != nil:
		about.Owner = res.client.ownerFor(res.key)
	case res.task != nil && created == docsgpt.CreatedAttachment:
		about.Owner = res.task.owner
	default:
		return dst, false
	}
	switch created {
	case docsgpt.CreatedTask:
		about.Kind = string(ownership.Task)
		if res.key.Binding.Kind() == keys.SourceBinding {
			about.Kind = string(accountTask)
		}
		return signer.AppendWithOwner(dst, id, &about, time.Now())
	case docsgpt.CreatedAttachment:
		about.Kind = string(ownership.Attachment)
	case docsgpt.CreatedSession:
		about.Kind = string(liveSession)
	}
	return signer.Append(dst, id, &about, time.Now())
}
