package gateway

import (
	"sync"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/ratelimit"
)

// BackendState is what the process counts and remembers about the requests to a backend. It survives reloads, so that they do not reset
// the counters. The fields are set before the first request.
type BackendState struct {
	// Rates counts the requests and the streams of keys and visitors.
	Rates *ratelimit.Limiter

	// FailedTokens counts the unknown tokens of client addresses.
	FailedTokens *ratelimit.AddressLimiter

	*metrics
	sessions         *sessionTable
	unknownEndpoints map[docsgpt.ErrorFormat]*endpoint // of requests whose path is unknown, by the format of the error response
}

// backendStates holds the states of all backends by their names. There are as many as the configurations of the process have named.
var backendStates struct {
	sync.Mutex
	byName map[string]*BackendState
}

// StateOf returns the state of a backend by its name; empty: of the default one.
func StateOf(backend string) *BackendState {
	backendStates.Lock()
	defer backendStates.Unlock()
	s := backendStates.byName[backend]
	if s == nil {
		s = &BackendState{
			Rates: ratelimit.New(0), FailedTokens: ratelimit.NewAddressLimiter(maxFailingAddresses),
			metrics: newMetrics(), sessions: newSessionTable(maxOpenSessions), unknownEndpoints: map[docsgpt.ErrorFormat]*endpoint{},
		}
		for _, format := range []docsgpt.ErrorFormat{docsgpt.FormatJSON, docsgpt.FormatOpenAI, docsgpt.FormatOAuth} {
			s.unknownEndpoints[format] = newEndpoint(&docsgpt.Endpoint{Name: "none", ErrorFormat: format}, s.metrics)
		}
		if backendStates.byName == nil {
			backendStates.byName = map[string]*BackendState{}
		}
		backendStates.byName[backend] = s
	}
	return s
}
