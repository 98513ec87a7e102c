// Package idsecrets keeps the secrets that sign IDs in a key store that several gates share, so that each gate recognizes the IDs of all.
//
// A new secret is pending at first: all gates accept its IDs, and none signs with it. When its time has come, by the clock of the key store,
// all gates sign with it, and accept the IDs of earlier ones until these have expired. The secrets are encrypted in the key store. A gate
// that starts while the key store is unavailable uses an encrypted copy in a file of its own.
package idsecrets

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/ownership/signedid"
)

// Row is a stored secret.
type Row struct {
	Number  uint8
	SignsIn time.Duration // until it signs, by the clock of the key store; negative: since then
	Body    []byte        // encrypted
}

// Snapshot is what a key store contains about IDs.
type Snapshot struct {
	Rows      []Row    // in the order in which they sign
	Blocklist [16]byte // identity of the list of blocked conversations
}

// Storage is the part of the key store about IDs. It is safe for concurrent use, also by several gates.
type Storage interface {
	// IDSecrets returns the current content.
	IDSecrets(ctx context.Context) (Snapshot, error)

	// ChangeIDSecrets calls change with the stored rows. It removes the rows with the numbers in remove, and then stores those in put: of a
	// stored one only the body. Concurrent calls are executed one after another. An error of change is returned. change must not call the
	// key store.
	ChangeIDSecrets(ctx context.Context, change func(rows []Row) (put []Row, remove []uint8, err error)) error

	// Report says that a gate is running, and the key IDs of the secrets that it can decrypt with. id identifies the process, and name is
	// for operators. A gate that has not reported for two minutes is not regarded as running.
	Report(ctx context.Context, id, name string, keyIDs []string) error

	// ReportEnd says that a gate no longer runs.
	ReportEnd(ctx context.Context, id string) error
}

const (
	// pollInterval is the interval at which changes of other gates are read.
	pollInterval = 500 * time.Millisecond

	// reportInterval is the interval at which a gate reports that it runs.
	reportInterval = 10 * time.Second

	// maxSecrets is the maximum number of secrets.
	maxSecrets = 16
)

// purpose is the purpose of the encryption of a secret.
func purpose(number uint8) string { return "secret of IDs " + strconv.Itoa(int(number)) }

// Options configures Secrets.
type Options struct {
	Storage   Storage
	Encrypter *registry.Encrypter
	Cache     string     // path of the copy for starts without the key store; empty: no copy
	Name      string     // of the gate, for operators
	OnChange  func(*IDs) // is called with the first IDs and with each change
	Log       *slog.Logger
}

// IDs is a set of secrets, with the identity of the list of blocked conversations.
type IDs struct {
	Signer    *signedid.Signer
	Blocklist [16]byte
}

// Secrets follows the secrets in a key store. It is safe for concurrent use. Create it with New.
type Secrets struct {
	options Options
	id      string // of this process
	current atomic.Pointer[IDs]

	mu   sync.Mutex // guards the following
	last Snapshot   // that current was made of

	reported   time.Time // of the last report; only used by New and Run
	reportedID []string  // key IDs in it
}

// New reads the secrets, and creates the first one if there is none. If the key store is unavailable, it reads the copy. Without that, a
// secret in memory is used until Run has read the key store. A secret that cannot be decrypted is an error, for users.
func New(ctx context.Context, o Options) (*Secrets, error) {
	s := &Secrets{options: o, id: rand.Text()}
	err := s.report(ctx)
	if err == nil {
		err = s.create(ctx)
	}
	if err == nil {
		err = s.poll(ctx)
	}
	if err == nil {
		return s, nil
	}
	if invalid := (*invalidError)(nil); errors.As(err, &invalid) {
		return nil, err
	}
	ids, cacheErr := s.readCache()
	if cacheErr != nil {
		o.Log.Warn("the secrets that sign IDs cannot be read, so clients lose their conversations until the key store is available again",
			"error", errors.Join(err, cacheErr))
		if ids, err = memoryIDs(); err != nil {
			return nil, err
		}
	}
	s.use(ids)
	return s, nil
}

func (s *Secrets) use(ids *IDs) {
	s.current.Store(ids)
	if s.options.OnChange != nil {
		s.options.OnChange(ids)
	}
}

func memoryIDs() (*IDs, error) {
	secret := signedid.RandomSecret(0)
	signer, err := signedid.New(secret)
	return &IDs{Signer: signer, Blocklist: [16]byte(secret.Key[:16])}, err
}

// Current returns the current secrets.
func (s *Secrets) Current() *IDs { return s.current.Load() }

// Run follows the changes of all gates, and reports that this gate runs, until ctx is canceled.
func (s *Secrets) Run(ctx context.Context) {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	failed := false
	for {
		select {
		case <-ctx.Done():
			s.reportEnd(ctx)
			return
		case <-tick.C:
		}
		err := cmp.Or(s.poll(ctx), s.report(ctx))
		if err == nil && s.isEmpty() { // it was not available at the start
			err = s.create(ctx)
		}
		if err != nil && !failed && ctx.Err() == nil {
			s.options.Log.Error("the secrets that sign IDs cannot be read; the last ones stay in use", "error", err)
		}
		failed = err != nil
	}
}

