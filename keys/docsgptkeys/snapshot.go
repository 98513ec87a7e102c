package docsgptkeys

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

	"github.com/docsgate/docsgate/internal/atomicfile"
	"github.com/docsgate/docsgate/internal/secretbox"
	"github.com/docsgate/docsgate/keys"
)

// A snapshot consists of two files, each with a header line and encrypted data: the agents, and the time when they were last
// confirmed. The second file is small, so that it can be written every minute. It is valid only for the snapshot whose ID it
// contains.
const (
	snapshotKind    = "docsgate-snapshot"
	confirmedKind   = "docsgate-confirmed"
	snapshotVersion = 1

	confirmedSuffix = ".confirmed"

	confirmEvery     = time.Minute
	maxSnapshotBytes = 1 << 30

	// writeDutyCycle limits the time spent on writing snapshots of a large set that changes constantly, to a twentieth.
	writeDutyCycle = 20
)

// snapshot is the plaintext of the first file.
type snapshot struct {
	Feed      string        `json:"feed"`
	Confirmed time.Time     `json:"confirmed"`
	Agents    []storedAgent `json:"agents"`
}

// storedAgent is an Agent in a snapshot.
type storedAgent struct {
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

func toStored(a *Agent) storedAgent {
	return storedAgent{
		ID: a.ID, Key: a.Key.Reveal(), Name: a.Name, Owner: a.Owner, Status: a.Status, Sources: a.Sources,
		RequestsPerDay: a.RequestsPerDay, TokensPerDay: a.TokensPerDay, Origins: a.Origins, OnlyOrigins: a.RestrictOrigins,
	}
}

func (s *storedAgent) agent() Agent {
	return Agent{ID: s.ID, Key: keys.NewSecret(s.Key), Name: s.Name, AgentInfo: keys.AgentInfo{
		Owner: s.Owner, Status: s.Status, Sources: s.Sources, RequestsPerDay: s.RequestsPerDay, TokensPerDay: s.TokensPerDay,
		Origins: s.Origins, RestrictOrigins: s.OnlyOrigins,
	}}
}

// snapshotWriter writes the files of a snapshot.
type snapshotWriter struct {
	path, feed string
	dirty      atomic.Bool // the agents differ from those in the file

	mu         sync.Mutex // held while files are written; guards the following fields
	snapshotID []byte     // of the snapshot in the file; nil: this process has not written one
	confirmed  time.Time  // time in the files
	written    time.Time
	took       time.Duration
	reported   bool // the last error was reported
}

func (d *snapshotWriter) changed() { d.dirty.Store(true) }

// Save writes the snapshot if necessary: the agents if they have changed, or else about once a minute the time when they were
// last confirmed. It is cheap to call often. If now is set, changes are written immediately; otherwise changes of a large set
// are delayed and written together. An error is reported to OnWarning once.
func (m *AgentCache) Save(now bool) {
	d := &m.disk
	if d.path == "" {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	err := m.save(d, now)
	if err != nil && !d.reported {
		m.options.OnWarning(fmt.Sprintf("the snapshot of DocsGPT's keys cannot be written: %v. The keys stay valid, but after a restart there "+
			"are none, or outdated ones, until the database is available", err))
	}
	d.reported = err != nil
}

func (m *AgentCache) save(d *snapshotWriter, now bool) error {
	m.mu.Lock()
	confirmed, read := m.confirmed, m.read
	m.mu.Unlock()
	switch {
	case !read:
		return nil // the file may have better data
	case d.dirty.Load() || d.snapshotID == nil:
		if !now && time.Since(d.written) < writeDutyCycle*d.took {
			return nil
		}
	case confirmed.Sub(d.confirmed) >= confirmEvery:
		sec, err := secretToEncrypt(d.path)
		if err != nil {
			return err
		}
		if err := writeConfirmed(d.path, sec, d.snapshotID, confirmed); err != nil {
			return err
		}
		d.confirmed = confirmed
		return nil
	default:
		return nil
	}
	start := time.Now()
	defer func() { d.written, d.took = time.Now(), time.Since(start) }()
	d.dirty.Store(false) // before the agents are read
	snapshotID, err := writeSnapshot(d.path, m.snapshot())
	if err != nil {
		d.dirty.Store(true)
		return err
	}
	d.snapshotID, d.confirmed = snapshotID, confirmed
	return nil
}

func (m *AgentCache) snapshot() *snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	snap := &snapshot{Feed: m.options.Feed, Confirmed: m.confirmed.UTC(), Agents: make([]storedAgent, 0, len(m.agents))}
	for a := range maps.Values(m.agents) {
		snap.Agents = append(snap.Agents, toStored(&a))
	}
	slices.SortFunc(snap.Agents, func(a, b storedAgent) int { return cmp.Compare(a.ID, b.ID) })
	return snap
}

// writeSnapshot replaces the snapshot at path and returns the ID of the new one.
func writeSnapshot(path string, snap *snapshot) ([]byte, error) {
	sec, err := secretToEncrypt(path)
	if err != nil {
		return nil, err
	}
	plain, err := json.Marshal(snap)
	if err != nil {
		return nil, fmt.Errorf("encoding the snapshot: %w", err)
	}
	snapshotID := make([]byte, 8)
	_, _ = rand.Read(snapshotID) // never fails: the process crashes instead
	if err := atomicfile.Replace(path, encrypt(sec, snapshotKind, snapshotID, plain)); err != nil {
		return nil, fmt.Errorf("writing the snapshot: %w", err)
	}
	return snapshotID, nil
}

func writeConfirmed(path string, sec *secretbox.Secret, snapshotID []byte, at time.Time) error {
	plain := binary.BigEndian.AppendUint64(nil, uint64(at.UnixNano()))
	if err := atomicfile.Replace(path+confirmedSuffix, encrypt(sec, confirmedKind, snapshotID, plain)); err != nil {
		return fmt.Errorf("writing the time of the snapshot: %w", err)
	}
	return nil
}

// readSnapshot returns the agents of the snapshot at path, and when they were last confirmed. The errors are meant for users.
func readSnapshot(path, feed string) ([]Agent, time.Time, error) {
	data, err := atomicfile.Read(path, maxSnapshotBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, time.Time{}, fmt.Errorf("the snapshot %s does not exist", path)
	}
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("reading the snapshot: %w", err)
	}
	sec, err := secretToDecrypt(path)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("the snapshot %s cannot be used: %w", path, err)
	}
	plain, snapshotID, err := decrypt(sec, snapshotKind, data)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("the snapshot %s cannot be used: %w", path, err)
	}
	agents, at, err := decodeSnapshot(plain, feed)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("the snapshot %s cannot be used: %w", path, err)
	}
	// Without a valid second file the time of the first one applies, which is only earlier.
	if later, ok := readConfirmed(path, sec, snapshotID); ok && later.After(at) {
		at = later
	}
	return agents, at, nil
}

