package gateclient

import (
	"fmt"
	"io"
	"net/http"
	"sync"
)

// handlerTransport is a transport to a handler in this process. Responses are streamed.
type handlerTransport struct {
	handler http.Handler
	running sync.WaitGroup
}

// RoundTrip implements http.RoundTripper.
func (p *handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	served := r.Clone(r.Context())
	served.RequestURI = r.URL.RequestURI()
	if served.Body == nil {
		served.Body = http.NoBody
	}
	if served.Host == "" {
		served.Host = r.URL.Host
	}
	reader, writer := io.Pipe()
	w := &pipeWriter{header: http.Header{}, body: writer, begun: make(chan struct{})}
	p.running.Go(func() {
		defer func() {
			_ = served.Body.Close()
			if reason := recover(); reason != nil {
				w.WriteHeader(http.StatusInternalServerError)
				_ = writer.CloseWithError(fmt.Errorf("the handler panicked: %v", reason))
				return
			}
			w.WriteHeader(http.StatusOK)
			_ = writer.Close()
		}()
		p.handler.ServeHTTP(w, served)
	})
	select {
	case <-w.begun:
	case <-r.Context().Done():
	}
	if err := r.Context().Err(); err != nil { // even if a response has begun: a canceled handler may have written half of it
		_ = reader.Close()
		return nil, err
	}
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Header: w.sent, Body: reader, ContentLength: -1,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
	}, nil
}

// pipeWriter is the http.ResponseWriter of a handlerTransport.
type pipeWriter struct {
	header http.Header
	body   *io.PipeWriter
	begun  chan struct{} // closed when the status is written; status and sent are set before
	once   sync.Once
	status int
	sent   http.Header
}

func (w *pipeWriter) Header() http.Header { return w.header }

func (w *pipeWriter) WriteHeader(status int) {
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		close(w.begun)
	})
}

func (w *pipeWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

func (w *pipeWriter) Flush() {}
