package gateway

import (
	"strconv"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/docsgate/docsgate/docsgpt"
)

// RequestLimits limit the cost of one request for DocsGPT. Sizes are in bytes of the forwarded JSON.
type RequestLimits struct {
	// The maximum number of history entries, each a question with its answer. The oldest excess entries are dropped.
	// Default: 500.
	MaxHistoryEntries int `json:"max_history_entries,omitempty"`

	// The maximum size of the forwarded history, in bytes. The oldest entries of a larger one are dropped. Default: 256 KiB.
	MaxHistorySize int64 `json:"max_history_size,omitempty"`

	// The maximum number of messages in a request to /v1/chat/completions. Requests with more are rejected. Default: 1000.
	MaxMessages int `json:"max_messages,omitempty"`

	// The maximum total size of the texts in the messages of a request, in bytes. Requests with more are rejected. Default:
	// 512 KiB.
	MaxMessagesSize int64 `json:"max_messages_size,omitempty"`

	// The maximum size of a single text, in bytes: a question, a message or another field. Requests with a larger one are
	// rejected. Default: 256 KiB.
	MaxTextSize int64 `json:"max_text_size,omitempty"`
}

// limits converts the limits for package docsgpt.
func (l *RequestLimits) limits() docsgpt.Limits {
	return docsgpt.Limits{
		HistoryEntries: l.MaxHistoryEntries, HistorySize: int(l.MaxHistorySize),
		Messages: l.MaxMessages, MessagesSize: int(l.MaxMessagesSize), TextSize: int(l.MaxTextSize),
	}
}

// maxCount is the maximum value of options that are counts.
const maxCount = 1_000_000

func countOption(example string, field func(*Handler) *int) func(*Handler, *caddyfile.Dispenser) error {
	return func(h *Handler, d *caddyfile.Dispenser) error {
		name, text := d.Val(), ""
		if !d.AllArgs(&text) {
			return d.ArgErr()
		}
		count, err := strconv.Atoi(text)
		if err != nil || count < 1 || count > maxCount {
			return d.Errf("%s must be a number from 1 to %d, such as %s; got %s", name, maxCount, example, text)
		}
		*field(h) = count
		return nil
	}
}
