package cancellation

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docsgate/docsgate/docsgpt"
)

var message = docsgpt.MessageID{0x3f, 0x0d, 0x8a, 0x52, 0x0b, 0x8a, 0x4c, 0x7a, 0x9a, 0x55, 0x0c, 0x9c, 0x2f, 0x1d, 0x7a, 0x10}

// fake is a DocsGPT that responds to each token with a status.
type fake struct {
	mu       sync.Mutex
	statuses map[string][]int // by token; the last one repeats
	sent     []string
}

func (f *fake) send(_ context.Context, path, token string) (int, []byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if path != "/api/messages/3f0d8a52-0b8a-4c7a-9a55-0c9c2f1d7a10/cancel" {
		return 0, nil, errors.New(path)
	}
	f.sent = append(f.sent, token)
	list := f.statuses[token]
	status := list[0]
	if len(list) > 1 {
		f.statuses[token] = list[1:]
	}
	if status == 0 {
		return 0, nil, errors.New("unavailable")
	}
	if status < 300 {
		return status, []byte(`{"success":true}`), nil
	}
	if status == http.StatusTeapot {
		return http.StatusNotFound, []byte("<html>"), nil
	}
	return status, []byte(`{"success":false}`), nil
}

// TestTarget checks the requests that are sent and the outcome, for consecutive answers.
func TestTarget(t *testing.T) {
	for name, c := range map[string]struct {
		token    string
		statuses map[string][]int
		want     string // outcome and tokens of each answer; "!": learned
	}{
		"a session":                      {"s", map[string][]int{"s": {202}}, "canceled s, canceled s, canceled s"},
		"no authentication":              {"", map[string][]int{"": {202}}, "canceled -, canceled -, canceled -"},
		"an access token, no auth":       {"t", map[string][]int{"t": {403}, "": {202}}, "canceled t-, canceled -, canceled -"},
		"an access token":                {"t", map[string][]int{"t": {403}, "": {401}}, "not_allowed! t-, not_allowed , not_allowed "},
		"no credential":                  {"", map[string][]int{"": {401}}, "not_allowed! -, not_allowed , not_allowed "},
		"ended":                          {"s", map[string][]int{"s": {409}}, "finished s, finished s, finished s"},
		"another account":                {"s", map[string][]int{"s": {404}}, "not_found s, not_found s, not_found! s, not_found "},
		"another account, sometimes":     {"s", map[string][]int{"s": {404, 404, 202, 404, 404, 202}}, "not_found s, not_found s, canceled s, not_found s, not_found s, canceled s"},
		"an older version":               {"s", map[string][]int{"s": {418}}, "unsupported! s, unsupported , unsupported "},
		"a failure, retried":             {"s", map[string][]int{"s": {0, 202, 503, 202}}, "canceled ss, canceled ss, canceled s"},
		"failures":                       {"s", map[string][]int{"s": {503}}, "failed ss, failed ss, failed ss"},
		"authentication is now required": {"s", map[string][]int{"s": {403, 202}, "": {202, 401}}, "canceled s-, canceled -s, canceled s"},
		"a failure is not a refusal":     {"s", map[string][]int{"s": {503, 503, 202}}, "failed ss, canceled s"},
		"a failure of the access token":  {"t", map[string][]int{"t": {500}, "": {202}}, "failed tt, failed tt"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{statuses: c.statuses}
				target := NewTarget(c.token)
				var got []string
				for range strings.Count(c.want, ",") + 1 {
					f.sent = nil
					outcome := target.Cancel(t.Context(), message, f.send)
					text := outcome.Result.String()
					if outcome.Learned {
						text += "!"
					}
					text += " "
					for _, token := range f.sent {
						text += token + map[bool]string{true: "-"}[token == ""]
					}
					got = append(got, text)
				}
				if text := strings.Join(got, ", "); text != c.want {
					t.Errorf("got  %s\nwant %s", text, c.want)
				}
			})
		})
	}
}

