package gateway

import (
	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/ownership"
)

// authorizeResources checks whether the resources in the request belong to its key. If a request also makes sense without a
// conversation, rewrite removes one that does not belong to the key instead.
func (h *Handler) authorizeResources(e *endpoint, head *requestHead, body *requestBody, key *keys.Key) *apiError {
	if body.json.NeedsConversation() && !h.owns(key, ownership.Conversation, body.json.Conversation()) {
		return errConversationNotFound
	}
	if id := head.query.Value(e.Endpoint, docsgpt.CheckOwned); id != "" && !h.owns(key, ownership.Conversation, id) {
		return errConversationNotFound
	}
	for _, id := range body.json.Attachments() {
		if !h.owns(key, ownership.Attachment, id) {
			return errAttachmentNotFound
		}
	}
	session := body.json.Session()
	if body.form != nil {
		session = body.form.Value(docsgpt.CheckSession)
	}
	if session != "" && !h.owns(key, liveSession, session) {
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

// owns reports whether the key owns a resource.
func (h *Handler) owns(key *keys.Key, kind ownership.Kind, id string) bool {
	return id != "" && h.app.State().Ownership.Owns(ownerFor(key), kind, id)
}

// recordOwnership records that the key of the request owns a resource. It does nothing without a key or an ID.
func (res *response) recordOwnership(kind ownership.Kind, id string) {
	if res.key != nil && id != "" {
		res.ownership().Assign(ownerFor(res.key), kind, id)
	}
}

func (res *response) ownership() *ownership.Index { return res.client.handler.app.State().Ownership }

// inspectBody runs the group's part for a buffered response, and records the owner of everything that DocsGPT created according
// to it. It runs before the response is written, so that the client's next request finds it. An error is sent in its place.
func (res *response) inspectBody() *docsgpt.Error {
	if onBody := res.client.endpoint.group.onBody; onBody != nil {
		if r := onBody(res); r != nil {
			return r
		}
	}
	if res.client.endpoint.CreatesConversation {
		res.recordOwnership(ownership.Conversation, docsgpt.ConversationOf(res.out))
	}
	return nil
}