// report reports the gate and its secrets at the interval, and immediately if the secrets have changed.
func (s *Secrets) report(ctx context.Context) error {
	ids := s.options.Encrypter.KeyIDs()
	if time.Since(s.reported) < reportInterval && slices.Equal(ids, s.reportedID) {
		return nil
	}
	err := s.options.Storage.Report(ctx, s.id, s.options.Name, ids)
	if err == nil {
		s.reported, s.reportedID = time.Now(), ids
	}
	return err
}

func (s *Secrets) reportEnd(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = s.options.Storage.ReportEnd(ctx, s.id) // otherwise the report expires
}

func (s *Secrets) isEmpty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.last.Rows) == 0
}

// poll reads the secrets, and uses them if they have changed.
func (s *Secrets) poll(ctx context.Context) error {
	stored, err := s.options.Storage.IDSecrets(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(stored.Rows) == 0 || s.last.equal(&stored) {
		return nil
	}
	ids, secrets, err := s.open(&stored)
	if err != nil {
		return err
	}
	s.last = stored
	s.use(ids)
	if err := s.writeCache(secrets, stored.Blocklist); err != nil {
		s.options.Log.Warn("the copy of the secrets that sign IDs cannot be written: a gate that starts while the key store is unavailable needs it",
			"file", s.options.Cache, "error", err)
	}
	return nil
}

// equal reports whether two snapshots are equal in what they mean for a gate.
func (a *Snapshot) equal(b *Snapshot) bool {
	return a.Blocklist == b.Blocklist && slices.EqualFunc(a.Rows, b.Rows, func(x, y Row) bool {
		return x.Number == y.Number && (x.SignsIn > 0) == (y.SignsIn > 0) && string(x.Body) == string(y.Body)
	})
}

// invalidError is an error that does not end without an operator.
type invalidError struct{ error }

func (e *invalidError) Unwrap() error { return e.error }

// open decrypts the secrets of a snapshot, the one that signs at the end.
func (s *Secrets) open(stored *Snapshot) (*IDs, []signedid.Secret, error) {
	secrets, err := decrypt(s.options.Encrypter, stored.Rows)
	if err != nil {
		return nil, nil, &invalidError{err}
	}
	signer, err := signedid.New(secrets...)
	if err != nil {
		return nil, nil, &invalidError{err}
	}
	return &IDs{Signer: signer, Blocklist: stored.Blocklist}, secrets, nil
}

// decrypt returns the secrets of rows, the one that signs at the end.
func decrypt(encrypter *registry.Encrypter, rows []Row) ([]signedid.Secret, error) {
	var pending, due []signedid.Secret
	for _, row := range rows {
		key, err := encrypter.Decrypt(purpose(row.Number), row.Body)
		if err != nil {
			return nil, err
		}
		if len(key) != signedid.SecretLength {
			return nil, fmt.Errorf("the %s is damaged", purpose(row.Number))
		}
		secret := signedid.Secret{Number: row.Number, Key: [signedid.SecretLength]byte(key)}
		if row.SignsIn > 0 {
			pending = append(pending, secret)
		} else {
			due = append(due, secret)
		}
	}
	if len(due) == 0 {
		slices.Reverse(pending) // the first one will sign first
	}
	return append(pending, due...), nil
}

// create stores the first secret if there is none.
func (s *Secrets) create(ctx context.Context) error {
	stored, err := s.options.Storage.IDSecrets(ctx)
	if err != nil || len(stored.Rows) > 0 {
		return err
	}
	return change(ctx, s.options.Storage, s.options.Encrypter, func(rows []Row) ([]signedid.Secret, []uint8, error) {
		if len(rows) > 0 {
			return nil, nil, nil
		}
		return []signedid.Secret{signedid.RandomSecret(1)}, nil, nil
	}, 0)
}

// change stores new secrets, which sign after a delay, and removes others.
func change(
	ctx context.Context, storage Storage, encrypter *registry.Encrypter,
	f func(rows []Row) (add []signedid.Secret, remove []uint8, err error), delay time.Duration,
) error {
	sealer, err := encrypter.Sealer(ctx)
	if err != nil {
		return err
	}
	return storage.ChangeIDSecrets(ctx, func(rows []Row) ([]Row, []uint8, error) {
		add, remove, err := f(rows)
		if err != nil {
			return nil, nil, err
		}
		if len(rows)-len(remove)+len(add) > maxSecrets {
			return nil, nil, fmt.Errorf("there are %d secrets that sign IDs, which is the maximum: earlier ones expire after 30 days", maxSecrets)
		}
		put := make([]Row, 0, len(add))
		for _, secret := range add {
			put = append(put, Row{Number: secret.Number, SignsIn: delay, Body: sealer.Seal(purpose(secret.Number), secret.Key[:])})
		}
		return put, remove, nil
	})
}
