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
	childEnv = "DOCSGATE_STORE_CHILD"
	pathEnv  = "DOCSGATE_STORE_PATH"
	fromEnv  = "DOCSGATE_STORE_FROM"
)

// childs are the programs that this test binary is when it starts itself, by the value of childEnv.
var childs = map[string]func() int{"writer": childWriter, "holder": childHolder}

// child is a command that runs one of childs. It ends with the test at the latest.
func child(t *testing.T, name, path string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+name, pathEnv+"="+path)
	cmd.Stderr = os.Stderr
	return cmd
}

func childFailed(err error) int {
	fmt.Fprintln(os.Stderr, "child:", err)
	return 1
}

// childWriter makes keys from several goroutines, gives each a second token, and prints "ID number-of-writes" once a write
// is acknowledged. It is to be killed, however far behind its reader is: when all is written it waits for the end of its
// standard input.
func childWriter() int {
	ctx := context.Background()
	s, err := Open(ctx, Options{Path: os.Getenv(pathEnv)})
	if err != nil {
		return childFailed(err)
	}
	from, err := strconv.Atoi(os.Getenv(fromEnv))
	if err != nil {
		return childFailed(err)
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
						r.Old = append(r.Old, keys.OldToken{Digest: r.Digest, Until: when})
						r.Digest = keys.DigestOf(fmt.Sprint("new token ", n))
					}
					r.Chunks = strconv.Itoa(i)
					if err := s.Write(ctx, []*registry.Record{r}, []*registry.Entry{entry(r, registry.ActionChanged)}); err != nil {
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
			if err := errors.Join(s.SaveUse(ctx, rows), s.Remember(ctx, fmt.Sprint("note ", i), "text")); err != nil {
				failed <- err
				return
			}
		}
	})
	group.Wait()
	select {
	case err := <-failed:
		return childFailed(err)
	default:
	}
	_, _ = os.Stdin.Read(make([]byte, 1))
	if err := s.Close(); err != nil {
		return childFailed(err)
	}
	return 0
}

// childHolder holds a store open until its standard input ends.
func childHolder() int {
	s, err := Open(context.Background(), Options{Path: os.Getenv(pathEnv)})
	if err != nil {
		return childFailed(err)
	}
	fmt.Println("open")
	_, _ = os.Stdin.Read(make([]byte, 1))
	if err := s.Close(); err != nil {
		return childFailed(err)
	}
	return 0
}

func count(ctx context.Context, s *Store) (n int, err error) {
	_, err = s.All(ctx, func(*registry.Record) error { n++; return nil })
	return n, err
}
