package caddymodule

import (
	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/policy"
)

// decideBelongings tells whether what the request names was given to its key. A conversation that was not is left out
// when the request is rewritten, where it makes sense without one.
func (x *exchange) decideBelongings() *refusal {
	if x.body.NeedsConversation() && !x.owns(policy.Conversation, x.body.Conversation()) {
		return foreignConversation
	}
	if id := x.query.Value(x.endpoint, docsgpt.CheckOwned); id != "" && !x.owns(policy.Conversation, id) {
		return foreignConversation
	}
	for _, id := range x.body.Attachments() {
		if !x.owns(policy.Attachment, id) {
			return foreignAttachment
		}
	}
	session := x.body.Session()
	if x.upload != nil {
		session = x.upload.form.Value(docsgpt.CheckSession)
	}
	if session != "" && !x.owns(liveSession, session) {
		return foreignSession
	}
	return nil
}

// ownerOf names a key and what it is bound to.
func ownerOf(key *keys.Key) policy.Owner {
	b := key.Binding
	if b.Kind() == keys.AgentBinding {
		return policy.OwnerOf(key.ID, "agent", b.Agent.Reveal())
	}
	return policy.OwnerOf(append([]string{key.ID, "source"}, b.Sources...)...)
}

func (x *exchange) owns(kind policy.Kind, id string) bool {
	return id != "" && x.key != nil && x.handler.app.state.belongings.Owns(ownerOf(x.key), kind, id)
}

// got notes that DocsGPT made something for this key, or went on with it.
func (x *exchange) got(kind policy.Kind, id string) {
	if x.key != nil && id != "" {
		x.handler.app.state.belongings.Give(ownerOf(x.key), kind, id)
	}
}
