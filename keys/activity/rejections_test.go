package activity

import (
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func rejection(n int, key, reason string) Rejection {
	return Rejection{At: noon.Add(time.Duration(n) * time.Second), RequestID: fmt.Sprint("r", n), Key: key, Endpoint: "stream", Reason: reason}
}

func TestRejections(t *testing.T) {
	r := newRejections(3, 2)
	for i, key := range []string{"a", "a", "", "b", "a"} {
		r.Add(rejection(i, key, []string{"rate_limited", "ip_not_allowed"}[i%2]))
	}
	want := []Rejection{rejection(4, "a", "rate_limited"), rejection(3, "b", "ip_not_allowed"), rejection(2, "", "rate_limited"), rejection(1, "a", "ip_not_allowed")}
	if got := r.Recent("", "", 10); !reflect.DeepEqual(got, want) {
		t.Errorf("recent: %v, want %v", got, want)
	}
	if got := r.Recent("a", "", 1); !reflect.DeepEqual(got, want[:1]) {
		t.Errorf("of a key: %v", got)
	}
	if got := r.Recent("", "r2", 10); !reflect.DeepEqual(got, want[2:3]) {
		t.Errorf("by request ID: %v", got)
	}
	if got := r.Recent("b", "r2", 10); len(got) > 0 {
		t.Errorf("of another key: %v", got)
	}
	counts := []ReasonCount{{"rate_limited", 2, noon.Add(4 * time.Second)}, {"ip_not_allowed", 1, noon.Add(time.Second)}}
	if got := r.OfKey("a"); !reflect.DeepEqual(got, counts) {
		t.Errorf("counts: %v, want %v", got, counts)
	}
	if got := r.OfKey("unknown"); len(got) > 0 {
		t.Errorf("counts of an unknown key: %v", got)
	}
}

func TestRejectionsAreBounded(t *testing.T) {
	r := newRejections(3, 2)
	r.Add(rejection(0, "kept", "rate_limited"))
	for i := range 100 {
		r.Add(rejection(i, "", "unknown_token"))
	}
	if len(r.Recent("kept", "", 10)) != 1 {
		t.Error("unknown tokens have displaced the rejection of a key")
	}
	for i := range 100 {
		r.Add(rejection(i, fmt.Sprint("key", i), "rate_limited"))
		r.Add(rejection(i, "busy", fmt.Sprint("reason", i)))
	}
	if n := len(r.Recent("", "", 100)); n != 6 {
		t.Errorf("%d recent rejections", n)
	}
	if n := len(r.OfKey("busy")); n != maxReasons {
		t.Errorf("%d reasons", n)
	}
	if len(r.OfKey("key0")) > 0 || len(r.OfKey("key99")) != 1 {
		t.Error("the counts of the wrong keys are kept")
	}
}

func TestRejectionsConcurrently(t *testing.T) {
	r := newRejections(10, 10)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for n := range 1000 {
				r.Add(rejection(n, fmt.Sprint(i%4), "rate_limited"))
				r.Recent("1", "", 5)
				r.OfKey("2")
			}
		})
	}
	group.Wait()
	if c := r.OfKey("1"); len(c) != 1 || c[0].Requests != 2000 {
		t.Errorf("%v", c)
	}
}
