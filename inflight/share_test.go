package inflight

import (
	"reflect"
	"testing"
	"testing/synctest"
	"time"
)

// ofLimits returns a share of the limits of queueing.
func ofLimits(total int, perKey map[KeyID]int) Share {
	return Share{Total: total, PerKey: perKey, Of: queueing.Total, Until: time.Now().Add(time.Hour)}
}

// A share bounds requests in flight in addition to the limits, and requests that wait are admitted when it grows.
func TestShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWaiting(t)
		asked := 0
		ask := func() { asked++ }
		w.l.SetShare("u", "c", ofLimits(0, nil), ask)
		w.l.try(t, "a", queueing, ShareLimit)
		w.l.try(t, "a", Limits{Total: 4, PerKey: 0}, KeyLimit)
		w.l.try(t, "a", Limits{Total: 0, PerKey: 1}, TotalLimit)
		if asked != 1 {
			t.Errorf("%d calls", asked)
		}
		w.add(t.Context(), "a1", 1, queueing, time.Minute)
		w.add(t.Context(), "a2", 1, queueing, time.Minute)
		w.add(t.Context(), "b1", 2, queueing, time.Minute)
		time.Sleep(time.Second)
		want := Demand{Next: 2, Stalled: time.Second, Keys: map[KeyID]KeyDemand{
			{Key: "a"}: {Waiting: 2, Next: 1, Stalled: time.Second}, {Key: "b"}: {Waiting: 2, Next: 2, Stalled: time.Second},
		}}
		if got := w.l.Demand("u", "c", 2); !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, want %+v", got, want)
		}
		w.l.SetShare("u", "c", ofLimits(4, nil), ask)
		synctest.Wait()
		w.want("a1") // b1 costs more than a key may have without a share
		w.l.SetShare("u", "c", ofLimits(4, map[KeyID]int{{Key: "b"}: 2}), ask)
		synctest.Wait()
		w.l.SetShare("u", "c", ofLimits(4, map[KeyID]int{{Key: "a"}: 2, {Key: "b"}: 2}), ask)
		synctest.Wait()
		w.want("a1, b1, a2")
		want = Demand{InFlight: 4, Peak: 4, Next: 1, Keys: map[KeyID]KeyDemand{
			{Key: "a"}: {InFlight: 2, Next: 1}, {Key: "b"}: {InFlight: 2, Next: 1},
		}}
		for range 2 {
			if got := w.l.Demand("u", "c", 2); !reflect.DeepEqual(got, want) {
				t.Errorf("%+v, want %+v", got, want)
			}
		}

		// A smaller share ends no request.
		w.l.SetShare("u", "c", ofLimits(1, nil), ask)
		w.release("b1")
		w.l.try(t, "c", queueing, ShareLimit)
		w.release("a1", "a2")
		c := w.l.try(t, "c", queueing, Acquired)
		w.l.try(t, "d", queueing, ShareLimit)
		w.l.RemoveShare("u", "c")
		w.l.try(t, "d", queueing, Acquired).Release()
		c.Release()
		w.l.empty(t)
		if got := w.l.Demand("u", "c", 2); !reflect.DeepEqual(got, Demand{Next: 1}) {
			t.Errorf("%+v", got)
		}
	})
}

// When the lease has ended, the fallback bounds requests even before the next call of SetShare.
func TestShareEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Limiter
		s := ofLimits(0, nil)
		s.Until, s.Fallback = time.Now().Add(time.Second), 2
		l.SetShare("u", "c", s, func() {})
		l.try(t, "a", queueing, ShareLimit)
		time.Sleep(time.Second)
		a, b := l.try(t, "a", queueing, Acquired), l.try(t, "b", queueing, Acquired)
		l.try(t, "c", queueing, ShareLimit)
		l.try(t, "c", Limits{Total: 2, PerKey: 2}, TotalLimit)
		a.Release()
		b.Release()

		// A caller with a lower limit of its own has the same fraction of it, and at least one request.
		a = l.try(t, "a", Limits{Total: 1, PerKey: 1}, Acquired)
		l.try(t, "b", Limits{Total: 3, PerKey: 1}, Acquired).Release()
		a.Release()
	})
}
