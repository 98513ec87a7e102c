package cancellation

import (
	"context"
	"sync"
	"time"

	"github.com/docsgate/docsgate/docsgpt"
)

// Result is what has happened to an answer.
type Result uint8

// The results.
const (
	Canceled    Result = iota // DocsGPT ends it
	Finished                  // it had already ended
	NotAllowed                // DocsGPT does not accept the credential for this
	NotFound                  // the answer belongs to another account than the credential
	Unsupported               // DocsGPT has no such endpoint
	Failed                    // DocsGPT did not respond, or could not do it
	Dropped                   // too many answers were to be canceled
)

var resultNames = [...]string{"canceled", "finished", "not_allowed", "not_found", "unsupported", "failed", "dropped"}

// String returns the name of the result, for metrics.
func (r Result) String() string { return resultNames[r] }

// Ended reports whether the answer no longer occupies DocsGPT, or does so only for a moment.
func (r Result) Ended() bool { return r == Canceled || r == Finished }

// Outcome is the result of a cancellation.
type Outcome struct {
	Result Result

	// Learned reports that answers will not be canceled for some time, and that this was not known before. It is the moment to
	// warn the operator.
	Learned bool
}

// Send sends a POST without a body to DocsGPT, with an access or session token if token is not empty. It returns the beginning of
// the body.
type Send func(ctx context.Context, path, token string) (status int, body []byte, err error)

const (
	blockTime     = 10 * time.Minute       // without attempts after DocsGPT has refused one
	maxNotFound   = 3                      // consecutive answers of other accounts before attempts stop
	attemptTime   = 5 * time.Second        // for one request to DocsGPT
	pauseForRetry = 250 * time.Millisecond // before the only retry
)

// Target is a DocsGPT with a credential. What it has learned outlives the configuration. It is safe for concurrent use.
type Target struct {
	token string
	now   func() time.Time

	mu        sync.Mutex
	blocked   time.Time // no attempts until then
	blockedBy Result
	anonymous bool // the last success was without the credential
	misses    int  // consecutive results NotFound
	warned    bool // Learned was reported since the last success
}

// NewTarget returns a target that nothing is known of. token is the gate's credential; empty: it has none.
func NewTarget(token string) *Target { return &Target{token: token, now: time.Now} }

// Blocked reports whether attempts are pointless at the moment, and the result that they would have.
func (t *Target) Blocked() (result Result, blocked bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.blockedBy, t.now().Before(t.blocked)
}

// Cancel cancels the answer of a message, and returns when DocsGPT has responded or ctx ends. A request that fails is retried once.
//
// If DocsGPT does not accept the credential, Cancel tries without one: an access token may not cancel even if DocsGPT requires no
// authentication, where every other client may.
func (t *Target) Cancel(ctx context.Context, message docsgpt.MessageID, send Send) Outcome {
	if result, blocked := t.Blocked(); blocked {
		return Outcome{Result: result}
	}
	path := docsgpt.CancelPath(message)
	result := NotAllowed
	for _, token := range t.tokens() {
		outcome := post(ctx, path, token, send)
		if outcome == docsgpt.CancelForbidden {
			continue
		}
		if result = results[outcome]; result.Ended() {
			t.succeeded(token)
			return Outcome{Result: result}
		}
		break
	}
	return Outcome{Result: result, Learned: t.failed(result)}
}

var results = map[docsgpt.CancelOutcome]Result{
	docsgpt.CancelAccepted:    Canceled,
	docsgpt.CancelFinished:    Finished,
	docsgpt.CancelForbidden:   NotAllowed,
	docsgpt.CancelNotFound:    NotFound,
	docsgpt.CancelUnsupported: Unsupported,
	docsgpt.CancelFailed:      Failed,
}

// post sends the request, and retries it once if it fails.
func post(ctx context.Context, path, token string, send Send) docsgpt.CancelOutcome {
	for try := 0; ; try++ {
		one, cancel := context.WithTimeout(ctx, attemptTime)
		status, body, err := send(one, path, token)
		cancel()
		if err == nil {
			if outcome := docsgpt.CancelOutcomeOf(status, body); outcome != docsgpt.CancelFailed {
				return outcome
			}
		}
		if try > 0 {
			return docsgpt.CancelFailed
		}
		select {
		case <-ctx.Done():
			return docsgpt.CancelFailed
		case <-time.After(pauseForRetry):
		}
	}
}

// tokens returns the tokens to try, beginning with the one that has worked last.
func (t *Target) tokens() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.token == "":
		return []string{""}
	case t.anonymous:
		return []string{"", t.token}
	default:
		return []string{t.token, ""}
	}
}

func (t *Target) succeeded(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.anonymous, t.misses, t.warned = token == "", 0, false
}

// failed records a failure. It reports whether attempts are now blocked and the operator does not know that yet.
func (t *Target) failed(result Result) (learned bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch result {
	case NotAllowed, Unsupported:
	case NotFound:
		if t.misses++; t.misses < maxNotFound {
			return false
		}
		t.misses = 0
	case Canceled, Finished, Failed, Dropped:
		return false
	}
	t.blocked, t.blockedBy = t.now().Add(blockTime), result
	learned = !t.warned
	t.warned = true
	return learned
}
