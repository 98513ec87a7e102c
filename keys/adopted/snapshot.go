package adopted

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/durable"
	"github.com/docsgate/docsgate/keys/seal"
)

// A snapshot is two files, each with one line of text that says what it is and then sealed bytes: the agents, and the time
// when they were confirmed last. The second is small, so that it can be written every minute; it counts only for the
// snapshot whose mark it has.
const (
	snapshotKind    = "docsgate-snapshot"
	confirmedKind   = "docsgate-confirmed"
	snapshotVersion = 1

	confirmedSuffix = ".confirmed"

	confirmEvery     = time.Minute
	maxSnapshotBytes = 1 << 30

	// writeShare bounds the time that goes into writing snapshots of a large set which changes all the time: a twentieth.
	writeShare = 20
)

// snapshot is what is sealed.
type snapshot struct {
	Feed      string    `json:"feed"`
	Confirmed time.Time `json:"confirmed"`
	Agents    []stored  `json:"agents"`
}

// stored is an Agent in a snapshot.
type stored struct {
	ID             string   `json:"id"`
	Key            string   `json:"key"`
	Name           string   `json:"name,omitempty"`
	Owner          string   `json:"owner,omitempty"`
	Status         string   `json:"status,omitempty"`
	Sources        []string `json:"sources,omitempty"`
	RequestsPerDay int      `json:"requests_per_day,omitempty"`
	TokensPerDay   int      `json:"tokens_per_day,omitempty"`
	Origins        []string `json:"origins,omitempty"`
	OnlyOrigins    bool     `json:"only_origins,omitempty"`
}

func store(a *Agent) stored {
	return stored{
		ID: a.ID, Key: a.Key.Reveal(), Name: a.Name, Owner: a.Owner, Status: a.Status, Sources: a.Sources,
		RequestsPerDay: a.RequestsPerDay, TokensPerDay: a.TokensPerDay, Origins: a.Origins, OnlyOrigins: a.OnlyOrigins,
	}
}

func (s *stored) agent() Agent {
	return Agent{ID: s.ID, Key: keys.NewSecret(s.Key), Name: s.Name, Facts: keys.Facts{
		Owner: s.Owner, Status: s.Status, Sources: s.Sources, RequestsPerDay: s.RequestsPerDay, TokensPerDay: s.TokensPerDay,
		Origins: s.Origins, OnlyOrigins: s.OnlyOrigins,
	}}
}

// disk writes the files of a snapshot.
type disk struct {
	path, feed string
	dirty      atomic.Bool // there are other agents than in the file

	mu        sync.Mutex // held while files are written; guards the following
	mark      []byte     // of the snapshot in the file; nil: this process has not written one
	confirmed time.Time  // as it stands on disk
	written   time.Time
	took      time.Duration
	trouble   bool // it was reported
}

func (d *disk) changed() { d.dirty.Store(true) }

// Save brings the snapshot on disk up to date, if there is to be one: the agents if they have changed, else about once a
// minute the time when they were confirmed. It is cheap to call often. With now set it writes changes at once; otherwise
// changes of a large set are collected for a while. Trouble goes to Note, once.
func (m *Memory) Save(now bool) {
	d := &m.disk
	if d.path == "" {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	err := m.save(d, now)
	if err != nil && !d.trouble {
		m.options.Note(fmt.Sprintf("the snapshot of DocsGPT's keys cannot be written: %v. The keys go on; but after a restart there "+
			"will be none, or older ones, until the database is reached", err))
	}
	d.trouble = err != nil
}

func (m *Memory) save(d *disk, now bool) error {
	m.mu.Lock()
	fresh, read := m.fresh, m.read
	m.mu.Unlock()
	switch {
	case !read:
		return nil // the file may be the better one
	case d.dirty.Load() || d.mark == nil:
		if !now && time.Since(d.written) < writeShare*d.took {
			return nil
		}
	case fresh.Sub(d.confirmed) >= confirmEvery:
		sec, err := secretToSeal(d.path)
		if err != nil {
			return err
		}
		if err := writeConfirmed(d.path, sec, d.mark, fresh); err != nil {
			return err
		}
		d.confirmed = fresh
		return nil
	default:
		return nil
	}
	begun := time.Now()
	defer func() { d.written, d.took = time.Now(), time.Since(begun) }()
	d.dirty.Store(false) // before the agents are looked at
	mark, err := writeSnapshot(d.path, m.snapshot())
	if err != nil {
		d.dirty.Store(true)
		return err
	}
	d.mark, d.confirmed = mark, fresh
	return nil
}

func (m *Memory) snapshot() *snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	snap := &snapshot{Feed: m.options.Feed, Confirmed: m.fresh.UTC(), Agents: make([]stored, 0, len(m.agents))}
	for a := range maps.Values(m.agents) {
		snap.Agents = append(snap.Agents, store(&a))
	}
	slices.SortFunc(snap.Agents, func(a, b stored) int { return cmp.Compare(a.ID, b.ID) })
	return snap
}

