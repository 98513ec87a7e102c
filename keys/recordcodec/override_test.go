package recordcodec

import (
	"errors"
	"testing"

	"github.com/docsgate/docsgate/internal/wire"
	"github.com/docsgate/docsgate/keys/registry"
)

// An override that cannot be read completely is an error, since it may restrict the key.
func TestDamagedOverrideRejected(t *testing.T) {
	for name, body := range map[string][]byte{
		"unknown field": wire.AppendNumber(nil, 99, 1), "invalid policy": wire.AppendText(nil, overridePolicy, "\x0a\x01x"),
	} {
		if err := DecodeOverride(new(registry.Override), body); !errors.Is(err, wire.ErrEncoding) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
