package upstream

import (
	"testing"

	"go.uber.org/goleak"
)

// The tests must not leave open connections or goroutines behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
