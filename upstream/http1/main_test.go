package http1

import (
	"testing"

	"go.uber.org/goleak"
)

// The tests must not leave goroutines behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
