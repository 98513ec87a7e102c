package caddymodule_test

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// Caddy starts apps in no defined order, so a server may accept requests before the gate has started: they wait for it.
func TestRequestsBeforeStart(t *testing.T) {
	t.Setenv("ADMIN", adminToken)
	i := newStoreTest(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	config := i.config("docsgate_console {\nadmin_token {env.ADMIN}\n}\n")
	config = strings.Replace(config, "http://:0 {\nbind 127.0.0.1\n", "http://"+address+" {\n", 1)
	t.Cleanup(func() { _ = caddy.Stop() })
	for range 20 {
		first := make(chan string, 1)
		go func() { first <- firstResponse(address) }()
		if err := i.load(config); err != nil {
			t.Fatal(err)
		}
		if got := <-first; got != "200 OK" {
			t.Fatalf("the first response is %s", got)
		}
		i.stop()
	}
}

// firstResponse sends requests to the console until its server accepts one, and returns the status of the response.
func firstResponse(address string) string {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		r, err := http.NewRequest(http.MethodGet, "http://"+address+"/v1/keys", http.NoBody)
		if err != nil {
			return err.Error()
		}
		r.Header.Set("Authorization", "Bearer "+adminToken)
		resp, err := client.Do(r)
		if errors.Is(err, syscall.ECONNREFUSED) {
			continue
		}
		if err != nil {
			return err.Error()
		}
		_ = resp.Body.Close()
		return resp.Status
	}
}