func readConfirmed(path string, sec *secretbox.Secret, snapshotID []byte) (time.Time, bool) {
	data, err := atomicfile.Read(path+confirmedSuffix, maxSnapshotBytes)
	if err != nil {
		return time.Time{}, false
	}
	plain, of, err := decrypt(sec, confirmedKind, data)
	if err != nil || !bytes.Equal(of, snapshotID) || len(plain) != 8 {
		return time.Time{}, false
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64(plain))), true
}

// decodeSnapshot decodes the plaintext.
func decodeSnapshot(plain []byte, feed string) ([]Agent, time.Time, error) {
	var snap snapshot
	if err := json.Unmarshal(plain, &snap); err != nil {
		return nil, time.Time{}, errors.New("its content is damaged")
	}
	if snap.Feed != feed {
		return nil, time.Time{}, fmt.Errorf("it belongs to another feed, %s", printable(snap.Feed))
	}
	if snap.Confirmed.IsZero() {
		return nil, time.Time{}, errors.New("its time is missing")
	}
	agents := make([]Agent, len(snap.Agents))
	for i := range snap.Agents {
		agents[i] = snap.Agents[i].agent()
	}
	return agents, snap.Confirmed, nil
}

// header returns the header line of a file: its kind, the version, the key ID of the secret, and the snapshot ID.
func header(kind string, keyID, snapshotID []byte) []byte {
	return fmt.Appendf(nil, "%s %d %x %x\n", kind, snapshotVersion, keyID, snapshotID)
}

// splitHeader parses the header line.
func splitHeader(kind string, data []byte) (line, keyID, snapshotID, encrypted []byte, err error) {
	foreign := errors.New("it was not written by docsgate")
	end := bytes.IndexByte(data[:min(len(data), 128)], '\n')
	if end < 0 {
		return nil, nil, nil, nil, foreign
	}
	words := strings.Split(string(data[:end]), " ")
	if len(words) < 2 || words[0] != kind {
		return nil, nil, nil, nil, foreign
	}
	if version, err := strconv.Atoi(words[1]); err != nil || version != snapshotVersion {
		return nil, nil, nil, nil, errors.New("it was written by another version of docsgate")
	}
	if len(words) != 4 {
		return nil, nil, nil, nil, foreign
	}
	keyID, err1 := hex.DecodeString(words[2])
	snapshotID, err2 := hex.DecodeString(words[3])
	if err1 != nil || err2 != nil {
		return nil, nil, nil, nil, foreign
	}
	return data[:end+1], keyID, snapshotID, data[end+1:], nil
}
