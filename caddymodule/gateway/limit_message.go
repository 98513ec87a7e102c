package gateway

import (
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/docsgate/docsgate/caddymodule/caddyfileutil"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/policy"
)

// limitMessageName is the name of the text in the Caddyfile.
const limitMessageName = "limit_message"

// defaultRateMessage is the sentence for exceeded rates.
const defaultRateMessage policy.LimitMessage = "Too many questions. Please try again in {wait}."

// unmarshalLimitMessage parses "limit_message <text>".
func (h *Handler) unmarshalLimitMessage(d *caddyfile.Dispenser) error {
	if h.LimitMessage != "" {
		return caddyfileutil.AlreadySpecified(d)
	}
	text := ""
	if !d.AllArgs(&text) {
		return d.ArgErr()
	}
	message, err := policy.ParseLimitMessage(text)
	if err == nil && message == "" {
		return d.ArgErr()
	}
	h.LimitMessage = message
	return caddyfileutil.WrapErr(d, err)
}

// limitError returns the error of a limit of a key, with the sentence that the key or the site sets in place of the default. wait is the
// time until the client may try again.
func (h *Handler) limitError(key *keys.Key, apiErr *apiError, wait time.Duration) *apiError {
	message := h.LimitMessage
	if key != nil && key.Policy != nil && key.Policy.LimitMessage != "" {
		message = key.Policy.LimitMessage
	}
	if message == "" {
		return apiErr
	}
	custom := *apiErr
	custom.Message = message.Format(wait)
	return &custom
}
