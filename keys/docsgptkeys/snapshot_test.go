package docsgptkeys

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys"
)

const canary = "canary-Key-0815"

// newTestCache returns an AgentCache with a snapshot on disk. Its warnings are appended to notes.
func newTestCache(path string, notes *[]string) *AgentCache {
	return NewAgentCache(AgentCacheOptions{Feed: "docsgpt:h:1/db", SnapshotPath: path, OnWarning: func(text string) { *notes = append(*notes, text) }})
}

func writtenSnapshot(t *testing.T) (path string, at time.Time) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "keys.snapshot")
	at = time.Unix(1_700_000_000, 42)
	var notes []string
	m := newTestCache(path, &notes)
	a := agent("1", canary)
	a.Sources, a.Origins, a.RestrictOrigins, a.RequestsPerDay, a.TokensPerDay = []string{"s"}, []string{"https://o"}, true, 5, 6
	m.Load([]Agent{a, agent("2", "b")}, at)
	m.Save(true)
	if len(notes) > 0 {
		t.Fatalf("notes: %q", notes)
	}
	return path, at
}

// A snapshot restores the same keys.
func TestSnapshotRoundTrip(t *testing.T) {
	path, at := writtenSnapshot(t)
	var notes []string
	set, err := newTestCache(path, &notes).Cached(errors.New("unavailable"))
	stale := (*keys.StaleError)(nil)
	if !errors.As(err, &stale) || !stale.AsOf.Equal(at) || tokens(set) != canary+" b" || len(notes) > 0 {
		t.Fatalf("%d keys, %v, notes %q", len(set), err, notes)
	}
	want := &keys.AgentInfo{
		Owner: "local", Status: "published", Sources: []string{"s"}, Origins: []string{"https://o"}, RestrictOrigins: true,
		RequestsPerDay: 5, TokensPerDay: 6,
	}
	if !reflect.DeepEqual(set[0].Facts, want) {
		t.Errorf("facts: %+v", set[0].Facts)
	}
}

// The current filter applies, not the filter at the time of the snapshot.
func TestSnapshotUsesCurrentFilter(t *testing.T) {
	path, _ := writtenSnapshot(t)
	m := NewAgentCache(AgentCacheOptions{Feed: "docsgpt:h:1/db", SnapshotPath: path, Filter: Filter{IDs: []string{"2"}}})
	if set, _ := m.Cached(errors.New("unavailable")); tokens(set) != "b" {
		t.Errorf("keys: %q", tokens(set))
	}
}

// The files contain neither keys nor names in plaintext, and only their owner can read them.
func TestSnapshotIsEncrypted(t *testing.T) {
	path, _ := writtenSnapshot(t)
	for _, name := range []string{path, path + secretSuffix} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v", name, info.Mode())
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte(canary)) || bytes.Contains(data, []byte("Agent 1")) {
			t.Errorf("%s contains plaintext", name)
		}
	}
	if temporary, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*.new")); len(temporary) > 0 {
		t.Errorf("temporary files: %v", temporary)
	}
}

// The time of the last confirmation is written about once a minute, without writing the agents again.
func TestConfirmedTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.snapshot")
	var notes []string
	m := newTestCache(path, &notes)
	at := time.Unix(1_700_000_000, 0)
	m.Load([]Agent{agent("1", "a")}, at)
	m.Save(true)
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	m.Confirm(at.Add(59 * time.Second))
	m.Save(false)
	if _, err := os.Stat(path + confirmedSuffix); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the time was written before a minute was over: %v", err)
	}
	m.Confirm(at.Add(61 * time.Second))
	m.Save(false)
	after, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) {
		t.Error("the agents were written again")
	}
	if _, got, err := readSnapshot(path, "docsgpt:h:1/db"); err != nil || !got.Equal(at.Add(61*time.Second)) {
		t.Errorf("confirmed at %v, %v", got, err)
	}
	m.Update([]Agent{agent("2", "b")}, nil, at.Add(62*time.Second))
	m.Save(true)
	// The time file belongs to the previous snapshot and must be ignored.
	if agents, got, err := readSnapshot(path, "docsgpt:h:1/db"); err != nil || len(agents) != 2 || !got.Equal(at.Add(62*time.Second)) {
		t.Errorf("%d agents, confirmed at %v, %v", len(agents), got, err)
	}
}

// An invalid snapshot is not used, and the reason is reported without secrets. The file is not modified until there are current
// agents.
func TestInvalidSnapshots(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, path string)
		want   string
	}{
		{"missing", func(t *testing.T, path string) { remove(t, path) }, "does not exist"},
		{"empty", func(t *testing.T, path string) { write(t, path, "") }, "not written by docsgate"},
		{"truncated", func(t *testing.T, path string) { write(t, path, read(t, path)[:60]) }, "it is damaged"},
		{"another file", func(t *testing.T, path string) { write(t, path, "keys: []\n") }, "not written by docsgate"},
		{"newer", func(t *testing.T, path string) {
			write(t, path, strings.Replace(read(t, path), "snapshot 1 ", "snapshot 2 ", 1))
		}, "another version"},
		{"secret missing", func(t *testing.T, path string) { remove(t, path+secretSuffix) }, "is missing"},
		{"secret damaged", func(t *testing.T, path string) { write(t, path+secretSuffix, "x") }, "is damaged"},
		{"another secret", func(t *testing.T, path string) {
			remove(t, path+secretSuffix)
			if _, err := secretToEncrypt(path); err != nil {
				t.Fatal(err)
			}
		}, "another secret"},
		{"secret readable by others", func(t *testing.T, path string) {
			if err := os.Chmod(path+secretSuffix, 0o644); err != nil {
				t.Fatal(err)
			}
		}, "is readable by other users"},
		{"another feed", func(t *testing.T, path string) {
			if _, err := writeSnapshot(path, &snapshot{Feed: "docsgpt:other:1/db", Confirmed: time.Now()}); err != nil {
				t.Fatal(err)
			}
		}, "belongs to another feed, docsgpt:other:1/db"},
		{"a folder", func(t *testing.T, path string) {
			remove(t, path)
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "not a regular file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path, _ := writtenSnapshot(t)
			c.damage(t, path)
			before, _ := os.Stat(path)
			var notes []string
			m := newTestCache(path, &notes)
			set, err := m.Cached(errors.New("unavailable"))
			stale := (*keys.StaleError)(nil)
			if !errors.As(err, &stale) || !stale.AsOf.IsZero() || len(set) != 0 {
				t.Errorf("%d keys, %v", len(set), err)
			}
			if len(notes) != 1 || !strings.Contains(notes[0], c.want) || strings.Contains(notes[0], canary) {
				t.Errorf("notes: %q, want one with %q", notes, c.want)
			}
			m.Save(true)
			if after, _ := os.Stat(path); before != nil && !os.SameFile(before, after) {
				t.Error("the file was overwritten before the agents were read")
			}
		})
	}
}

