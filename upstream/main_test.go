package upstream

import (
	"testing"

	"go.uber.org/goleak"
)

// After all tests no connection may be left open and no goroutine left behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
