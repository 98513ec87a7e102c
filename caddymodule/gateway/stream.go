package gateway

import (
	"net/http"
	"sync"
	"time"

	"github.com/docsgate/docsgate/docsgpt"
)

// maxFlushLatency is the maximum delay of a flush.
const maxFlushLatency = 10 * time.Millisecond

// DefaultSSEKeepalive is the default of Handler.SSEKeepalive. Proxies close a response that is silent for a minute.
const DefaultSSEKeepalive = 15 * time.Second

// Keepalives. Published widgets pass every line that is not blank to their JSON parser; other clients ignore comments.
var (
	blankLine = []byte("\n")
	comment   = []byte(": keepalive\n\n")
)

// streamWriter writes the events of a stream to the client, and a keepalive whenever nothing was written for an interval.
// If DocsGPT takes longer than that for its header, the stream begins without it.
//
// It also delays the flush of the header until the first event, and of the last event until the upstream closes, if they follow immediately.
// Each saves a write to the network, about a tenth of the cost of a short response.
//
// Its timer runs concurrently with the request, and a response writer is not safe for concurrent use. So from start on, the
// client is written to with the mutex locked, or after stop.
type streamWriter struct {
	mu       sync.Mutex
	w        http.ResponseWriter
	values   *headerValues // of the response
	timer    *time.Timer
	interval time.Duration // 0: no keepalives
	endpoint *endpoint

	early   bool // a keepalive may begin the stream
	begun   bool // the header was written
	delayed bool // a flush is delayed
	pulled  bool // flushDelayed is called before the request waits for DocsGPT, so no timer is necessary for that
	stopped bool
	last    time.Time // of the last write
}

// start starts the timer. early says that the client expects a stream, so that a keepalive may begin it. If the timer was started
// before, start only changes the interval.
func (s *streamWriter) start(c *client, interval time.Duration, early bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.interval = interval
		return
	}
	s.w, s.values, s.endpoint, s.interval, s.early, s.last = c.w, &c.responseValues, c.endpoint, interval, early, time.Now()
	if interval > 0 {
		s.timer = time.AfterFunc(interval, s.onTimer)
	}
}

// awaitsHeader ends the time in which a keepalive may begin the stream. It reports whether one has.
func (s *streamWriter) awaitsHeader() (begun bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.early = false
	return s.begun
}

// begin writes the header of the stream, unless a keepalive has begun it. The header of the client's response must be set. pulled says
// that flushDelayed is called before the request waits for more of the stream.
func (s *streamWriter) begin(status int, pulled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pulled = pulled
	if !s.begun {
		s.writeHeader(status)
		s.delayFlush()
	}
}

// writeHeader writes the header. The caller must hold the mutex.
func (s *streamWriter) writeHeader(status int) {
	h := s.w.Header()
	delete(h, "Content-Length")
	s.values.set(h, "Cache-Control", "no-cache, no-transform")
	s.values.set(h, "X-Accel-Buffering", "no")
	s.begun = true
	s.endpoint.streams.Inc()
	s.w.WriteHeader(status)
}

// delayFlush flushes before the request waits for more of the stream, or after maxFlushLatency if that is not known, unless something is
// written first. The caller must hold the mutex.
func (s *streamWriter) delayFlush() {
	s.delayed = true
	switch {
	case s.pulled:
	case s.timer == nil:
		s.timer = time.AfterFunc(maxFlushLatency, s.onTimer)
	default:
		s.timer.Reset(maxFlushLatency)
	}
}

// delays reports whether a flush is delayed.
func (s *streamWriter) delays() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.delayed
}

// flushDelayed does what is delayed.
func (s *streamWriter) flushDelayed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.delayed {
		s.delayed = false
		_ = s.flush() // the next write notices a disconnected client
	}
}

// onTimer flushes what is delayed, or else sends a keepalive if the stream has been silent for the interval.
func (s *streamWriter) onTimer() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopped:
		return
	case s.delayed:
		s.delayed = false
		_ = s.flush() // the next write notices a disconnected client
	case s.interval > 0 && (s.begun || s.early) && time.Since(s.last) >= s.interval:
		if !s.begun {
			s.values.set(s.w.Header(), "Content-Type", "text/event-stream; charset=utf-8")
			s.writeHeader(http.StatusOK)
		}
		s.last = time.Now()
		if _, err := s.w.Write(s.keepalive()); err == nil {
			_ = s.flush()
		}
	}
	s.rearm()
}

// flush sends what is written. The caller must hold the mutex.
func (s *streamWriter) flush() error { return http.NewResponseController(s.w).Flush() }

// keepalive returns what is written for the clients of the endpoint.
func (s *streamWriter) keepalive() []byte {
	if s.endpoint.Relay == docsgpt.RelayEvents {
		return blankLine
	}
	return comment
}

// rearm sets the timer to the next keepalive. The caller must hold the mutex.
func (s *streamWriter) rearm() {
	if s.interval > 0 && !s.stopped {
		s.timer.Reset(max(s.interval-time.Since(s.last), time.Millisecond))
	}
}

// write writes whole events and flushes them together with what is delayed. last says that they are the last ones: the
// upstream closes right after them, and net/http then sends both in one packet.
func (s *streamWriter) write(p []byte, last bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delayed := s.delayed
	if delayed {
		s.delayed = false
		if !s.pulled {
			s.rearm()
		}
	}
	if len(p) == 0 && !delayed {
		return nil
	}
	s.last = time.Now()
	if len(p) > 0 {
		if _, err := s.w.Write(p); err != nil {
			return err
		}
	}
	if last {
		s.interval = 0
		s.delayFlush()
		return nil
	}
	return s.flush()
}

// stop stops the timer, and reports whether the stream has begun. It may be called several times, and without start.
func (s *streamWriter) stop() (begun bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.stopped = true
		if s.timer != nil {
			s.timer.Stop()
		}
		if s.begun {
			s.endpoint.streams.Dec()
		}
	}
	return s.begun
}
