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

func init() { helperProcesses["full"] = helperProcessDiskFull }

func TestDiskFull(t *testing.T) {
	path, _ := newStoreFile(t, 0)
	out, err := helperProcess(t, "full", path).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	firstErr, acknowledged, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if want := "writing the key store " + path + ": no change was stored: "; !strings.HasPrefix(firstErr, want) {
		t.Errorf("the error is %q, want prefix %q", firstErr, want)
	}
	n, err := count(t.Context(), openStore(t, path))
	if err != nil || strconv.Itoa(n) != acknowledged {
		t.Errorf("%s records were acknowledged, %d are stored; %v", acknowledged, n, err)
	}
}

// helperProcessDiskFull limits the file size, writes until that is an error, and then continues without the limit. It prints
// the first error and the number of acknowledged records.
func helperProcessDiskFull() int {
	ctx := context.Background()
	signal.Ignore(syscall.SIGXFSZ)
	s, err := Open(ctx, Options{Path: os.Getenv(pathEnv)})
	if err != nil {
		return helperProcessFailed(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return helperProcessFailed(err)
	}
	info, err := os.Stat(os.Getenv(pathEnv))
	if err != nil {
		return helperProcessFailed(err)
	}
	before := limit.Cur
	limit.Cur = uint64(info.Size()) + 12345
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return helperProcessFailed(err)
	}
	stored, failed := 0, 0
	for ; failed < 3; stored++ {
		r := record(stored)
		r.Prompt = strings.Repeat("x", 20_000)
		if err := s.Write(ctx, []*registry.Record{r}, []*registry.AuditEntry{entry(r, registry.ActionCreated)}); err != nil {
			if failed++; failed == 1 {
				fmt.Println(err)
			}
			stored--
		}
		if stored > 100_000 {
			return helperProcessFailed(errors.New("the limit has no effect"))
		}
	}
	// Reads still work.
	if n, err := count(ctx, s); err != nil || n != stored {
		return helperProcessFailed(fmt.Errorf("%d records of %d, %w", n, stored, err))
	}
	limit.Cur = before
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return helperProcessFailed(err)
	}
	for range 100 {
		r := record(stored)
		if err := s.Write(ctx, []*registry.Record{r}, []*registry.AuditEntry{entry(r, registry.ActionCreated)}); err != nil {
			return helperProcessFailed(fmt.Errorf("without the limit: %w", err))
		}
		stored++
	}
	fmt.Println(stored)
	if err := s.Close(); err != nil {
		return helperProcessFailed(err)
	}
	return 0
}
