package bodyquota

import (
	"io"
	"testing"
	"time"
)

func TestTooSlowBodyIsStopped(t *testing.T) {
	seconds := int(window / time.Second)
	for name, c := range map[string]struct {
		before, after func(second int) int // what a client sends in that second; after is for the second minute
		want          error
	}{
		"nothing":              {func(int) int { return 0 }, nil, ErrTooSlow},
		"a byte now and then":  {func(s int) int { return (s + 1) % 2 }, nil, ErrTooSlow},
		"half":                 {func(int) int { return 512 }, nil, ErrTooSlow},
		"fast, then a trickle": {func(int) int { return 1 << 20 }, func(int) int { return 1 }, ErrTooSlow},
		"just enough":          {func(int) int { return 1100 }, func(int) int { return 1100 }, nil},
		"a mobile client": {
			func(s int) int { return 4000 * (s % 3) },
			func(s int) int { // a tunnel, with the rest of what it sends before and after
				if s > 3 && s < seconds-3 {
					return 0
				}
				return 20_000
			}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Limits{}, func(t *testing.T, q *Quota) {
				b := newClient(q)
				if err := b.Memory(1000); err != nil {
					t.Fatal(err)
				}
				b.start()
				for s := range 2 * seconds {
					if n := c.before(s); s < seconds && n > 0 {
						b.send(n)
					} else if s >= seconds && c.after != nil {
						if n := c.after(s - seconds); n > 0 {
							b.send(n)
						}
					}
					time.Sleep(time.Second)
				}
				if c.want == nil {
					b.goesOn(t)
					close(b.bytes)
					b.stoppedBy(t, io.EOF)
					b.Free()
				} else {
					b.stoppedBy(t, c.want)
				}
				q.empty(t)
			})
		})
	}
}
