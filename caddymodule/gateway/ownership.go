package gateway

import (
	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/ownership"
)

// authorizeResources checks whether the resources in the request belong to its key, and replaces their signed IDs by those of DocsGPT. If
// a request also makes sense without a conversation, rewrite removes one that does not belong to the key instead.
func (c *client) authorizeResources(e *endpoint, head *requestHead, body *requestBody, key *keys.Key) *apiError {
	if body.json.NeedsConversation() {
		id, ok := c.checkConversation(key, body.json.Conversation())
		if !ok {
			return errConversationNotFound
		}
		body.json.SetConversation(id)
	}
	if signed := head.query.Value(e.Endpoint, docsgpt.CheckOwned); signed != "" {
		id, ok := c.checkConversation(key, signed)
		if !ok {
			return errConversationNotFound
		}
		head.query.SetValue(e.Endpoint, docsgpt.CheckOwned, id)
	}
	for _, id := range body.json.Attachments() {
		if !c.owns(key, ownership.Attachment, id) {
			return errAttachmentNotFound
		}
	}
	session := body.json.Session()
	if body.form != nil {
		session = body.form.Value(docsgpt.CheckSession)
	}
	if session != "" && !c.owns(key, liveSession, session) {
		return errSessionNotFound
	}
	return nil
}

// ownerFor returns the owner of the resources of a request: a key with its current binding, or one of its visitors.
func (c *client) ownerFor(key *keys.Key) ownership.Owner {
	texts := make([]string, 0, 8)
	if c.signed != nil {
		texts = append(texts, "visitor:", c.signed.ID) // no key has an ID with a colon
	}
	if b := key.Binding; b.Kind() == keys.AgentBinding {
		texts = append(texts, key.ID, "agent", b.Agent.Reveal())
	} else {
		texts = append(append(texts, key.ID, "source"), b.Sources...)
	}
	return ownership.OwnerOf(texts...)
}

// owns reports whether the key or visitor of the request owns a resource.
func (c *client) owns(key *keys.Key, kind ownership.Kind, id string) bool {
	return id != "" && c.handler.app.State().Ownership.Owns(c.ownerFor(key), kind, id)
}

// recordOwnership records that the key or visitor of the request owns a resource. It does nothing without a key or an ID.
func (res *response) recordOwnership(kind ownership.Kind, id string) {
	if res.key != nil && id != "" {
		res.ownership().Assign(res.client.ownerFor(res.key), kind, id)
	}
}

func (res *response) ownership() *ownership.Index { return res.client.handler.app.State().Ownership }

// inspectBody runs the group's part for a buffered response, and signs the ID of its conversation. It runs before the response is written,
// so that the client's next request may use it. An error is sent in its place.
func (res *response) inspectBody() *docsgpt.Error {
	if onBody := res.client.endpoint.group.onBody; onBody != nil {
		if r := onBody(res); r != nil {
			return r
		}
	}
	if res.client.endpoint.CreatesConversation && res.key != nil {
		var id string
		id, res.out = docsgpt.ConversationOf(res.out, res)
		res.unblockConversation(id)
	}
	return nil
}
