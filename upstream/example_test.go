package upstream_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/docsgate/docsgate/upstream"
)

// Send returns the response when its headers have arrived. Copy relays the body chunk by chunk.
func ExampleUpstream_Send() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		question, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s: %s\n", r.Method, r.URL.Path, question)
	}))
	defer server.Close()

	address, err := upstream.ParseAddress(server.URL)
	if err != nil {
		log.Fatal(err)
	}
	u := upstream.New(upstream.Config{Address: address})
	defer u.Close()

	body := upstream.NewBuffer(64)
	body.Bytes = append(body.Bytes, "How do I return a book?"...)
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	resp, err := u.Send(ctx, stop, upstream.Request{Method: http.MethodPost, Path: "/stream", Header: http.Header{}, Body: body})
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	err = upstream.Copy(ctx, stop, resp.Body, u.IdleTimeout(), upstream.SinkFunc(func(chunk []byte) error {
		_, err := os.Stdout.Write(chunk)
		return err
	}))
	if err != nil {
		log.Fatal(err)
	}

	// Output:
	// POST /stream: How do I return a book?
}

// Two spellings of the same address have the same canonical form.
func ExampleParseAddress() {
	for _, s := range []string{"localhost:7091", "http://localhost:7091/", "unix//run/docsgpt.sock"} {
		address, err := upstream.ParseAddress(s)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(address)
	}

	// Output:
	// http://localhost:7091
	// http://localhost:7091
	// unix//run/docsgpt.sock
}
