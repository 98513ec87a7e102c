package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// workload is the workload of the load generator.
type workload struct {
	Address      string
	Proxy        proxyMode
	Scenario     string
	Requests     int
	Connections  int
	FirstUnknown uint64 // number of the first unknown token

	Rate float64 // requests per second; 0: each connection sends the next one after a response
}

// outcome is the result of a workload.
type outcome struct {
	Valid      int
	Invalid    int
	FirstError string // the error of the first invalid response

	P50, P99 float64 // seconds from the request, or from when it was due, to the end of the response
	Delay    float64 // median of the seconds from the upstream's write of an event to its arrival; only with markTimed
}

// requestTimeout is the timeout of one request, far above the normal duration.
const requestTimeout = time.Minute

// serveLoad implements the role of the load generator: it reads a workload, runs it and prints the outcome. For holdScenario it
// opens one connection for each request, prints the outcome when all streams have started, and keeps them open until in ends.
func serveLoad(ctx context.Context, in io.Reader, out io.Writer) error {
	var p workload
	lines := bufio.NewReader(in)
	line, err := lines.ReadBytes('\n')
	if err != nil {
		return err
	}
	if err := json.Unmarshal(line, &p); err != nil {
		return err
	}
	k, err := findScenario(p.Scenario)
	if err != nil {
		return err
	}
	l := &load{plan: p, scenario: k, expect: k.expect(p.Proxy)}
	if k.Name == holdScenario.Name {
		l.plan.Connections = p.Requests
	}
	l.run(ctx)
	defer l.close()
	if err := json.NewEncoder(out).Encode(l.outcome); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, lines)
	return err
}

func findScenario(name string) (*scenario, error) {
	switch name {
	case holdScenario.Name:
		return &holdScenario, nil
	case timedScenario.Name:
		return &timedScenario, nil
	}
	found, err := findScenarios(name)
	if err != nil || len(found) != 1 {
		return nil, errors.Join(fmt.Errorf("the workload has no valid scenario: %q", name), err)
	}
	return &found[0], nil
}

// load is a workload in progress.
type load struct {
	plan     workload
	scenario *scenario
	expect   expectation
	next     atomic.Uint64
	mu       sync.Mutex
	outcome  outcome
	open     []net.Conn

	schedule          schedule
	latencies, delays latencies
}

func (l *load) run(ctx context.Context) {
	var workers sync.WaitGroup
	l.schedule = schedule{time.Now(), l.plan.Rate}
	for range l.plan.Connections {
		workers.Go(func() { l.work(ctx) })
	}
	workers.Wait()
	times := l.latencies.take()
	l.outcome.P50, l.outcome.P99, l.outcome.Delay = quantile(times, 0.5), quantile(times, 0.99), quantile(l.delays.take(), 0.5)
}

// work sends requests sequentially over one connection, until none are left. It opens another one if a response closes it.
func (l *load) work(ctx context.Context) {
	conn, err := l.dial(ctx)
	if err != nil {
		l.record(err)
		return
	}
	request := l.scenario.request(l.plan.Address, goodToken)
	tokenOffset := bytes.Index(request, []byte(goodToken))
	if !l.scenario.UnknownTokens {
		tokenOffset = -1
	}
	reader, body := bufio.NewReaderSize(conn, 16<<10), new(bytes.Buffer)
	for ctx.Err() == nil {
		n := l.next.Add(1)
		if n > uint64(l.plan.Requests) {
			return
		}
		if tokenOffset >= 0 {
			copy(request[tokenOffset:], unknownToken(l.plan.FirstUnknown+n))
		}
		began := time.Now()
		if l.plan.Rate > 0 {
			var ok bool
			if began, ok = l.schedule.wait(ctx, n-1); !ok {
				return
			}
		}
		err := conn.SetDeadline(time.Now().Add(requestTimeout))
		if err == nil {
			_, err = conn.Write(request)
		}
		closed := false
		if err == nil {
			closed, err = l.readResponse(reader, body)
		}
		l.record(err)
		l.latencies.add(time.Since(began))
		if err != nil || l.scenario.Marker == markHold {
			return // the connection cannot be reused, or must stay open
		}
		if closed {
			conn.Close()
			if conn, err = l.dial(ctx); err != nil {
				l.record(err)
				return
			}
			reader.Reset(conn)
		}
	}
}

// dial opens a connection, which close closes.
func (l *load) dial(ctx context.Context) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: requestTimeout}).DialContext(ctx, "tcp", l.plan.Address)
	if err == nil {
		l.mu.Lock()
		l.open = append(l.open, conn)
		l.mu.Unlock()
	}
	return conn, err
}

// readResponse reads a response and checks it. It reports whether the server closes the connection.
func (l *load) readResponse(reader *bufio.Reader, body *bytes.Buffer) (closed bool, err error) {
	resp, err := http.ReadResponse(reader, nil)
	if err != nil {
		return false, fmt.Errorf("reading the headers of a response: %w", err)
	}
	body.Reset()
	switch l.scenario.Marker {
	case markHold:
		err = readUntil(resp.Body, body, answerStart) // not closed: Close would wait for the rest
	case markTimed:
		err = l.readTimed(resp.Body, body)
	default:
		_, err = body.ReadFrom(resp.Body)
		resp.Body.Close()
	}
	if err != nil {
		return false, fmt.Errorf("reading a response: %w", err)
	}
	return resp.Close, l.expect.check(resp.StatusCode, body.Bytes())
}

// readUntil reads until the body contains the text.
func readUntil(from io.Reader, body *bytes.Buffer, text string) error {
	piece := make([]byte, 4<<10)
	for !bytes.Contains(body.Bytes(), []byte(text)) {
		n, err := from.Read(piece)
		body.Write(piece[:n])
		if err != nil {
			return err
		}
	}
	return nil
}

var eventTime = regexp.MustCompile(`t=(\d{19})`)

// readTimed reads events that contain the time at which the upstream wrote them, and collects their delays.
func (l *load) readTimed(from io.ReadCloser, body *bytes.Buffer) error {
	defer from.Close()
	piece, seen := make([]byte, 4<<10), 0
	for {
		n, err := from.Read(piece)
		now := time.Now().UnixNano()
		body.Write(piece[:n])
		for _, at := range eventTime.FindAllSubmatchIndex(body.Bytes()[seen:], -1) {
			wrote, err := strconv.ParseInt(string(body.Bytes()[seen+at[2]:seen+at[3]]), 10, 64)
			if err != nil {
				return err
			}
			l.delays.add(time.Duration(now - wrote))
		}
		if complete := bytes.LastIndexByte(body.Bytes(), '\n'); complete > seen {
			seen = complete
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// check returns an error if the response is invalid.
func (e *expectation) check(status int, body []byte) error {
	if status != e.status {
		return fmt.Errorf("status %d, want %d: %.300q", status, e.status, body)
	}
	for _, text := range e.contains {
		if !bytes.Contains(body, []byte(text)) {
			return fmt.Errorf("%q is missing in a response: %.300q", text, body)
		}
	}
	for _, text := range e.absent {
		if bytes.Contains(body, []byte(text)) {
			return fmt.Errorf("unexpected %q in a response: %.300q", text, body)
		}
	}
	return nil
}

// record counts one response.
func (l *load) record(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.outcome.Valid++
		return
	}
	if l.outcome.Invalid++; l.outcome.FirstError == "" {
		l.outcome.FirstError = err.Error()
	}
}

func (l *load) close() {
	for _, conn := range l.open {
		conn.Close()
	}
}
