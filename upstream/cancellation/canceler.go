package cancellation

import (
	"context"
	"sync"
	"time"

	"github.com/docsgate/docsgate/docsgpt"
)

// Bounds of a Canceler.
const (
	maxWorkers = 8                // concurrent jobs
	maxQueued  = 1024             // waiting jobs
	maxWait    = 30 * time.Second // in the queue; most answers have ended by then
	answerTime = 12 * time.Second // for all attempts for one answer
	maxTargets = 256
)

// Canceler cancels answers in the background, independently of the requests that they belong to and of the configuration. It has no
// goroutines while there is nothing to do. The zero value is ready to use. It is safe for concurrent use.
type Canceler struct {
	mu      sync.Mutex
	queue   []func() // oldest first
	workers int
	targets map[targetID]*Target
}

type targetID struct{ address, token string }

// Answer is an answer to cancel.
type Answer struct {
	Message docsgpt.MessageID
	Target  *Target
	Send    Send

	// Done is called once, possibly before Cancel returns.
	Done func(Outcome)
}

// Target returns the target with that address and credential: the same one in each configuration, so that what is known of it
// survives a reload.
func (c *Canceler) Target(address, token string) *Target {
	id := targetID{address, token}
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.targets[id]; t != nil {
		return t
	}
	if len(c.targets) >= maxTargets || c.targets == nil {
		c.targets = map[targetID]*Target{} // after many reloads with other credentials; what is known is learned again
	}
	t := NewTarget(token)
	c.targets[id] = t
	return t
}

// Cancel cancels an answer in the background.
func (c *Canceler) Cancel(a *Answer) {
	if result, blocked := a.Target.Blocked(); blocked {
		a.Done(Outcome{Result: result})
		return
	}
	queued := a.Target.now()
	if !c.Go(func() { a.cancel(queued) }) {
		a.Done(Outcome{Result: Dropped})
	}
}

// cancel cancels the answer, unless it has waited too long since it was queued.
func (a *Answer) cancel(queued time.Time) {
	outcome := Outcome{Result: Dropped}
	if a.Target.now().Sub(queued) < maxWait {
		ctx, cancel := context.WithTimeout(context.Background(), answerTime)
		outcome = a.Target.Cancel(ctx, a.Message, a.Send)
		cancel()
	}
	a.Done(outcome)
}

// Go runs another job that frees something at DocsGPT, within the same bounds. The job must end within some seconds. Go reports
// false if too many jobs are waiting; then it does not run.
func (c *Canceler) Go(job func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) >= maxQueued {
		return false
	}
	c.queue = append(c.queue, job)
	if c.workers < maxWorkers {
		c.workers++
		go c.work()
	}
	return true
}

// work runs jobs until the queue is empty.
func (c *Canceler) work() {
	for job := c.next(); job != nil; job = c.next() {
		job()
	}
}

// next returns the oldest job of the queue. nil: the queue is empty, and the worker must end.
func (c *Canceler) next() func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		c.workers--
		c.queue = nil
		return nil
	}
	job := c.queue[0]
	c.queue[0] = nil
	c.queue = c.queue[1:]
	return job
}
