package pgtest

import (
	"net"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/docsgate/docsgate/internal/testprocess"
)

// Server is a PostgreSQL server of one test, which can be stopped and started. Acknowledged writes survive Crash. It needs Main.
type Server struct {
	t          testing.TB
	data, port string
	running    *process
}

// NewServer creates and starts a server, which is stopped when the test ends.
func NewServer(t testing.TB) *Server {
	t.Helper()
	initdb, _, err := programs(debianPrograms)
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(privateFolder(t), "data")
	if err := create(initdb, data); err != nil {
		t.Fatal(err)
	}
	return startServer(t, data)
}

func startServer(t testing.TB, data string) *Server {
	t.Helper()
	port, err := testprocess.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, data: data, port: port}
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

// NewStandby starts a server that replicates s, and can take over with Promote. Afterwards s acknowledges a commit only when a standby
// server has it.
func (s *Server) NewStandby() *Server {
	s.t.Helper()
	standby := startServer(s.t, baseBackup(s.t, s.Host()))
	s.Exec("ALTER SYSTEM SET synchronous_standby_names = '*'")
	s.Exec("SELECT pg_reload_conf()")
	return standby
}

// Host returns the address of the server, a host and a port on loopback. It stays the same.
func (s *Server) Host() string { return net.JoinHostPort("127.0.0.1", s.port) }

// Exec runs a statement as superuser, in the database "postgres".
func (s *Server) Exec(sql string) {
	s.t.Helper()
	if err := query(s.Host(), sql); err != nil {
		s.t.Fatalf("running SQL for a test: %v", err)
	}
}

// Start starts the server again and waits until it responds. It has no effect if the server is running.
func (s *Server) Start() {
	s.t.Helper()
	if s.running != nil {
		return
	}
	p, err := runOn(s.data, s.port)
	if err != nil {
		s.t.Fatalf("starting PostgreSQL for a test: %v", err)
	}
	s.running = p
}

// Stop shuts the server down.
func (s *Server) Stop() {
	if s.running != nil {
		s.running.stop(fastShutdown)
		s.running = nil
	}
}

// Crash ends the server without a checkpoint, so that it has to recover when it is started again.
func (s *Server) Crash() {
	if s.running != nil {
		s.running.stop(syscall.SIGQUIT)
		s.running = nil
	}
}

// Promote makes a standby server accept writes.
func (s *Server) Promote() {
	s.t.Helper()
	s.Exec("SELECT pg_promote()")
}
