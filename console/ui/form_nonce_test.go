package ui

import (
	"testing"
	"testing/synctest"
)

// Pages come and go with configurations, and must leave nothing behind that runs.
func TestFormsLeakNoGoroutines(t *testing.T) {
	synctest.Test(t, func(*testing.T) { NewFormNonces(nil) })
}
