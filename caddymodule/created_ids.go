package caddymodule

import (
	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/ownership"
)

// recordCreatedIDs notes what a whole answer says that DocsGPT made for this key. The client gets the answer afterwards, so what
// it asks next finds it noted.
func (a *response) recordCreatedIDs() {
	a.inspectMCPBody()
	a.recordUploadIDs()
	if a.x.endpoint.CreatesConversation {
		a.x.recordOwnership(ownership.Conversation, docsgpt.ConversationOf(a.out))
	}
}