// writeSnapshot puts a snapshot in the place of the one at path, and returns its mark.
func writeSnapshot(path string, snap *snapshot) ([]byte, error) {
	sec, err := secretToSeal(path)
	if err != nil {
		return nil, err
	}
	plain, err := json.Marshal(snap)
	if err != nil {
		return nil, fmt.Errorf("encoding the snapshot: %w", err)
	}
	mark := make([]byte, 8)
	_, _ = rand.Read(mark) // never fails: the process ends instead
	if err := durable.Replace(path, sealed(sec, snapshotKind, mark, plain)); err != nil {
		return nil, fmt.Errorf("writing the snapshot: %w", err)
	}
	return mark, nil
}

func writeConfirmed(path string, sec *seal.Secret, mark []byte, at time.Time) error {
	plain := binary.BigEndian.AppendUint64(nil, uint64(at.UnixNano()))
	if err := durable.Replace(path+confirmedSuffix, sealed(sec, confirmedKind, mark, plain)); err != nil {
		return fmt.Errorf("writing the time of the snapshot: %w", err)
	}
	return nil
}

// readSnapshot returns the agents of the snapshot at path, and when they were confirmed last. The errors are for people.
func readSnapshot(path, feed string) ([]Agent, time.Time, error) {
	data, err := durable.Read(path, maxSnapshotBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, time.Time{}, fmt.Errorf("there is no snapshot %s", path)
	}
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("reading the snapshot: %w", err)
	}
	sec, err := secretToOpen(path)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("the snapshot %s is not used: %w", path, err)
	}
	plain, mark, err := opened(sec, snapshotKind, data)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("the snapshot %s is not used: %w", path, err)
	}
	agents, at, err := decodeSnapshot(plain, feed)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("the snapshot %s is not used: %w", path, err)
	}
	// Without a good second file the time in the first one holds, which is only earlier.
	if later, ok := readConfirmed(path, sec, mark); ok && later.After(at) {
		at = later
	}
	return agents, at, nil
}

func readConfirmed(path string, sec *seal.Secret, mark []byte) (time.Time, bool) {
	data, err := durable.Read(path+confirmedSuffix, maxSnapshotBytes)
	if err != nil {
		return time.Time{}, false
	}
	plain, of, err := opened(sec, confirmedKind, data)
	if err != nil || !bytes.Equal(of, mark) || len(plain) != 8 {
		return time.Time{}, false
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64(plain))), true
}

// decodeSnapshot reads what was sealed.
func decodeSnapshot(plain []byte, feed string) ([]Agent, time.Time, error) {
	var snap snapshot
	if err := json.Unmarshal(plain, &snap); err != nil {
		return nil, time.Time{}, errors.New("its content is damaged")
	}
	if snap.Feed != feed {
		return nil, time.Time{}, fmt.Errorf("it is of another feed, %s", printable(snap.Feed))
	}
	if snap.Confirmed.IsZero() {
		return nil, time.Time{}, errors.New("it does not say when it was made")
	}
	agents := make([]Agent, len(snap.Agents))
	for i := range snap.Agents {
		agents[i] = snap.Agents[i].agent()
	}
	return agents, snap.Confirmed, nil
}

// header is the first line of a file: what it is, its version, which secret it is sealed with, and its own mark.
func header(kind string, secretMark, mark []byte) []byte {
	return fmt.Appendf(nil, "%s %d %x %x\n", kind, snapshotVersion, secretMark, mark)
}

// splitHeader takes the first line apart.
func splitHeader(kind string, data []byte) (line, secretMark, mark, sealed []byte, err error) {
	foreign := errors.New("it was not written by the gate")
	end := bytes.IndexByte(data[:min(len(data), 128)], '\n')
	if end < 0 {
		return nil, nil, nil, nil, foreign
	}
	words := strings.Split(string(data[:end]), " ")
	if len(words) < 2 || words[0] != kind {
		return nil, nil, nil, nil, foreign
	}
	if version, err := strconv.Atoi(words[1]); err != nil || version != snapshotVersion {
		return nil, nil, nil, nil, errors.New("it is of another version of the gate")
	}
	if len(words) != 4 {
		return nil, nil, nil, nil, foreign
	}
	secretMark, err1 := hex.DecodeString(words[2])
	mark, err2 := hex.DecodeString(words[3])
	if err1 != nil || err2 != nil {
		return nil, nil, nil, nil, foreign
	}
	return data[:end+1], secretMark, mark, data[end+1:], nil
}
