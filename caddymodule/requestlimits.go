package caddymodule

import (
	"strconv"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/docsgate/docsgate/docsgpt"
)

// RequestLimits bound what one request may cost DocsGPT. Sizes are bytes of the JSON that is forwarded.
type RequestLimits struct {
	// The most pairs of a question and an answer in a history. The oldest of further ones are dropped. Default: 500.
	MaxHistoryEntries int `json:"max_history_entries,omitempty"`

	// The largest history that is forwarded, in bytes. The oldest pairs of a larger one are dropped. Default: 256 KiB.
	MaxHistorySize int64 `json:"max_history_size,omitempty"`

	// The most messages in a request to /v1/chat/completions. Requests with more are rejected. Default: 1000.
	MaxMessages int `json:"max_messages,omitempty"`

	// The largest size of all texts in the messages of a request, in bytes. Larger ones are rejected. Default: 512 KiB.
	MaxMessagesSize int64 `json:"max_messages_size,omitempty"`

	// The largest single text, in bytes: a question, a message, any other member. Larger ones are rejected. Default:
	// 256 KiB.
	MaxTextSize int64 `json:"max_text_size,omitempty"`
}

// limits returns the limits in the form that the endpoints check them.
func (l *RequestLimits) limits() docsgpt.Limits {
	return docsgpt.Limits{
		HistoryEntries: l.MaxHistoryEntries, HistorySize: int(l.MaxHistorySize),
		Messages: l.MaxMessages, MessagesSize: int(l.MaxMessagesSize), TextSize: int(l.MaxTextSize),
	}
}

// maxCount is the largest number that an option for a count takes.
const maxCount = 1_000_000

func countOption(example string, field func(*Handler) *int) func(*Handler, *caddyfile.Dispenser) error {
	return func(h *Handler, d *caddyfile.Dispenser) error {
		name, text := d.Val(), ""
		if !d.AllArgs(&text) {
			return d.ArgErr()
		}
		count, err := strconv.Atoi(text)
		if err != nil || count < 1 || count > maxCount {
			return d.Errf("%s %s: write a number from 1 to %d, such as %s", name, text, maxCount, example)
		}
		*field(h) = count
		return nil
	}
}
