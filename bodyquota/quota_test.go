package bodyquota

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var errInterrupted = errors.New("interrupted")

// client is a connection whose bytes arrive when the test says so. Its body is read in a separate goroutine, which frees
// its usage when reading fails, as a request does.
type client struct {
	Body
	bytes  chan []byte
	broken chan struct{} // closed by InterruptRead
	once   sync.Once
	deaf   bool // reads cannot be interrupted
	result error
	over   chan struct{}
}

func (c *client) Read(p []byte) (int, error) {
	select {
	case b, open := <-c.bytes:
		if !open {
			return 0, io.EOF
		}
		return copy(p, b), nil
	case <-c.broken:
		return 0, errInterrupted
	}
}

func (c *client) InterruptRead() error {
	if c.deaf {
		return errors.ErrUnsupported
	}
	c.once.Do(func() { close(c.broken) })
	return nil
}

func newClient(q *Quota) *client {
	c := &client{bytes: make(chan []byte), broken: make(chan struct{}), over: make(chan struct{})}
	c.Receive(q, c, c)
	return c
}

// running are the clients of a test.
var running []*client

// start reads the body until it ends. When the body is stopped, its usage is freed.
func (c *client) start() *client {
	running = append(running, c)
	go func() {
		defer close(c.over)
		p := make([]byte, 1<<20)
		for c.result == nil {
			_, c.result = c.Body.Read(p)
		}
		if err := c.End(); err != nil {
			c.result = err
		}
		if !errors.Is(c.result, io.EOF) {
			c.Free()
		}
	}()
	return c
}

func (c *client) send(n int) {
	select {
	case c.bytes <- make([]byte, n):
	case <-c.broken:
	}
}

// upload is a client with a file of that size.
func upload(t *testing.T, q *Quota, owner string, size int64) *client {
	t.Helper()
	c := newClient(q)
	if err := errors.Join(c.Own(owner), c.Disk(size)); err != nil {
		t.Fatal(err)
	}
	return c.start()
}

func (c *client) stoppedBy(t *testing.T, want error) {
	t.Helper()
	synctest.Wait()
	select {
	case <-c.over:
	default:
		t.Fatalf("still received, want %v", want)
	}
	if !errors.Is(c.result, want) {
		t.Errorf("got %v, want %v", c.result, want)
	}
}

func (c *client) goesOn(t *testing.T) {
	t.Helper()
	synctest.Wait()
	select {
	case <-c.over:
		t.Errorf("ended: %v", c.result)
	default:
	}
}

// empty fails unless nothing is in use and no key is stored.
func (q *Quota) empty(t *testing.T) {
	t.Helper()
	synctest.Wait()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.anonymous != (pool{}) || q.keyed != (usage{}) || len(q.keys) > 0 || q.received.first != nil {
		t.Errorf("left: %+v, of keys %v in %d pools, receiving %v", q.anonymous, q.keyed, len(q.keys), q.received.first != nil)
	}
}

// inBubble runs a test in a bubble with a fake clock, in which all clients end.
func inBubble(t *testing.T, l Limits, test func(t *testing.T, q *Quota)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		q := New(l)
		test(t, q)
		for _, c := range running {
			_ = c.InterruptRead()
			<-c.over
		}
		running = nil
	})
}

func TestSlowestAnonymousBodyIsEvicted(t *testing.T) {
	inBubble(t, Limits{}, func(t *testing.T, q *Quota) {
		crowd := make([]*client, slotShare)
		for i := range crowd {
			crowd[i] = upload(t, q, "", 300<<10)
		}
		time.Sleep(sweepInterval / 2) // so that no sweep comes between the bytes of two clients
		for range 10 {
			for i, c := range crowd {
				c.send(20_000 - 1000*i)
			}
			time.Sleep(time.Second)
		}
		upload(t, q, "", 300<<10)
		crowd[slotShare-1].stoppedBy(t, ErrEvicted)
		for _, c := range crowd[:slotShare-1] {
			c.goesOn(t)
		}
		// A burst at the beginning has no lasting effect.
		for range 20 {
			crowd[0].send(10)
			for _, c := range crowd[1 : slotShare-1] {
				c.send(3000)
			}
			time.Sleep(time.Second)
		}
		upload(t, q, "", 300<<10) // evicts the one before, of which nothing comes
		upload(t, q, "", 300<<10)
		crowd[0].stoppedBy(t, ErrEvicted)
		crowd[1].goesOn(t)
	})
}

func TestYoungBodyIsEvictedLast(t *testing.T) {
	inBubble(t, Limits{}, func(t *testing.T, q *Quota) {
		old := upload(t, q, "", 300<<10)
		for range slotShare - 2 {
			upload(t, q, "", 300<<10)
		}
		for range 3 {
			old.send(1000)
			time.Sleep(time.Second)
		}
		young := upload(t, q, "", 300<<10)
		for range slotShare - 1 {
			upload(t, q, "", 300<<10)
		}
		old.stoppedBy(t, ErrEvicted)
		young.goesOn(t)
	})
}

