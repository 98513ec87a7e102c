package boltstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/usage"
)

const (
	helperProcessEnv = "DOCSGATE_STORE_CHILD"
	pathEnv          = "DOCSGATE_STORE_PATH"
	fromEnv          = "DOCSGATE_STORE_FROM"
)

// helperProcesses are the functions that this test binary runs when a test starts it as a helper process, by the value of
// helperProcessEnv.
var helperProcesses = map[string]func() int{"writer": helperProcessWriter, "holder": helperProcessLockHolder}

// helperProcess returns a command that runs one of helperProcesses. It ends with the test at the latest.
func helperProcess(t *testing.T, name, path string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), helperProcessEnv+"="+name, pathEnv+"="+path)
	cmd.Stderr = os.Stderr
	return cmd
}

func helperProcessFailed(err error) int {
	fmt.Fprintln(os.Stderr, "helper process:", err)
	return 1
}

// helperProcessWriter creates keys from several goroutines, rotates the token of each, and prints "ID number-of-writes" after
// each acknowledged write. It is meant to be killed, even if its reader is slow: after the last write it waits for the end of
// standard input.
func helperProcessWriter() int {
	ctx := context.Background()
	s, err := Open(ctx, Options{Path: os.Getenv(pathEnv)})
	if err != nil {
		return helperProcessFailed(err)
	}
	from, err := strconv.Atoi(os.Getenv(fromEnv))
	if err != nil {
		return helperProcessFailed(err)
	}
	const writers = 4
	failed := make(chan error, writers+1)
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for n := from + w; n < from+1000; n += writers {
				r := record(n)
				for i := 1; i <= 2; i++ {
					if i == 2 {
						r.PreviousTokens = append(r.PreviousTokens, keys.PreviousToken{Digest: r.Digest, Until: testTime})
						r.Digest = keys.DigestOf(fmt.Sprint("new token ", n))
					}
					r.Chunks = strconv.Itoa(i)
					if err := s.Write(ctx, []*registry.Record{r}, []*registry.AuditEntry{entry(r, registry.ActionChanged)}); err != nil {
						failed <- err
						return
					}
					fmt.Printf("%s %d\n", r.ID, i)
				}
			}
		})
	}
	group.Go(func() {
		for i := range 20 {
			rows := make([]usage.Row, 500)
			for n := range rows {
				rows[n] = usage.Row{ID: record(n).ID, LastUsed: int64(i)}
			}
			if err := errors.Join(s.SaveUse(ctx, rows), s.PutIdempotencyRecord(ctx, fmt.Sprint("note ", i), "text")); err != nil {
				failed <- err
				return
			}
		}
	})
	group.Wait()
	select {
	case err := <-failed:
		return helperProcessFailed(err)
	default:
	}
	_, _ = os.Stdin.Read(make([]byte, 1))
	if err := s.Close(); err != nil {
		return helperProcessFailed(err)
	}
	return 0
}

// helperProcessLockHolder keeps a store open until its standard input ends.
func helperProcessLockHolder() int {
	s, err := Open(context.Background(), Options{Path: os.Getenv(pathEnv)})
	if err != nil {
		return helperProcessFailed(err)
	}
	fmt.Println("open")
	_, _ = os.Stdin.Read(make([]byte, 1))
	if err := s.Close(); err != nil {
		return helperProcessFailed(err)
	}
	return 0
}

func count(ctx context.Context, s *Store) (n int, err error) {
	_, err = s.All(ctx, func(*registry.Record) error { n++; return nil })
	return n, err
}
