package gateway

import (
	"crypto/sha256"
	"time"

	"go.uber.org/zap"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/ownership"
	"github.com/docsgate/docsgate/ownership/blocklist"
	"github.com/docsgate/docsgate/ownership/signedid"
)

// subjectOf returns what the signature of an ID is about: a resource of the key or visitor of the request. IDs of conversations that may be
// blocked are only valid with the list of blocked conversations that knows about it.
func (c *client) subjectOf(key *keys.Key, kind ownership.Kind) signedid.Subject {
	about := signedid.Subject{Kind: string(kind), Owner: c.ownerFor(key)}
	if kind == ownership.Conversation && c.handler.mayBlock(key) {
		about.Scope = c.handler.backend.IDs().Blocked.Identity()
	}
	return about
}

// check returns the ID of DocsGPT in a signed ID. ok is false unless it was signed for the key or visitor of the request.
func (c *client) check(key *keys.Key, kind ownership.Kind, signed string) (id string, ok bool) {
	if len(signed) > signedid.MaxSignedLength {
		return "", false
	}
	about := c.subjectOf(key, kind)
	return c.handler.backend.IDs().Signer.Check(signed, &about, c.started)
}

// checkConversation is like check, for a conversation. It must not be blocked either.
func (c *client) checkConversation(key *keys.Key, signed string) (id string, ok bool) {
	if id, ok = c.check(key, ownership.Conversation, signed); !ok {
		return "", false
	}
	return id, !c.handler.mayBlock(key) || !c.handler.backend.IDs().Blocked.Blocked(c.ctx, id)
}

// blockConversation blocks a conversation of the key while its answer is in flight. It reports false if the conversation must not be used.
func (c *client) blockConversation(key *keys.Key, id string) bool {
	blocked := c.handler.backend.IDs().Blocked
	added, err := blocked.Add(c.ctx, blocklistKey(key), id, c.started)
	if err == nil {
		return added
	}
	if skipped, due := c.handler.sampler.Allow("blocklist", key.ID, time.Now()); due && c.ctx.Err() == nil {
		c.handler.logger.Warn("a conversation is not continued, since it cannot be blocked during the answer", zap.String("key", key.ID),
			zap.Int("suppressed", skipped), zap.Error(err))
	}
	return false
}

func blocklistKey(key *keys.Key) blocklist.Key {
	sum := sha256.Sum256([]byte(key.ID))
	return blocklist.Key(sum[:16])
}

// AppendConversationID implements docsgpt.ConversationIDs. A stream names its conversation twice, and gets the same signed ID each time.
func (res *response) AppendConversationID(dst []byte, id string) (out []byte, ok bool) {
	if id == res.signedFor {
		return append(dst, res.signed...), true
	}
	about := res.client.subjectOf(res.key, ownership.Conversation)
	out, ok = res.client.handler.backend.IDs().Signer.Append(dst, id, &about, time.Now())
	if signed := out[len(dst):]; ok && len(signed) <= len(res.signedMemory) {
		res.signedFor, res.signed = id, append(res.signedMemory[:0], signed...)
	}
	return out, ok
}
