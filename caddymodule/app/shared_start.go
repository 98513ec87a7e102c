package app

import (
	"sync"

	"github.com/docsgate/docsgate/sharedlimits"
)

// sharing are the functions that take part in limits which several gates share, from the start of the configuration to its end.
type sharing struct {
	begin []func(*sharedlimits.Conn) (end func())
	end   []func()
}

// OnShared adds a function that is called when the configuration starts, unless it has no option shared_limits. The function that it
// returns is called when the configuration has ended, before the connection is closed. OnShared must be called while a handler is
// provisioned.
func (a *App) OnShared(begin func(*sharedlimits.Conn) (end func())) {
	a.sharing.begin = append(a.sharing.begin, begin)
}

func (s *sharing) start(conn *sharedlimits.Conn) {
	for _, begin := range s.begin {
		s.end = append(s.end, begin(conn))
	}
}

// stop calls the functions at the same time, since each may send a command to the server.
func (s *sharing) stop() {
	var calls sync.WaitGroup
	for _, end := range s.end {
		calls.Go(end)
	}
	calls.Wait()
	s.end = nil
}