// A key has a share of slots and of bytes, all keys together have all but one share, and bodies without a known key have
// their share regardless of the keys.
func TestKeyShare(t *testing.T) {
	const share = 1 << 20
	fast := func(t *testing.T, q *Quota, owner string, size int64) {
		upload(t, q, owner, size).bytes <- make([]byte, 1<<20)
	}
	inBubble(t, Limits{Disk: Shares * share}, func(t *testing.T, q *Quota) {
		for range slotShare {
			fast(t, q, "one", 1000)
		}
		if err := newClient(q).Own("one"); err != nil {
			t.Error("a body that uses nothing: ", err)
		}
		c := newClient(q)
		if err := errors.Join(c.Own("one"), c.Disk(1)); !errors.Is(err, ErrKeyShare) {
			t.Errorf("slots: %v", err)
		}
		fast(t, q, "two", share)
		late := upload(t, q, "", 1000)
		if err := late.Own("two"); !errors.Is(err, ErrKeyShare) {
			t.Errorf("bytes, with the key after the file: %v", err)
		}
		late.Free()
		fast(t, q, "three", share)
		c = newClient(q)
		if err := errors.Join(c.Own("four"), c.Disk(share)); !errors.Is(err, ErrBusy) {
			t.Errorf("all keys: %v", err)
		}
		fast(t, q, "", share)
	})
}

// Requests with a public key come from many clients, and a slow client must not block the others.
func TestSlowUploadOfSameKeyIsEvicted(t *testing.T) {
	inBubble(t, Limits{}, func(t *testing.T, q *Quota) {
		crowd := make([]*client, slotShare)
		for i := range crowd {
			crowd[i] = upload(t, q, "one", 1000)
		}
		for range 10 {
			for i, c := range crowd {
				c.send(500 * (i + 3))
			}
			time.Sleep(time.Second)
		}
		c := upload(t, q, "", 300<<10)
		if err := c.Own("one"); err != nil {
			t.Fatal(err)
		}
		crowd[0].stoppedBy(t, ErrEvicted)
		crowd[1].goesOn(t)
	})
}

func TestDiskLimit(t *testing.T) {
	inBubble(t, Limits{Disk: Shares << 20}, func(t *testing.T, q *Quota) {
		held, other := upload(t, q, "", 600<<10), upload(t, q, "", 1)
		for _, c := range []*client{held, other} { // none is evicted where that would not be enough
			if err := c.Disk(1<<20 + 1); !errors.Is(err, ErrBusy) {
				t.Errorf("more than the share: %v", err)
			}
		}
		held.goesOn(t)
		other.goesOn(t)
		time.Sleep(3 * time.Second)
		if err := other.Disk(600 << 10); err != nil {
			t.Error(err)
		}
		held.stoppedBy(t, ErrEvicted)
		// A body that has been received is not evicted: the key decides.
		close(other.bytes)
		<-other.over
		c := newClient(q)
		if err := c.Disk(600 << 10); !errors.Is(err, ErrBusy) {
			t.Errorf("beside one that is received: %v", err)
		}
		if err := other.Own("key"); err != nil {
			t.Error(err)
		}
		if err := c.Disk(600 << 10); err != nil {
			t.Error(err)
		}
		for _, b := range []*client{other, c} {
			b.Free()
			b.Free()
		}
		q.empty(t)
	})
}

// Large bodies that arrive slowly do not use the memory of small ones.
func TestSmallBodiesHaveSeparateMemory(t *testing.T) {
	const memory = 16 << 20 // a share has 1 MiB for small bodies, and 3 for others
	inBubble(t, Limits{Memory: memory}, func(t *testing.T, q *Quota) {
		hold := func(owner string, bytes int64) (*client, error) {
			c := newClient(q)
			err := errors.Join(c.Own(owner), c.Memory(bytes))
			if err == nil {
				c.start()
			}
			return c, err
		}
		var large []*client
		for range 30 {
			c, err := hold("", 100<<10)
			if err != nil {
				t.Fatal(err)
			}
			large = append(large, c)
		}
		var tiny []*client
		for range (1 << 20) / (16 << 10) {
			c, err := hold("", 16<<10)
			if err != nil {
				t.Fatal(err)
			}
			tiny = append(tiny, c)
		}
		for _, c := range large {
			c.goesOn(t)
		}
		time.Sleep(3 * time.Second)
		tiny[0].send(100)
		if _, err := hold("", 16<<10); err != nil {
			t.Errorf("a small one: %v", err)
		}
		tiny[0].goesOn(t)
		for _, c := range large {
			c.goesOn(t)
		}
		// A small body that becomes large is accounted as large.
		if err := tiny[0].Memory(64 << 10); err != nil {
			t.Error(err)
		}
		if _, err := hold("", 1<<20); err != nil {
			t.Error(err)
		}
		evicted := 0
		for _, c := range large {
			select {
			case <-c.over:
				evicted++
			default:
			}
		}
		if evicted == 0 || evicted > 11 {
			t.Errorf("%d of %d large bodies were evicted", evicted, len(large))
		}
		if _, err := hold("key", 3<<20); err != nil {
			t.Errorf("a key has memory of its own: %v", err)
		}
		if _, err := hold("key", 25<<10); !errors.Is(err, ErrKeyShare) {
			t.Errorf("more than the key's share: %v", err)
		}
	})
}

