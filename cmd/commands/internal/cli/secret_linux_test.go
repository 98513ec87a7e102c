package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A typed token is not echoed, and the terminal is restored afterwards.
func TestTokenNotEchoed(t *testing.T) {
	const token = "dgk_typed-at-a-terminal"
	master, slave := openTerminal(t)
	if !echoes(t, slave) {
		t.Fatal("the terminal does not echo to begin with")
	}
	var prompt bytes.Buffer
	type result struct {
		token string
		err   error
	}
	done := make(chan result, 1)
	go func() {
		token, err := ReadToken(slave, &prompt)
		done <- result{token, err}
	}()
	for deadline := time.Now().Add(20 * time.Second); echoes(t, slave); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the terminal still echoes")
		}
	}
	if _, err := io.WriteString(master, token+"\n"); err != nil {
		t.Fatal(err)
	}
	if r := <-done; r.token != token || r.err != nil {
		t.Errorf("token %q, error %v", r.token, r.err)
	}
	if prompt.String() != "Token: \n" {
		t.Errorf("prompt %q", prompt.String())
	}
	if !echoes(t, slave) {
		t.Error("echo stays off")
	}
	// all output of the terminal up to a mark
	if _, err := io.WriteString(slave, "mark"); err != nil {
		t.Fatal(err)
	}
	var shown []byte
	for b := make([]byte, 256); !bytes.Contains(shown, []byte("mark")); {
		n, err := master.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		shown = append(shown, b[:n]...)
	}
	if bytes.Contains(shown, []byte("typed")) {
		t.Errorf("the terminal shows %q", shown)
	}
}

// openTerminal returns the two ends of a pseudo-terminal.
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slave.Close() })
	return master, slave
}

func echoes(t *testing.T, terminal *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}
