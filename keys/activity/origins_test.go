package activity

import (
	"fmt"
	"reflect"
	"testing"
	"time"
)

func TestOrigins(t *testing.T) {
	o := newOrigins(3, 5)
	for i, origin := range []string{
		"https://docs.example.com", "HTTPS://DOCS.example.com:443", "null", "", "*", "https://*.example.com", "https://docs.example.com/path", "<script>",
	} {
		o.Record("a", origin, noon.Add(time.Duration(i)*time.Second))
	}
	want := []OriginUse{{"https://docs.example.com", 2, noon, noon.Add(time.Second)}, {"null", 1, noon.Add(2 * time.Second), noon.Add(2 * time.Second)}}
	if got, dropped := o.Of("a"); !reflect.DeepEqual(got, want) || dropped {
		t.Errorf("%v, %t", got, dropped)
	}
	if got, _ := o.Of("unknown"); len(got) > 0 {
		t.Errorf("%v", got)
	}
	// Invented origins drop each other, and not the pages that are used.
	for i := range 100 {
		o.Record("a", fmt.Sprintf("https://%d.example", i), noon.Add(time.Hour+time.Duration(i)*time.Second))
	}
	got, dropped := o.Of("a")
	if len(got) != 3 || !dropped || got[0].Origin != "https://docs.example.com" {
		t.Errorf("after a flood: %v, %t", got, dropped)
	}
	// The origins of all keys are bounded.
	for i := range 100 {
		o.Record(fmt.Sprint(i), "https://docs.example.com", noon)
		o.Record("0", fmt.Sprintf("https://%d.example", i), noon)
	}
	total := 0
	for id := range o.byKey {
		uses, _ := o.Of(id)
		total += len(uses)
	}
	if total != 5 || o.total != total || len(o.byKey) > 5 {
		t.Errorf("%d origins, counted as %d, of %d keys", total, o.total, len(o.byKey))
	}
}

// Removed keys do not prevent that the origins of new ones are recorded.
func TestOriginsOfUnusedKeys(t *testing.T) {
	o := newOrigins(2, 4)
	o.Record("removed", "https://a.example", noon)
	o.Record("removed", "https://b.example", noon.Add(time.Hour))
	o.Record("used", "https://a.example", noon)
	o.Record("used", "https://b.example", noon)
	for i, want := range []int{0, 0, 1} {
		now := noon.Add(time.Hour + unusedTime - time.Second + time.Duration(i)*sweepInterval/2)
		o.Record("used", "https://b.example", now)
		o.Record("new", "https://c.example", now)
		if got, _ := o.Of("new"); len(got) != want {
			t.Errorf("%d: %v, want %d", i, got, want)
		}
	}
	if got, _ := o.Of("removed"); len(got) != 0 {
		t.Errorf("of the removed key: %v", got)
	}
	if got, dropped := o.Of("used"); len(got) != 2 || dropped {
		t.Errorf("of the used key: %v, %t", got, dropped)
	}
	if o.total != 3 {
		t.Errorf("counted as %d, want 3", o.total)
	}
}
