package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The fake DocsGPT of the measurement answers 12 questions a second, as one process of DocsGPT 1.1.0 does: each takes a twelfth of a
// second of one processor, and then a second of the model, for any number of questions at the same time.
const (
	processorTime = time.Second / 12
	modelTime     = time.Second
)

// fairLimits let one key take all slots, so that only the queue protects the other one.
const fairLimits = " {\n\t\tmax_in_flight 16\n\t\tmax_in_flight_per_key 16\n\t\tlimits off\n\t}"

const (
	floodClients = 500
	floodToken   = "dgk_bench_other_0"

	// floodRetry is how long a rejected client of the flood waits, whatever the gate asks for.
	floodRetry = 200 * time.Millisecond
	// floodTime is how long the flood runs before the other key is measured.
	floodTime = 5 * time.Second

	// mostDelay is how much a flood may delay another key: it halves what the key gets of DocsGPT.
	mostDelay = 2.0
	// measurementError is what a measurement may be off.
	measurementError = 0.1
)

// fairnessLoads are the numbers of clients of the measured key, each with one question at a time: less than its share, about its
// share, and more than DocsGPT answers.
var fairnessLoads = []struct{ clients, questions int }{{1, 8}, {8, 64}, {24, 120}}

// errUnfair means that a flood delays another key too much.
var errUnfair = errors.New("a flood delays another key more than it may")

// runFairness measures how long a key waits for its answers, alone and during a flood on another key.
func runFairness(ctx context.Context, o *options, out io.Writer) error {
	w, err := prepareEnv(ctx, o)
	if err != nil {
		return err
	}
	defer w.close()
	docsgpt := httptest.NewServer(new(slowDocsGPT))
	defer docsgpt.Close()
	defer docsgpt.CloseClientConnections()
	w.backend = docsgpt.Listener.Addr().String()
	fmt.Fprintf(out, "mean time to an answer of a key, and during a flood of %d clients on another key:\n", floodClients)
	failed := false
	for _, load := range fairnessLoads {
		alone, flooded, err := w.measureFairness(ctx, load.clients, load.questions)
		if err != nil {
			return err
		}
		ratio := flooded.Seconds() / alone.Seconds()
		verdict := "ok"
		if ratio > mostDelay*(1+measurementError) {
			verdict, failed = "too much", true
		}
		fmt.Fprintf(out, "%3d clients: %.2f s alone, %.2f s with the flood, ratio %.2f, at most %.0f: %s\n",
			load.clients, alone.Seconds(), flooded.Seconds(), ratio, mostDelay, verdict)
	}
	if failed {
		return errUnfair
	}
	return nil
}

// measureFairness returns the mean time to an answer without and with a flood. Each measurement has a gate of its own, since abandoned
// questions stay in flight for some time.
func (w *env) measureFairness(ctx context.Context, clients, questions int) (alone, flooded time.Duration, err error) {
	p, err := w.startProxy(ctx, fair, false)
	if err != nil {
		return 0, 0, err
	}
	defer p.stop()
	if alone, err = ask(ctx, p.address, clients, questions); err != nil {
		return 0, 0, err
	}
	ctx, stop := context.WithCancel(ctx)
	var flood sync.WaitGroup
	defer flood.Wait()
	defer stop()
	for range floodClients {
		flood.Go(func() { floodWith(ctx, p.address) })
	}
	if err := pause(ctx, floodTime); err != nil {
		return 0, 0, err
	}
	flooded, err = ask(ctx, p.address, clients, questions)
	return alone, flooded, err
}

// ask lets clients ask questions, each one at a time, and returns the mean time to an answer.
func ask(ctx context.Context, address string, clients, questions int) (time.Duration, error) {
	transport := fairTransport(clients)
	defer transport.CloseIdleConnections()
	var next, sum atomic.Int64
	failures := make(chan error, clients)
	var workers sync.WaitGroup
	for range clients {
		workers.Go(func() {
			for next.Add(1) <= int64(questions) {
				begun := time.Now()
				if err := askOnce(ctx, transport, address, goodToken); err != nil {
					failures <- err
					return
				}
				sum.Add(int64(time.Since(begun)))
			}
		})
	}
	workers.Wait()
	select {
	case err := <-failures:
		return 0, fmt.Errorf("a question of the measured key: %w", err)
	default:
		return time.Duration(sum.Load() / int64(questions)), nil
	}
}

// floodWith asks without end.
func floodWith(ctx context.Context, address string) {
	transport := fairTransport(1)
	defer transport.CloseIdleConnections()
	for ctx.Err() == nil {
		if err := askOnce(ctx, transport, address, floodToken); err != nil {
			_ = pause(ctx, floodRetry) // ends with ctx
		}
	}
}

func fairTransport(connections int) *http.Transport {
	return &http.Transport{MaxIdleConnsPerHost: connections, DialContext: (&net.Dialer{Timeout: requestTimeout}).DialContext}
}

// askOnce asks a question, and returns when the answer has arrived, or with an error.
func askOnce(ctx context.Context, transport *http.Transport, address, token string) error {
	body := fmt.Sprintf(`{"question":"How do I install it?","history":"[]","api_key":%q}`, token)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/stream", strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answered := false
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		answered = answered || strings.Contains(lines.Text(), answerEnd)
	}
	if resp.StatusCode != http.StatusOK || !answered {
		return fmt.Errorf("no answer, status %d", resp.StatusCode)
	}
	return nil
}

// slowDocsGPT is a fake DocsGPT that is as slow as a real one.
type slowDocsGPT struct {
	mu   sync.Mutex
	free time.Time // when the processor is done with all questions so far
}

// process returns when the processor will be done with a question.
func (d *slowDocsGPT) process() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := time.Now(); d.free.Before(now) {
		d.free = now
	}
	d.free = d.free.Add(processorTime)
	return d.free
}

func (d *slowDocsGPT) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // the gate's request is complete
	time.Sleep(time.Until(d.process()) + modelTime)
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	for _, event := range shortStream {
		_, _ = w.Write(event) // a client that has disconnected is not served any more
	}
}
