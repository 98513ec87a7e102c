package gateway

import (
	"testing"
	"time"
)

func TestWaitText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Millisecond: "1 second", time.Second: "1 second", 1500 * time.Millisecond: "2 seconds", 2 * time.Minute: "120 seconds",
		2*time.Minute + time.Second: "3 minutes", 2 * time.Hour: "120 minutes", 3 * time.Hour: "3 hours", 3*time.Hour + 1: "4 hours",
	} {
		if got := waitText(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
