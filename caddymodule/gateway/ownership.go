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
	if signed := body.json.Attachments(); len(signed) > 0 {
		ids := make([]string, len(signed))
		for i := range signed {
			var ok bool
			if ids[i], ok = c.check(key, ownership.Attachment, signed[i]); !ok {
				return errAttachmentNotFound
			}
		}
		body.json.SetAttachments(ids)
	}
	return c.authorizeLiveSession(body, key)
}

// authorizeLiveSession is authorizeResources for the live transcription in a body or a form.
func (c *client) authorizeLiveSession(body *requestBody, key *keys.Key) *apiError {
	signed := body.json.Session()
	if body.form != nil {
		signed = body.form.Value(docsgpt.CheckSession)
	}
	if signed == "" {
		return nil
	}
	id, ok := c.check(key, liveSession, signed)
	if !ok {
		return errSessionNotFound
	}
	if body.form != nil {
		body.form.SetValue(docsgpt.CheckSession, id)
	} else {
		body.json.SetSession(id)
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
