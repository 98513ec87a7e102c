//go:build unix

package main

import "testing"

// A short stream that arrives in one piece is sent to the client in one write, with its end. Each flush would be another one.
func TestHandlerFlushes(t *testing.T) {
	gate := newGate(t, defaultLimits)
	for _, tc := range handlerCases {
		if !tc.forwarded {
			continue
		}
		t.Run(tc.name, func(t *testing.T) {
			next, newRequest := tc.prepare(t, gate)
			const tries = 50
			least := tries
			for range tries { // on a busy machine, the end may take so long that the beginning is sent
				c := newRequest()
				if err := gate.ServeHTTP(&c.w, c.r, next); err != nil || c.w.status != tc.status {
					t.Fatalf("status %d, error %v, want status %d", c.w.status, err, tc.status)
				}
				least = min(least, c.w.flushes)
			}
			if least > 0 {
				t.Errorf("%d flushes at least, want none", least)
			}
		})
	}
}
