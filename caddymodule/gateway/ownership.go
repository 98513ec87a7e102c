package gateway

import (
	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/ownership"
)

// authorizeResources checks whether the resources in the request belong to its key. If a request also makes sense without a
// conversation, rewrite removes one that does not belong to the key instead.
func (x *gatewayRequest) authorizeResources() *apiError {
	if x.body.NeedsConversation() && !x.owns(ownership.Conversation, x.body.Conversation()) {
		return errConversationNotFound
	}
	if id := x.query.Value(x.endpoint, docsgpt.CheckOwned); id != "" && !x.owns(ownership.Conversation, id) {
		return errConversationNotFound
	}
	for _, id := range x.body.Attachments() {
		if !x.owns(ownership.Attachment, id) {
			return errAttachmentNotFound
		}
	}
	session := x.body.Session()
	if x.upload != nil {
		session = x.upload.form.Value(docsgpt.CheckSession)
	}
	if session != "" && !x.owns(liveSession, session) {
		return errSessionNotFound
	}
	return nil
}

// ownerFor returns the owner for a key with its current binding.
func ownerFor(key *keys.Key) ownership.Owner {
	b := key.Binding
	if b.Kind() == keys.AgentBinding {
		return ownership.OwnerOf(key.ID, "agent", b.Agent.Reveal())
	}
	return ownership.OwnerOf(append([]string{key.ID, "source"}, b.Sources...)...)
}

func (x *gatewayRequest) owns(kind ownership.Kind, id string) bool {
	return id != "" && x.key != nil && x.handler.app.State().Ownership.Owns(ownerFor(x.key), kind, id)
}

// recordOwnership records that the key owns a resource.
func (x *gatewayRequest) recordOwnership(kind ownership.Kind, id string) {
	if x.key != nil && id != "" {
		x.handler.app.State().Ownership.Assign(ownerFor(x.key), kind, id)
	}
}
