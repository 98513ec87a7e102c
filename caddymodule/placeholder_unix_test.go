//go:build unix

package caddymodule_test

import (
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
)

// A placeholder with the path of a pipe is rejected. Opening the pipe would block.
func TestReferenceMustBeRegularFile(t *testing.T) {
	i := newStoreTest(t)
	i.start("respond ok\n")
	pipe, file := filepath.Join(i.dir, "pipe"), filepath.Join(i.dir, "secret")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(agentAlpha+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var enough atomic.Bool
	offered := make(chan struct{})
	go func() { // a gate that opens the pipe gets a value
		defer close(offered)
		for !enough.Load() {
			_ = os.WriteFile(pipe, []byte(agentAlpha), 0o600)
		}
	}()
	for path, want := range map[string]int{pipe: http.StatusUnprocessableEntity, file: http.StatusCreated} {
		if status, answer := i.call(http.MethodPost, "/v1/keys", `{"name":"k","agent":"{file.`+path+`}"}`); status != want {
			t.Errorf("%s: %d %v", path, status, answer)
		}
	}
	enough.Store(true)
	reader, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	<-offered
	_ = reader.Close()
}
