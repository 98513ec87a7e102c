package ratelimit

import (
	"net/netip"
	"testing"
	"time"
)

// Salts with the same secrets know the same visitors, on the next day too, and each of them keeps its counters.
func TestSharedSecrets(t *testing.T) {
	noon := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	today := &SharedSecrets{Day: noon.Unix() / daySeconds, Current: [32]byte{1}, Next: [32]byte{2}}
	tomorrow := &SharedSecrets{Day: today.Day + 1, Previous: today.Current, Current: today.Next}
	addr := netip.MustParseAddr("192.0.2.1")
	var a, b, apart Salt
	before := a.VisitorID(noon, "k", addr)
	a.Share(today)
	b.Share(today)
	first := a.VisitorID(noon, "k", addr)
	if first != b.VisitorID(noon, "k", addr) || first == before || first == apart.VisitorID(noon, "k", addr) ||
		a.SignedVisitor(noon, "k", "v") != b.SignedVisitor(noon, "k", "v") {
		t.Error("two gates with the same secrets know different visitors")
	}
	if ids := first.IDs(); ids.Day != today.Day || ids.Previous != [16]byte{} || ids.Next != [16]byte{} || ids.Current != first.ID() {
		t.Errorf("%+v", ids)
	}
	evening := a.VisitorID(noon.Add(12*time.Hour-time.Second), "k", addr)
	next := a.VisitorID(noon.Add(12*time.Hour), "k", addr) // by the clock of this gate
	b.Share(tomorrow)
	other := b.VisitorID(noon.Add(12*time.Hour-time.Second), "k", addr) // whose clock is slow
	if evening.IDs().Next != next.ID() || next.IDs().Previous != first.ID() || other.ID() != next.ID() || other.IDs().Previous != first.ID() {
		t.Errorf("%+v, %+v, %+v", evening.IDs(), next.IDs(), other.IDs())
	}
	a.Share(today) // the same secrets again
	if again := a.VisitorID(noon.Add(12*time.Hour), "k", addr); again != next {
		t.Error("the visitor has changed")
	}
	// Without new secrets the salt of the day after is random, as without shared ones.
	if later := a.VisitorID(noon.Add(36*time.Hour), "k", addr); later.IDs().Previous != next.ID() {
		t.Error("the visitor has lost its counters")
	}
}
