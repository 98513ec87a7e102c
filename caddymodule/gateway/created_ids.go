package gateway

import (
	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/ownership"
)

// recordCreatedIDs records the owner of everything that DocsGPT created according to a buffered response. It runs before the
// response is written, so that the client's next request finds it.
func (res *response) recordCreatedIDs() {
	res.inspectMCPBody()
	res.recordUploadIDs()
	if res.x.endpoint.CreatesConversation {
		res.x.recordOwnership(ownership.Conversation, docsgpt.ConversationOf(res.out))
	}
}
