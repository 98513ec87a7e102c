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
	"sync"
	"sync/atomic"
	"time"
)

// plan is what the load generator is to do.
type plan struct {
	Address     string
	Proxy       proxyKind
	Kind        string
	Requests    int
	Connections int
	First       uint64 // number of the first unknown token
}

// outcome is what came of a plan.
type outcome struct {
	Right int
	Wrong int
	First string // what was wrong first
}

// exchangeTimeout is how long one request may take; it is far from what any takes.
const exchangeTimeout = time.Minute

// serveLoad is the role of the load generator: it reads one plan, carries it out and prints the outcome. Where the kind
// is holdKind it opens one connection for each request, prints the outcome once all streams have begun, and keeps them
// open until there is nothing more to read.
func serveLoad(ctx context.Context, in io.Reader, out io.Writer) error {
	var p plan
	lines := bufio.NewReader(in)
	line, err := lines.ReadBytes('\n')
	if err != nil {
		return err
	}
	if err := json.Unmarshal(line, &p); err != nil {
		return err
	}
	k, err := findKind(p.Kind)
	if err != nil {
		return err
	}
	l := &load{plan: p, kind: k, expect: k.expect(p.Proxy)}
	if k.Name == holdKind.Name {
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

func findKind(name string) (*kind, error) {
	if name == holdKind.Name {
		return &holdKind, nil
	}
	found, err := findKinds(name)
	if err != nil || len(found) != 1 {
		return nil, errors.Join(fmt.Errorf("the plan names no kind: %q", name), err)
	}
	return &found[0], nil
}

// load is a plan under way.
type load struct {
	plan    plan
	kind    *kind
	expect  expectation
	next    atomic.Uint64
	mu      sync.Mutex
	outcome outcome
	open    []net.Conn
}

func (l *load) run(ctx context.Context) {
	var workers sync.WaitGroup
	for range l.plan.Connections {
		workers.Go(func() { l.work(ctx) })
	}
	workers.Wait()
}

// work sends requests over one connection, one after the other, until none are left.
func (l *load) work(ctx context.Context) {
	conn, err := (&net.Dialer{Timeout: exchangeTimeout}).DialContext(ctx, "tcp", l.plan.Address)
	if err != nil {
		l.note(err)
		return
	}
	l.mu.Lock()
	l.open = append(l.open, conn)
	l.mu.Unlock()
	request := l.kind.request(l.plan.Address, goodToken)
	at := bytes.Index(request, []byte(goodToken))
	if !l.kind.Unknown {
		at = -1
	}
	reader, body := bufio.NewReaderSize(conn, 16<<10), new(bytes.Buffer)
	for ctx.Err() == nil {
		n := l.next.Add(1)
		if n > uint64(l.plan.Requests) {
			return
		}
		if at >= 0 {
			copy(request[at:], unknownToken(l.plan.First+n))
		}
		err := conn.SetDeadline(time.Now().Add(exchangeTimeout))
		if err == nil {
			_, err = conn.Write(request)
		}
		if err == nil {
			err = l.receive(reader, body)
		}
		l.note(err)
		if err != nil || l.kind.Ask == askHold {
			return // the connection is of no more use, or is to stay as it is
		}
	}
}

// receive reads an answer and tells what is wrong with it.
func (l *load) receive(reader *bufio.Reader, body *bytes.Buffer) error {
	resp, err := http.ReadResponse(reader, nil)
	if err != nil {
		return fmt.Errorf("reading the head of an answer: %w", err)
	}
	body.Reset()
	if l.kind.Ask == askHold {
		err = readUntil(resp.Body, body, answerStart) // and not closed, which would wait for the rest
	} else {
		_, err = body.ReadFrom(resp.Body)
		resp.Body.Close()
	}
	if err != nil {
		return fmt.Errorf("reading an answer: %w", err)
	}
	return l.expect.check(resp.StatusCode, body.Bytes())
}

// readUntil reads until the text has come, and leaves the rest.
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

// check tells what is wrong with an answer.
func (e *expectation) check(status int, body []byte) error {
	if status != e.status {
		return fmt.Errorf("status %d in place of %d: %.300q", status, e.status, body)
	}
	for _, text := range e.contains {
		if !bytes.Contains(body, []byte(text)) {
			return fmt.Errorf("%q is missing in an answer: %.300q", text, body)
		}
	}
	for _, text := range e.absent {
		if bytes.Contains(body, []byte(text)) {
			return fmt.Errorf("%q is in an answer: %.300q", text, body)
		}
	}
	return nil
}

// note counts one answer.
func (l *load) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.outcome.Right++
		return
	}
	if l.outcome.Wrong++; l.outcome.First == "" {
		l.outcome.First = err.Error()
	}
}

func (l *load) close() {
	for _, conn := range l.open {
		conn.Close()
	}
}
