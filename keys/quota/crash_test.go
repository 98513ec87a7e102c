package quota_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys/boltstore"
	"github.com/docsgate/docsgate/keys/quota"
)

const helperProcessEnv = "DOCSGATE_QUOTA_PATH"

func TestMain(m *testing.M) {
	if path := os.Getenv(helperProcessEnv); path != "" {
		if err := helperProcess(path); err != nil {
			fmt.Fprintln(os.Stderr, "helper process:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// restored returns a counter with what is stored in a file, and its saver.
func restored(ctx context.Context, path string) (*quota.Counter, *quota.Saver, error) {
	c := quota.New()
	saver := quota.NewSaver(quota.SaverOptions{
		Counter: c,
		Open: func(ctx context.Context, _ bool) (quota.Storage, error) {
			return boltstore.Open(ctx, boltstore.Options{Path: path})
		},
	})
	return c, saver, saver.Restore(ctx)
}

var limits = quota.Limits{QuestionsPerMonth: 1e9}

// inFlight is a key with an answer that is in flight when the process is killed.
const inFlight = "in-flight"

// helperProcess counts questions, and prints the number and the time after each, until it is killed.
func helperProcess(path string) error {
	ctx, calendar := context.Background(), quota.NewCalendar(nil)
	c, saver, err := restored(ctx, path)
	if err != nil {
		return err
	}
	go saver.Run(ctx)
	c.Reserve(calendar.At(time.Now()), inFlight, limits, 0) // until the process is killed
	for {
		now := time.Now()
		r, _ := c.Reserve(calendar.At(now), "k", limits, 0)
		r.Settle(calendar.At(now), 1)
		use, _ := c.Use(calendar.At(now), "k")
		fmt.Println(use.QuestionsThisMonth, now.UnixMilli())
		time.Sleep(time.Millisecond)
	}
}

// probeDisk syncs a file in a folder again and again, until the returned function is called. It returns how long that took at most: on a
// machine with a busy disk it can be seconds.
func probeDisk(t *testing.T, dir string) (stop func() time.Duration) {
	t.Helper()
	file, err := os.Create(filepath.Join(dir, "probe"))
	if err != nil {
		t.Fatal(err)
	}
	stopped, slowest := make(chan struct{}), make(chan time.Duration)
	go func() {
		defer file.Close()
		longest := time.Duration(0)
		for {
			begun := time.Now()
			_, err := file.WriteAt([]byte(begun.String()), 0)
			if err == nil {
				err = file.Sync()
			}
			if err != nil {
				t.Error(err)
			}
			longest = max(longest, time.Since(begun))
			select {
			case <-stopped:
				slowest <- longest
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() time.Duration {
		close(stopped)
		return <-slowest
	}
}

// A killed process loses at most what it has counted since the last save, which is a second ago.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "quotas.db")
	calendar, total, saved := quota.NewCalendar(nil), int64(0), int64(0) // saved: rounds with a save
	for round := range 3 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), helperProcessEnv+"="+path)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		slowest := probeDisk(t, filepath.Dir(path))
		times := map[int64]int64{} // number of questions -> when it was reached
		var first, last int64
		for scan := bufio.NewScanner(out); scan.Scan(); {
			var count, at int64
			if n, err := fmt.Sscan(scan.Text(), &count, &at); n < 2 || err != nil {
				continue // a truncated line
			}
			if first == 0 {
				first = at
				if count != total+1 {
					t.Errorf("round %d begins with %d questions, stored were %d", round, count-1, total)
				}
			}
			times[count], last = at, at
			if at-first > 2500 && cmd.Process != nil {
				_ = cmd.Process.Kill() // it may have ended
			}
		}
		if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
			t.Fatalf("the process was not killed: %v", cmd.ProcessState)
		}
		allowed := 2*time.Second + 4*slowest() // between two saves, and for the save itself
		c, saver, err := restored(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		use, _ := c.Use(calendar.At(time.Now()), "k")
		before := total
		total = use.QuestionsThisMonth
		at, ok := times[total]
		if total == before {
			at, ok = first, true // no save has ended
		} else {
			saved++
		}
		if use, _ := c.Use(calendar.At(time.Now()), inFlight); use.QuestionsThisMonth != saved {
			t.Errorf("round %d: %+v with answers in flight, want %d", round, use, saved)
		}
		if lost := time.Duration(last-at) * time.Millisecond; !ok || lost > allowed {
			t.Errorf("round %d: %d questions are stored, the newest one is from %v before the end, allowed are %v", round, total, lost, allowed)
		}
		if r, d := c.Reserve(calendar.At(time.Now()), inFlight, quota.Limits{TokensPerDay: 1}, 0); d.Rejected != quota.None {
			t.Errorf("round %d: the reservation of an answer in flight outlives the process", round)
		} else {
			r.Release()
		}
		if err := saver.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