// A connection whose reads cannot be interrupted keeps its usage, so the new body is rejected.
func TestUninterruptibleBodiesAreNotOvercommitted(t *testing.T) {
	inBubble(t, Limits{}, func(t *testing.T, q *Quota) {
		for range slotShare {
			c := newClient(q)
			c.deaf = true
			if err := c.Disk(1); err != nil {
				t.Fatal(err)
			}
			defer func() { c.Free() }()
		}
		c := newClient(q)
		if err := c.Disk(1); !errors.Is(err, ErrBusy) {
			t.Errorf("%v", err)
		}
		if q.anonymous.used[slots] != slotShare {
			t.Errorf("%d slots in use", q.anonymous.used[slots])
		}
	})
}

// The quota does not wait forever for an evicted body that does not free its usage.
func TestEvictionTimeout(t *testing.T) {
	inBubble(t, Limits{}, func(t *testing.T, q *Quota) {
		for range slotShare {
			c := newClient(q) // nothing reads it
			if err := c.Disk(1); err != nil {
				t.Fatal(err)
			}
			defer c.Free()
		}
		if err := newClient(q).Disk(1); !errors.Is(err, ErrBusy) {
			t.Errorf("%v", err)
		}
	})
}

func TestSetLimitsWhileReceiving(t *testing.T) {
	inBubble(t, Limits{}, func(t *testing.T, q *Quota) {
		upload(t, q, "key", 2<<20).bytes <- make([]byte, 1<<20)
		q.SetLimits(Limits{Disk: Shares << 20})
		c := newClient(q)
		if err := errors.Join(c.Own("key"), c.Disk(1)); !errors.Is(err, ErrKeyShare) {
			t.Errorf("%v", err)
		}
		q.SetLimits(Limits{})
		if err := c.Disk(1); err != nil {
			t.Error(err)
		}
	})
}

// With any number of concurrent clients, the limits hold at each moment and nothing is in use at the end.
func TestQuotaConcurrent(t *testing.T) {
	const disk, memory = Shares << 20, 16 << 20
	q := New(Limits{Disk: disk, Memory: memory})
	var clients sync.WaitGroup
	for i := range 64 {
		clients.Go(func() {
			for round := range 30 {
				c := newClient(q)
				c.bytes = nil
				source := strings.NewReader("x")
				c.source = source
				owner := ""
				if i%2 == 0 {
					owner = fmt.Sprint("key", i%6)
				}
				_ = c.Memory(int64(1000 * (i + round)))
				_, _ = c.Body.Read(make([]byte, 1))
				for size := int64(1); size < 1<<20; size *= 4 {
					if c.Disk(size) != nil {
						break
					}
					if size == 64 && c.Own(owner) != nil {
						break
					}
				}
				_ = c.End()
				c.Free()
			}
		})
	}
	stop := make(chan struct{})
	checked := make(chan struct{})
	go func() {
		defer close(checked)
		for {
			q.mu.Lock()
			for name, p := range q.keys {
				checkShare(t, q, name, p.used)
			}
			checkShare(t, q, "no key", q.anonymous.used)
			q.mu.Unlock()
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	clients.Wait()
	close(stop)
	<-checked
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.anonymous != (pool{}) || q.keyed != (usage{}) || len(q.keys) > 0 || q.received.first != nil {
		t.Errorf("left: %+v, of keys %v in %d pools", q.anonymous, q.keyed, len(q.keys))
	}
}

func checkShare(t *testing.T, q *Quota, name string, used usage) {
	t.Helper()
	for r, n := range used {
		if n < 0 || n > q.share[r] {
			t.Errorf("%s: %d of resource %d, the share is %d", name, n, r, q.share[r])
		}
	}
}

func TestZeroBody(t *testing.T) {
	var b Body
	if err := errors.Join(b.Own("key"), b.End()); err != nil || b.Stopped() || b.AtEnd() {
		t.Error(err)
	}
	b.Free()
}
