package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// The variables of the role that forwards requests.
const (
	bareAddress = "BENCH_ADDRESS"
	bareBackend = "BENCH_BACKEND"
)

// bareCommand returns this program as a proxy of Go's standard library, as a reference of what Caddy and the gate add.
func bareCommand(ctx context.Context, address, backend string, procs int) (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, roleBare)
	cmd.Env = []string{bareAddress + "=" + address, bareBackend + "=" + backend, "GOMAXPROCS=" + strconv.Itoa(procs)}
	return cmd, nil
}

// serveBare implements the role: it forwards requests until ctx ends.
func serveBare(ctx context.Context) error {
	backend := &url.URL{Scheme: "http", Host: os.Getenv(bareBackend)}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(backend)
			r.SetXForwarded()
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: pacedConnections, DisableCompression: true},
	}
	listener, err := net.Listen("tcp", os.Getenv(bareAddress))
	if err != nil {
		return err
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Without it the server closes the body when a fast response begins. If the transport has not seen the end of the body yet, it
		// closes the connection to the upstream, and the response is cut.
		_ = http.NewResponseController(w).EnableFullDuplex() // cannot fail with HTTP/1.1
		proxy.ServeHTTP(w, r)
	})
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// vllmRouterCommand returns vLLM's router with one worker. It does not check keys.
func vllmRouterCommand(ctx context.Context, dir, address, backend string) (*exec.Cmd, error) {
	program, err := findProgram("vllm-router")
	if err != nil {
		return nil, err
	}
	metrics, err := freeAddress()
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	_, metricsPort, err := net.SplitHostPort(metrics)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, "--worker-urls", "http://"+backend, "--host", host, "--port", port, "--policy", "round_robin",
		"--prometheus-host", host, "--prometheus-port", metricsPort, "--log-level", "error")
	cmd.Env = append(os.Environ(), "HOME="+dir)
	return cmd, nil
}

// respondHandlers returns the directives of a site that responds with the answers of the stub itself.
func respondHandlers() string {
	var b strings.Builder
	answer := func(path, contentType string, body []byte) {
		text := strings.ReplaceAll(string(withConversation(body, 1)), "{", `\{`) // not placeholders
		fmt.Fprintf(&b, "handle %s {\n\t\theader Content-Type %q\n\t\trespond `%s`\n\t}\n\t", path, contentType, text)
	}
	answer("/stream", "text/event-stream; charset=utf-8", bytes.Join(shortStream, nil))
	answer("/api/answer", "application/json", jsonAnswer)
	answer(chatPath, "application/json", chatAnswer)
	return b.String()
}
