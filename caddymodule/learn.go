package caddymodule

import (
	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/policy"
)

// learn notes what a whole answer says that DocsGPT made for this key. The client gets the answer afterwards, so what
// it asks next finds it noted.
func (a *answer) learn() {
	a.learnMCP()
	a.learnUpload()
	if a.x.endpoint.Conversational {
		a.x.got(policy.Conversation, docsgpt.ConversationOf(a.out))
	}
}
