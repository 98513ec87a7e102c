package inflight

import "time"

// rate measures how fast slots are released while requests wait. The zero value has measured nothing.
type rate struct {
	interval time.Duration // mean time between two slots; 0: not known
	last     time.Time     // of the last release, or of the first waiting request
}

// begin starts a time in which requests wait.
func (r *rate) begin(now time.Time) { r.last = now }

// add counts n slots that are released. The mean is that of about the last 16 slots.
func (r *rate) add(now time.Time, n int) {
	sample := now.Sub(r.last) / time.Duration(n)
	r.last = now
	if r.interval == 0 {
		r.interval = sample
		return
	}
	r.interval += (sample - r.interval) / 16
}
