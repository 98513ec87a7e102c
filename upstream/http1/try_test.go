package http1

import (
	"bufio"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// TryReadChunk returns what has arrived, and never waits.
func TestTryReadChunk(t *testing.T) {
	next := make(chan struct{})
	c := serve(t, func(_ int, c net.Conn) {
		if _, ok := readRequest(bufio.NewReader(c)); !ok {
			return
		}
		for _, text := range []string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "3\r\nabc\r\n2", "\r\nde\r\n", "0\r\n\r\n"} {
			_, _ = io.WriteString(c, text)
			<-next
		}
	})
	resp, err := post(t.Context(), t, c, newBody("x"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body := resp.Body.(ChunkReader)
	if p, err := body.TryReadChunk(); p != nil || err != nil {
		t.Fatalf("before anything has arrived: %q, %v", p, err)
	}
	next <- struct{}{}
	var p []byte
	eventually(t, "a chunk has arrived", func() bool {
		p, err = body.TryReadChunk()
		return p != nil || err != nil
	})
	if string(p) != "abc" || err != nil {
		t.Fatalf("got %q, %v", p, err)
	}
	next <- struct{}{}
	// The beginning of the next chunk's size is buffered, so that it cannot find out whether more has arrived.
	if p, err := body.TryReadChunk(); p != nil || err != nil {
		t.Fatalf("with a part of a chunk: %q, %v", p, err)
	}
	if p, err := body.ReadChunk(time.Minute); string(p) != "de" || err != nil {
		t.Fatalf("got %q, %v", p, err)
	}
	close(next)
	eventually(t, "the end has arrived", func() bool {
		p, err = body.TryReadChunk()
		return p != nil || err != nil
	})
	if p != nil || !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %q, %v", p, err)
	}
}
