package caddymodule

import (
	"net/http"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/policy"
)

// Kinds of belongings that only uploads and speech have.
const (
	// accountTask is a task that DocsGPT made for the gate's own account, and tells about to nobody else.
	accountTask policy.Kind = "task of the account"
	liveSession policy.Kind = "live transcription"
)

var (
	foreignTask    = refuseWith(http.StatusNotFound, "task_not_found", "There is no such task.")
	foreignSession = refuseWith(http.StatusNotFound, "session_not_found", "There is no such transcription.")
)

// decideTask tells whether the task that a request without a key asks for was given to a key.
func (x *exchange) decideTask() *refusal {
	id := x.query.Value(x.endpoint, docsgpt.CheckTask)
	if id == "" {
		return nil
	}
	if _, known := x.handler.app.state.belongings.Owner(policy.Task, id); !known {
		return foreignTask
	}
	return nil
}

// rewriteKeyless makes the query and the credential of a request without a key.
func (x *exchange) rewriteKeyless() {
	if x.endpoint.Params == nil {
		return
	}
	x.rawQuery = x.query.Rewrite(x.endpoint, "")
	id := x.query.Value(x.endpoint, docsgpt.CheckTask)
	if _, ours := x.handler.app.state.belongings.Owner(accountTask, id); ours && x.handler.app.version.Accounts {
		x.header["Authorization"] = []string{"Bearer " + x.handler.app.token.Reveal()}
	}
}

// cleansTask tells whether the answer is about a task, for somebody without a key.
func (a *answer) cleansTask() bool {
	g := a.x.endpoint.Group
	return a.x.key == nil && (g == docsgpt.GroupAttachments || g == docsgpt.GroupSpeech)
}

// learnUpload notes the tasks, attachments and transcriptions that an answer names. What comes of a task belongs to
// whoever was given the task.
func (a *answer) learnUpload() {
	x := a.x
	if g := x.endpoint.Group; g != docsgpt.GroupAttachments && g != docsgpt.GroupSpeech {
		return
	}
	made, belongings := docsgpt.MadeOf(a.out), x.handler.app.state.belongings
	if a.cleansTask() {
		a.out = docsgpt.CleanTask(a.out)
		if owner, known := belongings.Owner(policy.Task, x.query.Value(x.endpoint, docsgpt.CheckTask)); known {
			for _, id := range made.Attachments {
				belongings.Give(owner, policy.Attachment, id)
			}
		}
		return
	}
	for _, id := range made.Tasks {
		x.got(policy.Task, id)
		if x.key.Binding.Kind() == keys.SourceBinding {
			x.got(accountTask, id)
		}
	}
	for _, id := range made.Attachments {
		x.got(policy.Attachment, id)
	}
	for _, id := range made.Sessions {
		x.got(liveSession, id)
	}
}
