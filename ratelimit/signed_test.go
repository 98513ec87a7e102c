package ratelimit

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestSignedVisitor(t *testing.T) {
	var salt Salt
	seen := map[Visitor]string{}
	for _, key := range []string{"", "k", "kk", strings.Repeat("k", 200)} {
		for _, name := range []string{"", "v", "k", "kv", "192.0.2.1", strings.Repeat("v", 128), strings.Repeat("v", 300)} {
			v := salt.SignedVisitor(epoch, key, name)
			if other, ok := seen[v]; ok || v == (Visitor{}) {
				t.Errorf("%.5q at %.5q is the same visitor as %s", name, key, other)
			}
			if v != salt.SignedVisitor(epoch, key, name) {
				t.Errorf("%.5q at %.5q is not the same visitor again", name, key)
			}
			seen[v] = name + " at " + key
		}
		if other, ok := seen[salt.VisitorID(epoch, key, netip.MustParseAddr("192.0.2.1"))]; ok {
			t.Errorf("an address is the same visitor as %s", other)
		}
	}
	today, tomorrow := salt.SignedVisitor(epoch, "k", "v"), salt.SignedVisitor(epoch.Add(24*time.Hour), "k", "v")
	if tomorrow.previous != today.id {
		t.Error("a new day replenishes the counters")
	}
}
