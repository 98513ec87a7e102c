package ui

import (
	"testing"
	"testing/synctest"
)

// Pages are replaced with configurations, and must not leak goroutines.
func TestFormsLeakNoGoroutines(t *testing.T) {
	synctest.Test(t, func(*testing.T) { NewFormNonces(nil) })
}
