package docsgpttest

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"sync"
)

// conversation is one chat. All conversations belong to one owner, as all agents of an account do.
type conversation struct {
	agent string // the agent key as it was sent; empty: created without one
	turns int
}

// conversations stores the chats. Call reset before the first use.
type conversations struct {
	mu       sync.Mutex
	byID     map[string]conversation
	sessions map[string]string // conversation ids by session of an OpenAI client
}

func (c *conversations) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byID, c.sessions = map[string]conversation{}, map[string]string{}
}

func (c *conversations) get(id string) (conversation, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	chat, ok := c.byID[id]
	return chat, ok
}

// agentless reports whether the chat exists and was created without an agent key.
func (c *conversations) agentless(id string) bool {
	chat, ok := c.get(id)
	return ok && chat.agent == ""
}

// put stores a chat.
func (c *conversations) put(id string, chat conversation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byID[id] = chat
}

// session returns the conversation id of a session. A new session gets the id fresh.
func (c *conversations) session(name, fresh string) (id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if id, known := c.sessions[name]; known {
		return id
	}
	c.sessions[name] = fresh
	return fresh
}

// newUUID returns a random UUID.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return formatUUID(b)
}

// uuidOf returns a UUID that depends only on the text.
func uuidOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return formatUUID([16]byte(sum[:16]))
}

func formatUUID(b [16]byte) string {
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
