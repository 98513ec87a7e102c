package pgtest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/docsgate/docsgate/internal/testprocess"
)

// process is a running server.
type process struct {
	cmd   *exec.Cmd
	ended <-chan struct{}
	log   bytes.Buffer // may be read when it has ended
}

// stop ends the server: with fastShutdown in an orderly way.
func (p *process) stop(signal os.Signal) {
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// run starts a server with arguments on a free port and waits until it responds.
func run(data string, args ...string) (host string, stop func(), err error) {
	// Another process may take the port between its choice and its use.
	for range 5 {
		var port string
		if port, err = testprocess.FreePort(); err != nil {
			return "", nil, err
		}
		var p *process
		if p, err = runOn(data, port, args...); err == nil {
			return net.JoinHostPort("127.0.0.1", port), func() { p.stop(fastShutdown) }, nil
		}
	}
	return "", nil, err
}

// runOn starts a server with arguments on a port and waits until it responds.
func runOn(data, port string, args ...string) (*process, error) {
	args = append([]string{
		"-D", data, "-h", "127.0.0.1", "-p", port, "-k", server.folder,
		"-c", "fsync=off", "-c", "max_connections=50", "-c", "shared_buffers=64MB", "-c", "ssl=on",
		"-c", "ssl_cert_file=" + filepath.Join(server.folder, "server.pem"),
		"-c", "ssl_key_file=" + filepath.Join(server.folder, "server.key"),
	}, args...)
	//nolint:gosec,noctx // the program was found by its name, and stop ends it
	cmd := exec.Command(server.postgres, args...)
	p := &process{cmd: cmd}
	cmd.Dir, cmd.Stderr, cmd.Stdout = server.folder, &p.log, &p.log
	server.account.apply(cmd)
	// On SIGQUIT the server ends all its processes; SIGKILL would leave them.
	ended, err := testprocess.Start(cmd, syscall.SIGQUIT)
	if err != nil {
		return nil, fmt.Errorf("starting postgres: %w", err)
	}
	p.ended = ended
	deadline := time.Now().Add(startTime)
	for {
		err := query(net.JoinHostPort("127.0.0.1", port), "SELECT")
		if err == nil {
			return p, nil
		}
		select {
		case <-p.ended:
			return nil, fmt.Errorf("postgres ended immediately:\n%s", p.log.String())
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			p.stop(fastShutdown)
			return nil, fmt.Errorf("postgres does not respond: %w\n%s", err, p.log.String())
		}
	}
}
