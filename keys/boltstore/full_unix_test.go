//go:build unix

package boltstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/docsgate/docsgate/keys/registry"
)

func init() { childs["full"] = childFull }

func TestFullDisk(t *testing.T) {
	path, _ := stored(t, 0)
	out, err := child(t, "full", path).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	said, acknowledged, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if want := "writing the key store " + path + ": nothing was stored: "; !strings.HasPrefix(said, want) {
		t.Errorf("the error was %q, want %q", said, want)
	}
	n, err := count(t.Context(), open1(t, path))
	if err != nil || strconv.Itoa(n) != acknowledged {
		t.Errorf("%s records were acknowledged, %d are there; %v", acknowledged, n, err)
	}
}

// childFull lets the file grow no further, writes until that is an error, and then goes on with more room. It prints the
// first error and how many records were acknowledged.
func childFull() int {
	ctx := context.Background()
	signal.Ignore(syscall.SIGXFSZ)
	s, err := Open(ctx, Options{Path: os.Getenv(pathEnv)})
	if err != nil {
		return childFailed(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return childFailed(err)
	}
	info, err := os.Stat(os.Getenv(pathEnv))
	if err != nil {
		return childFailed(err)
	}
	before := limit.Cur
	limit.Cur = uint64(info.Size()) + 12345
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return childFailed(err)
	}
	stored, refused := 0, 0
	for ; refused < 3; stored++ {
		r := record(stored)
		r.Prompt = strings.Repeat("x", 20_000)
		if err := s.Write(ctx, []*registry.Record{r}, []*registry.Entry{entry(r, registry.ActionCreated)}); err != nil {
			if refused++; refused == 1 {
				fmt.Println(err)
			}
			stored--
		}
		if stored > 100_000 {
			return childFailed(errors.New("the limit does not count"))
		}
	}
	// Reading goes on.
	if n, err := count(ctx, s); err != nil || n != stored {
		return childFailed(fmt.Errorf("%d records of %d, %w", n, stored, err))
	}
	limit.Cur = before
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return childFailed(err)
	}
	for range 100 {
		r := record(stored)
		if err := s.Write(ctx, []*registry.Record{r}, []*registry.Entry{entry(r, registry.ActionCreated)}); err != nil {
			return childFailed(fmt.Errorf("with more room: %w", err))
		}
		stored++
	}
	fmt.Println(stored)
	if err := s.Close(); err != nil {
		return childFailed(err)
	}
	return 0
}
