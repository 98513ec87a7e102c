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

// The roles that this program plays in processes of their own.
const (
	roleUpstream = "role-upstream"
	roleLoad     = "role-load"
	roleKeys     = "role-keys"
)

// child is this program in another role.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// startChild starts a role with some variables in its environment besides those of this process.
func startChild(ctx context.Context, role string, env ...string) (*child, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, role)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	c := &child{cmd: cmd}
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

// stop lets the child end and waits for it.
func (c *child) stop() {
	c.in.Close()
	_ = c.cmd.Wait() // what it had to say it has said
}

// upstream is the stub in its process.
type upstream struct {
	child   *child
	address string
}

func startUpstream(ctx context.Context) (*upstream, error) {
	c, err := startChild(ctx, roleUpstream)
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

// counts asks what the upstream has seen so far.
func (u *upstream) counts() (counts, error) {
	var c counts
	if _, err := io.WriteString(u.child.in, "\n"); err != nil {
		return c, fmt.Errorf("asking the upstream: %w", err)
	}
	line, err := u.child.out.ReadBytes('\n')
	if err != nil {
		return c, fmt.Errorf("asking the upstream: %w", err)
	}
	return c, json.Unmarshal(line, &c)
}

// startLoad carries a plan out. The streams of holdKind stay open until the child is stopped. An answer that is wrong is
// an error.
func startLoad(ctx context.Context, p plan) (*child, error) {
	c, err := startChild(ctx, roleLoad)
	if err != nil {
		return nil, err
	}
	var result outcome
	if err := json.NewEncoder(c.in).Encode(p); err != nil {
		c.stop()
		return nil, fmt.Errorf("giving the client its plan: %w", err)
	}
	line, err := c.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &result)
	}
	switch {
	case err != nil:
		err = fmt.Errorf("waiting for the client: %w", err)
	case result.Wrong > 0:
		err = fmt.Errorf("%s, %s: %d answers are wrong: %s", p.Proxy, p.Kind, result.Wrong, result.First)
	case result.Right != p.Requests:
		err = fmt.Errorf("%s, %s: %d answers in place of %d", p.Proxy, p.Kind, result.Right, p.Requests)
	default:
		return c, nil
	}
	c.stop()
	return nil, err
}
