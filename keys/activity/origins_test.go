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
