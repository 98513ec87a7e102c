// Package redistest runs real Redis or Valkey servers for tests, on loopback and without persistence. They end with the test.
//
// It needs redis-server or valkey-server; DOCSGATE_REDIS names another program. Without them the tests fail with an error that says so.
package redistest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/docsgate/docsgate/internal/testprocess"
)

// startTime is the timeout for the start of a server or a cluster.
const startTime = time.Minute

// Server is a running server. It is not safe for concurrent use.
type Server struct {
	t       testing.TB
	port    string
	file    string // the configuration of a Sentinel; empty: none
	args    []string
	cmd     *exec.Cmd
	ended   <-chan struct{}
	clients []*redis.Client
}

// Start starts a server with further arguments, such as "--requirepass", "secret". PORT in an argument is replaced by its port.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	return start(t, &Server{t: t, args: args})
}

// StartSentinel starts a Sentinel that knows a server by a name.
func StartSentinel(t testing.TB, name string, s *Server) *Server {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sentinel.conf")
	if err := os.WriteFile(file, []byte("sentinel monitor "+name+" 127.0.0.1 "+s.port+" 1\n"), 0o600); err != nil {
		t.Fatalf("writing the configuration of a Sentinel: %v", err)
	}
	return start(t, &Server{t: t, file: file})
}

func start(t testing.TB, s *Server) *Server {
	t.Helper()
	t.Cleanup(func() {
		s.Stop()
		for _, client := range s.clients {
			_ = client.Close()
		}
	})
	// Another process may take the port between its choice and its use.
	var err error
	for range 5 {
		s.port = freePort(t)
		if err = s.try(); err == nil {
			return s
		}
	}
	t.Fatalf("starting Redis for a test: %v", err)
	return nil
}

// Addr returns the address of the server: a loopback IP address and a port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", s.port) }

// URL returns the address in the form of the configuration.
func (s *Server) URL() string { return "redis://" + s.Addr() }

// Client returns a client that retries, for checks.
func (s *Server) Client() *redis.Client {
	client := redis.NewClient(&redis.Options{Addr: s.Addr(), MaxRetries: 5})
	s.clients = append(s.clients, client)
	return client
}

// Stop kills the server, with all its data. It does nothing if the server is not running.
func (s *Server) Stop() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	<-s.ended
	s.cmd = nil
}

// Restart kills the server and starts an empty one at the same address.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	if err := s.try(); err != nil {
		s.t.Fatalf("restarting Redis: %v", err)
	}
}

func (s *Server) try() error {
	program, err := program()
	if err != nil {
		return err
	}
	var log bytes.Buffer
	args := []string{"--port", s.port, "--bind", "127.0.0.1", "--dir", s.t.TempDir()}
	if s.file != "" {
		args = append([]string{s.file, "--sentinel"}, args...)
	} else {
		args = append(args, "--save", "", "--appendonly", "no")
	}
	for _, arg := range s.args {
		args = append(args, strings.ReplaceAll(arg, "PORT", s.port))
	}
	//nolint:gosec // the program was found by its name
	cmd := exec.CommandContext(context.Background(), program, args...)
	cmd.Stdout, cmd.Stderr = &log, &log
	ended, err := testprocess.Start(cmd, syscall.SIGKILL)
	if err != nil {
		return fmt.Errorf("starting %s: %w", program, err)
	}
	deadline := time.Now().Add(startTime)
	for {
		conn, err := (&net.Dialer{Timeout: time.Second}).Dial("tcp", s.Addr())
		if err == nil {
			_ = conn.Close()
			s.cmd, s.ended = cmd, ended
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("%s ended immediately:\n%s", program, log.String())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			_ = cmd.Process.Kill()
			<-ended
			return fmt.Errorf("%s does not respond:\n%s", program, log.String())
		}
	}
}

func program() (string, error) {
	if path := os.Getenv("DOCSGATE_REDIS"); path != "" {
		return path, nil
	}
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("redis-server or valkey-server is missing: run scripts/provision.sh")
}

func freePort(t testing.TB) string {
	t.Helper()
	port, err := testprocess.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}
