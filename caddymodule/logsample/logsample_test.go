package logsample

import (
	"fmt"
	"testing"
	"time"
)

// logged counts the lines that a sampler allows, and what they say was suppressed.
type logged struct{ lines, suppressed int }

func (l *logged) add(skipped int, ok bool) {
	if ok {
		l.lines++
		l.suppressed += skipped
	}
}

func TestRepeatedLinesAreSuppressed(t *testing.T) {
	var s Sampler
	now := time.Now()
	for i := range 100 {
		if skipped, ok := s.Allow("code", "key", now); ok != (i == 0) || skipped != 0 {
			t.Fatalf("line %d: got %d, %t", i, skipped, ok)
		}
	}
	for _, other := range [][2]string{{"code", "other"}, {"other", "key"}, {"code", ""}} {
		if _, ok := s.Allow(other[0], other[1], now); !ok {
			t.Errorf("%v is suppressed, although it is another one", other)
		}
	}
	if skipped, ok := s.Allow("code", "key", now.Add(Interval)); !ok || skipped != 99 {
		t.Errorf("after the interval: got %d, %t, want 99 suppressed lines", skipped, ok)
	}
}

// A flood from a million addresses needs bounded memory, and writes a bounded number of lines, which say how many were suppressed.
func TestFloodOfDifferentLines(t *testing.T) {
	var s Sampler
	var l logged
	const seconds, each = 30, 10_000
	begin := time.Now()
	for i := range seconds * each {
		now := begin.Add(time.Duration(i) * time.Second / each)
		l.add(s.Allow("code", fmt.Sprint("address ", i), now))
		if len(s.seen) > maxKeys+1 {
			t.Fatalf("%d states in memory", len(s.seen))
		}
	}
	if most := Burst + seconds*Rate; l.lines > most {
		t.Errorf("%d lines in %d seconds, want at most %d", l.lines, seconds, most)
	}
	if l.lines < Burst {
		t.Errorf("%d lines, want at least %d", l.lines, Burst)
	}
	// Afterwards the rest is in the next line of the code.
	end := begin.Add(seconds*time.Second + 2*Interval)
	for i := range maxKeys {
		l.add(s.Allow("code", fmt.Sprint("late ", i), end.Add(time.Duration(i)*time.Second)))
	}
	l.add(s.Allow("code", "", end.Add(time.Hour)))
	if sum := l.lines + l.suppressed; sum != seconds*each+maxKeys+1 {
		t.Errorf("%d lines are logged or counted, want %d", sum, seconds*each+maxKeys+1)
	}
}

func TestRateIsRestored(t *testing.T) {
	var s Sampler
	var l logged
	now := time.Now()
	for i := range 2 * Burst {
		l.add(s.Allow("code", fmt.Sprint(i), now))
	}
	if l.lines != Burst {
		t.Errorf("%d lines at once, want %d", l.lines, Burst)
	}
	for i := range 2 * Burst {
		l.add(s.Allow("other", fmt.Sprint(i), now.Add(time.Second)))
	}
	if l.lines != Burst+Rate {
		t.Errorf("%d lines after a second, want %d", l.lines, Burst+Rate)
	}
	if _, ok := s.Allow("code", "0", now.Add(-time.Hour)); ok { // the clock was set back
		t.Error("a line in the past is logged")
	}
}
