package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Parts of the stub's responses by which a client checks that they are complete.
const (
	answerStart = "First "
	answerEnd   = "that is all."
	stubError   = `"Unknown error occurred"`
)

// conversationPlaceholder is replaced by an id that is unique for each response.
const conversationPlaceholder = "@@@@@@@@"

// The stub's responses, in DocsGPT's format.
var (
	shortStream = events([]string{"First ", "download ", "the ", "archive, ", "then ", "unpack it; ", answerEnd})
	slowStream  = events(slowWords())
	jsonAnswer  = []byte(`{"conversation_id": "` + conversationPlaceholder + `-6a0e-4a5e-9a39-0d2f5f9e7f11", "answer": "` +
		answerStart + `download the archive, then unpack it; ` + answerEnd + `", "sources": [` + source +
		`], "tool_calls": [], "thought": ""}`)
	chatAnswer = []byte(`{"id": "chatcmpl-` + conversationPlaceholder + `", "object": "chat.completion", "created": 1795000000, ` +
		`"model": "docsgpt-agent", "choices": [{"index": 0, "message": {"role": "assistant", "content": "` +
		answerStart + `download the archive, then unpack it; ` + answerEnd + `"}, "finish_reason": "stop"}], ` +
		`"usage": {"prompt_tokens": 12, "completion_tokens": 10, "total_tokens": 22}}`)
	chatStream = chatChunks(`"content": "`+answerStart+`"`, `"content": "download the archive, "`,
		`"content": "then unpack it; "`, `"content": "`+answerEnd+`"`)
	errorStream = []byte("data: {\"type\": \"error\", \"error\": " + stubError + "}\n\n")
)

const source = `{"text": "Download the archive for your system from the page of releases, and unpack it.", ` +
	`"title": "install.md", "source": "install.md", "filename": "install.md", ` +
	`"source_id": "7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10", "chunk_key": "9e107d9d372bb6826bd81d3542a419d6"}`

// chatChunks returns the stream of an answer to an OpenAI client.
func chatChunks(deltas ...string) []byte {
	var b bytes.Buffer
	for i := range len(deltas) + 1 {
		delta, finish := "", `"stop"`
		if i < len(deltas) {
			delta, finish = deltas[i], "null"
		}
		fmt.Fprintf(&b, `data: {"id": "chatcmpl-%s", "object": "chat.completion.chunk", "created": 1795000000, "model": "docsgpt-agent", `+
			`"choices": [{"index": 0, "delta": {%s}, "finish_reason": %s}]}`+"\n\n", conversationPlaceholder, delta, finish)
	}
	b.WriteString("data: [DONE]\n\n")
	return b.Bytes()
}

func slowWords() []string {
	words := make([]string, slowEvents)
	for i := range words {
		words[i] = fmt.Sprintf("word %d ", i)
	}
	words[0], words[slowEvents-1] = answerStart, answerEnd
	return words
}

// events returns the events of an answer that is streamed in those words.
func events(words []string) [][]byte {
	const conversation = conversationPlaceholder + "-6a0e-4a5e-9a39-0d2f5f9e7f11"
	payloads := []string{`{"type": "message_id", "message_id": "0b8f3a52-19c4-4f0e-8a53-5b6b2a1f7c11", ` +
		`"conversation_id": "` + conversation + `", "request_id": "9a1d6c1e-7b1a-4d0f-b3f4-2f6c1e5a7d22"}`}
	for _, word := range words {
		payloads = append(payloads, `{"type": "answer", "answer": "`+word+`"}`)
	}
	payloads = append(payloads,
		`{"type": "source", "source": [`+source+`]}`,
		`{"type": "tool_calls", "tool_calls": []}`,
		`{"type": "id", "id": "`+conversation+`"}`,
		`{"type": "end"}`)
	all := make([][]byte, len(payloads))
	for i, payload := range payloads {
		all[i] = fmt.Appendf(nil, "id: %d\ndata: %s\n\n", i, strings.TrimSpace(payload))
	}
	return all
}

// conversationOf returns the number of the conversation that a request continues, as DocsGPT names it in its response, or n for a new one.
func conversationOf(body []byte, n uint64) uint64 {
	_, id, found := bytes.Cut(body, []byte(`"conversation_id":`))
	if id = bytes.TrimLeft(id, ` "`); found && len(id) >= len(conversationPlaceholder) {
		if number, err := strconv.ParseUint(string(id[:len(conversationPlaceholder)]), 16, 64); err == nil {
			return number
		}
	}
	return n
}

// withConversation returns a response with the id of the nth conversation.
func withConversation(response []byte, n uint64) []byte {
	return bytes.ReplaceAll(response, []byte(conversationPlaceholder), fmt.Appendf(nil, "%08x", n&0xffffffff))
}
