package main

import (
	"testing"
	"time"
)

func TestRateAllowed(t *testing.T) {
	for _, test := range []struct {
		sent      int
		took      time.Duration
		low, high int
	}{
		{1000, 10 * time.Second, 500, 601},
		{550, 10 * time.Second, 500, 550},
		{30, 10 * time.Second, 30, 30},
		{1000, 0, 0, 101},
	} {
		if low, high := rateAllowed(100, 2*time.Second)(test.sent, test.took); low != test.low || high != test.high {
			t.Errorf("%d in %v: %d to %d, want %d to %d", test.sent, test.took, low, high, test.low, test.high)
		}
	}
}