// After some time a refused credential is tried again, without a second warning until it has worked.
func TestTargetTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{statuses: map[string][]int{"s": {401, 401, 202, 401}, "": {401}}}
		target := NewTarget("s")
		for _, want := range []Outcome{{NotAllowed, true}, {NotAllowed, false}, {Canceled, false}, {NotAllowed, true}} {
			if got := target.Cancel(t.Context(), message, f.send); got != want {
				t.Errorf("got %v, want %v", got, want)
			}
			time.Sleep(blockTime)
			if _, blocked := target.Blocked(); blocked {
				t.Error("still blocked")
			}
		}
	})
}

// A DocsGPT that does not respond delays a cancellation only for a bounded time.
func TestTargetTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := func(ctx context.Context, _, _ string) (int, []byte, error) {
			<-ctx.Done()
			return 0, nil, ctx.Err()
		}
		start := time.Now()
		if got := NewTarget("").Cancel(t.Context(), message, hang); got.Result != Failed {
			t.Errorf("%v", got)
		}
		if took := time.Since(start); took > 2*attemptTime+pauseForRetry {
			t.Errorf("it took %v", took)
		}
	})
}

// Bursts are bounded: few cancellations are concurrent, many wait, and the rest is dropped. Afterwards no goroutine remains.
func TestCancelerBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Canceler
		var concurrent, most atomic.Int32
		send := func(context.Context, string, string) (int, []byte, error) {
			n := concurrent.Add(1)
			defer concurrent.Add(-1)
			for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
			}
			time.Sleep(10 * time.Millisecond)
			return http.StatusAccepted, []byte(`{"success":true}`), nil
		}
		target := c.Target("http://docsgpt", "s")
		counts := map[Result]int{}
		var mu sync.Mutex
		const sent = maxQueued + maxWorkers + 100
		for range sent {
			c.Cancel(&Answer{Message: message, Target: target, Send: send, Done: func(o Outcome) {
				mu.Lock()
				defer mu.Unlock()
				counts[o.Result]++
			}})
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if most.Load() != maxWorkers {
			t.Errorf("%d concurrent", most.Load())
		}
		if n := counts[Canceled]; n < maxQueued || n > maxQueued+maxWorkers || counts[Dropped] != sent-n {
			t.Errorf("%v", counts)
		}
		if c.workers != 0 || c.queue != nil {
			t.Errorf("%d workers, %d in the queue", c.workers, len(c.queue))
		}
	})
}

// An answer that has waited too long is dropped: it has most likely ended.
func TestCancelerDropsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Canceler
		slow := func(ctx context.Context, _, _ string) (int, []byte, error) {
			<-ctx.Done()
			return 0, nil, ctx.Err()
		}
		counts := map[Result]int{}
		var mu sync.Mutex
		for range 5 * maxWorkers {
			c.Cancel(&Answer{Message: message, Target: c.Target("", ""), Send: slow, Done: func(o Outcome) {
				mu.Lock()
				defer mu.Unlock()
				counts[o.Result]++
			}})
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if counts[Failed] == 0 || counts[Dropped] == 0 || counts[Failed]+counts[Dropped] != 5*maxWorkers {
			t.Errorf("%v", counts)
		}
	})
}

// A blocked target responds without a request. Targets are shared by address and credential.
func TestCancelerBlocked(t *testing.T) {
	var c Canceler
	f := &fake{statuses: map[string][]int{"t": {403}, "": {401}}}
	if got := c.Target("a", "t").Cancel(t.Context(), message, f.send); got != (Outcome{NotAllowed, true}) {
		t.Fatalf("%v", got)
	}
	f.sent = nil
	done := false
	c.Cancel(&Answer{Message: message, Target: c.Target("a", "t"), Send: f.send, Done: func(o Outcome) {
		done = o == Outcome{Result: NotAllowed}
	}})
	if !done || len(f.sent) > 0 {
		t.Errorf("done %v, sent %q", done, f.sent)
	}
	for _, other := range []*Target{c.Target("b", "t"), c.Target("a", "u"), c.Target("a", "")} {
		if _, blocked := other.Blocked(); blocked {
			t.Error("another target is blocked")
		}
	}
	for i := range 3 * maxTargets {
		c.Target("a", string(rune('a'+i)))
	}
	if len(c.targets) > maxTargets {
		t.Errorf("%d targets", len(c.targets))
	}
}
