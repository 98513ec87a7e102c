package testprocess_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/testprocess"
)

// A killed test leaves no program behind.
func TestEndsWithKilledProcess(t *testing.T) {
	if os.Getenv("TESTPROCESS_CHILD") != "" {
		program := exec.Command("sleep", "3600")
		if _, err := testprocess.Start(program, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		fmt.Println(program.Process.Pid)
		select {}
	}
	child := exec.Command(os.Args[0], "-test.run=^TestEndsWithKilledProcess$")
	child.Env = append(os.Environ(), "TESTPROCESS_CHILD=1")
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line := bufio.NewScanner(output)
	line.Scan()
	pid, err := strconv.Atoi(line.Text())
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	if err != nil {
		t.Fatalf("the child did not start the program: %v", err)
	}
	for deadline := time.Now().Add(30 * time.Second); running(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatal("the program is still running")
		}
	}
}

// running reports whether a process exists that is not a zombie: an orphan may have a parent that does not wait for it.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	var state string
	_, _ = fmt.Sscanf(string(stat), "%d (sleep) %s", new(int), &state)
	return state != "Z"
}

// The channel is closed when the program has ended, and an error of the start is returned.
func TestEnded(t *testing.T) {
	program := exec.Command("sleep", "3600")
	ended, err := testprocess.Start(program, syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
		t.Error("the channel is closed while the program runs")
	default:
	}
	if err := program.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-ended
	if _, err := testprocess.Start(exec.Command("/does/not/exist"), syscall.SIGKILL); err == nil {
		t.Error("no error for a program that does not exist")
	}
}
