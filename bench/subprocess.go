package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// The roles of this program's subprocesses.
const (
	roleUpstream = "role-upstream"
	roleLoad     = "role-load"
	roleKeys     = "role-keys"
	roleAuth     = "role-auth"
	roleBare     = "role-bare"
)

// subprocess is a process of this program in another role.
type subprocess struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// startSubprocess starts a role, with additional environment variables.
func startSubprocess(ctx context.Context, role string, env ...string) (*subprocess, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, role)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	c := &subprocess{cmd: cmd}
	if c.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", role, err)
	}
	return c, nil
}

// stop closes the subprocess's standard input, which ends it, and waits for it.
func (c *subprocess) stop() {
	c.in.Close()
	_ = c.cmd.Wait() // errors have been reported on its standard output
}

// upstream is the stub in a subprocess.
type upstream struct {
	process *subprocess
	address string
}

func startUpstream(ctx context.Context) (*upstream, error) {
	c, err := startSubprocess(ctx, roleUpstream)
	if err != nil {
		return nil, err
	}
	line, err := c.out.ReadString('\n')
	if err != nil {
		c.stop()
		return nil, fmt.Errorf("starting the upstream: %w", err)
	}
	return &upstream{c, strings.TrimSpace(line)}, nil
}

// counts returns the counts of requests that the upstream has received so far.
func (u *upstream) counts() (counts, error) {
	var c counts
	if _, err := io.WriteString(u.process.in, "\n"); err != nil {
		return c, fmt.Errorf("reading the counts of the upstream: %w", err)
	}
	line, err := u.process.out.ReadBytes('\n')
	if err != nil {
		return c, fmt.Errorf("reading the counts of the upstream: %w", err)
	}
	return c, json.Unmarshal(line, &c)
}

// startLoad runs a workload. The streams of holdScenario stay open until the subprocess is stopped. An invalid response is an
// error.
func startLoad(ctx context.Context, p workload) (*subprocess, outcome, error) {
	c, err := startSubprocess(ctx, roleLoad)
	var result outcome
	if err != nil {
		return nil, result, err
	}
	if err := json.NewEncoder(c.in).Encode(p); err != nil {
		c.stop()
		return nil, result, fmt.Errorf("sending the workload to the client: %w", err)
	}
	line, err := c.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &result)
	}
	switch {
	case err != nil:
		err = fmt.Errorf("waiting for the client: %w", err)
	case result.Invalid > 0:
		err = fmt.Errorf("%s, %s: %d responses are invalid: %s", p.Proxy, p.Scenario, result.Invalid, result.FirstError)
	case result.Valid != p.Requests:
		err = fmt.Errorf("%s, %s: %d responses, want %d", p.Proxy, p.Scenario, result.Valid, p.Requests)
	default:
		return c, result, nil
	}
	c.stop()
	return nil, result, err
}