// A change of any byte is detected.
func TestSnapshotTampering(t *testing.T) {
	path, _ := writtenSnapshot(t)
	good := []byte(read(t, path))
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x21
		write(t, path, string(bad))
		if agents, _, err := readSnapshot(path, "docsgpt:h:1/db"); err == nil || agents != nil {
			t.Fatalf("byte %d of %d was changed, but %d agents were read", i, len(good), len(agents))
		}
	}
}

// The folder and the files are created with permissions for their owner only.
func TestSnapshotCreatesFolder(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data", "docsgate")
	var notes []string
	m := newTestCache(filepath.Join(folder, "keys.snapshot"), &notes)
	m.Load([]Agent{agent("1", canary)}, time.Now().Add(-2*confirmEvery))
	m.Save(true)
	m.Confirm(time.Now())
	m.Save(true)
	if len(notes) != 0 {
		t.Fatalf("notes: %q", notes)
	}
	modes := map[string]os.FileMode{
		filepath.Dir(folder): 0o700, folder: 0o700, filepath.Join(folder, "keys.snapshot"): 0o600,
		filepath.Join(folder, "keys.snapshot"+secretSuffix): 0o600, filepath.Join(folder, "keys.snapshot"+confirmedSuffix): 0o600,
	}
	for path, want := range modes {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %o", path, info, err, want)
		}
	}
}

// A write error is reported once, and the keys stay valid.
func TestSnapshotWriteError(t *testing.T) {
	var notes []string
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	m := newTestCache(filepath.Join(file, "keys.snapshot"), &notes)
	m.Load([]Agent{agent("1", canary)}, time.Now())
	m.Save(true)
	m.Save(true)
	if len(notes) != 1 || !strings.Contains(notes[0], "cannot be written") || strings.Contains(notes[0], canary) {
		t.Errorf("notes: %q", notes)
	}
}

func FuzzSnapshot(f *testing.F) {
	sec, err := secretToEncrypt(filepath.Join(f.TempDir(), "s"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(""))
	f.Add([]byte(snapshotKind + " 1 00000000 0000000000000000\n"))
	f.Add(encrypt(sec, snapshotKind, []byte("12345678"), []byte(`{}`)))
	f.Add([]byte(`{"feed":"f","confirmed":"2026-01-02T03:04:05Z","agents":[{"id":"1","key":"k"},{"id":"1","key":"k"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		// Data that was not encrypted with the secret is never accepted.
		if plain, _, err := decrypt(sec, snapshotKind, data); err == nil && !bytes.Equal(plain, []byte(`{}`)) {
			t.Fatalf("decrypted %q", plain)
		}
		// Encrypted data is decrypted to the same data, but only as the same kind of file.
		file := encrypt(sec, snapshotKind, []byte("12345678"), data)
		plain, snapshotID, err := decrypt(sec, snapshotKind, file)
		if err != nil || !bytes.Equal(plain, data) || string(snapshotID) != "12345678" {
			t.Fatalf("after encryption and decryption: %v", err)
		}
		if _, _, err := decrypt(sec, confirmedKind, file); err == nil {
			t.Fatal("accepted as another kind of file")
		}
		// The store accepts the keys of any decoded snapshot.
		agents, at, err := decodeSnapshot(data, "f")
		if err != nil {
			if agents != nil {
				t.Fatal("agents with an error")
			}
			return
		}
		if at.IsZero() {
			t.Fatal("zero time")
		}
		set, _ := convert(agents, Filter{})
		if _, err := keys.NewStore().Replace("f", set); err != nil {
			t.Fatalf("the store rejects them: %v", err)
		}
	})
}

// BenchmarkSnapshot measures writing and reading 100,000 agents.
func BenchmarkSnapshot(b *testing.B) {
	path := filepath.Join(b.TempDir(), "keys.snapshot")
	m := NewAgentCache(AgentCacheOptions{Feed: "f", SnapshotPath: path})
	agents := make([]Agent, 100_000)
	for i := range agents {
		agents[i] = agent(fmt.Sprintf("%08d-0000-4000-8000-000000000000", i), fmt.Sprintf("%08d-0000-4000-8000-00000000000a", i))
	}
	m.Load(agents, time.Now())
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			m.disk.changed()
			m.Save(true)
		}
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			if got, _, err := readSnapshot(path, "f"); err != nil || len(got) != len(agents) {
				b.Fatal(len(got), err)
			}
		}
	})
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
