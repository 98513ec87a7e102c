package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/docsgate/docsgate/internal/secretbox"
)

// SecretMissingError means that the secret of a gate cannot be replaced yet, since other gates do not have the new one.
type SecretMissingError struct {
	KeyID string   // of the new secret
	Gates []string // names of gates that are running
}

// Error implements error.
func (e *SecretMissingError) Error() string {
	return fmt.Sprintf("these gates do not have the secret with the key ID %s yet: %s; add it to the file or the option of each gate, and repeat "+
		"the command a few seconds later", e.KeyID, strings.Join(e.Gates, ", "))
}

// ErrNoSecret means that nothing was encrypted yet.
var ErrNoSecret = errors.New("there is no secret that encrypts yet: it is created with the first DocsGPT key or secret for signing that is stored")

// EncryptionReport is the state of what is encrypted in a storage.
type EncryptionReport struct {
	KeyID       string         // of the secret that encrypts
	Reencrypted int            // how many keys and secrets of IDs were encrypted again
	Remaining   map[string]int // how many keys use other secrets, by the key IDs of these; they must be kept
	Retained    []string       // key IDs of other secrets that gates must keep, although no key uses them; see RotateEncryption
}

// reencryptRows is the number of records that are encrypted again in one write.
const reencryptRows = 100

// RotateEncryption encrypts everything again that is not encrypted with the first secret of the Encrypter. With a storage that several
// gates share, all of them encrypt with that secret from now on; they must have it (*SecretMissingError). All gates may run meanwhile. After
// an error or a crash, another call continues. Secrets that are neither in Remaining nor in Retained of the report can be removed.
func (r *Registry) RotateEncryption(ctx context.Context, by Actor) (report EncryptionReport, err error) {
	if r.encrypter == nil {
		return report, ErrNoSecret
	}
	r.rotateMu.Lock()
	defer r.rotateMu.Unlock()
	all, err := r.encrypter.all()
	if errors.Is(err, fs.ErrNotExist) {
		return report, ErrNoSecret
	}
	if err != nil {
		return report, err
	}
	report.KeyID = all[0].KeyIDText()
	if err := r.makeCurrent(ctx, by, report.KeyID); err != nil {
		return report, err
	}
	records, overrides, err := r.reencryptAll(ctx, by, all[0])
	if err != nil {
		return report, err
	}
	report.Reencrypted = records + overrides
	for _, f := range r.reencrypted {
		n, err := f(ctx, r.encrypter)
		if err != nil {
			return report, err
		}
		report.Reencrypted += n
	}
	revision, err := r.countRemaining(ctx, &report)
	if err != nil {
		return report, err
	}
	if shared := r.encrypter.shared; shared != nil && len(report.Remaining) == 0 {
		registered, err := shared.RetireEncryptionKeys(ctx, revision)
		if err != nil {
			return report, err
		}
		report.Retained = registered[min(1, len(registered)):]
	}
	return report, nil
}

// OnReencrypt makes RotateEncryption call f, which encrypts other data again and returns how many items.
func (r *Registry) OnReencrypt(f func(context.Context, *Encrypter) (int, error)) {
	r.rotateMu.Lock()
	defer r.rotateMu.Unlock()
	r.reencrypted = append(r.reencrypted, f)
}

// makeCurrent makes all gates encrypt with a secret.
func (r *Registry) makeCurrent(ctx context.Context, by Actor, keyID string) error {
	shared := r.encrypter.shared
	if shared == nil {
		return nil
	}
	registered, err := shared.EncryptionKeys(ctx, keyID)
	if err != nil || len(registered) > 0 && registered[0] == keyID {
		return err
	}
	if err := shared.SetEncryptionKey(ctx, keyID); err != nil {
		return err
	}
	return r.writeEntry(ctx, by, ActionSecretRotated, "the secret "+keyID+" encrypts the key store, was "+registered[0])
}

// reencryptAll encrypts records and overrides again, and returns how many.
func (r *Registry) reencryptAll(ctx context.Context, by Actor, secret *secretbox.Secret) (records, overrides int, err error) {
	outdated := func(ids []string) bool {
		return slices.ContainsFunc(ids, func(id string) bool { return id != secret.KeyIDText() })
	}
	var (
		recordIDs []string
		stored    []*Override
	)
	if _, err := r.storage.All(ctx, func(rec *Record) error {
		if outdated(rec.EncryptionKeys()) {
			recordIDs = append(recordIDs, strings.Clone(rec.ID))
		}
		return nil
	}); err != nil {
		return 0, 0, err
	}
	if err := r.storage.Overrides(ctx, func(o *Override) error {
		if outdated(o.EncryptionKeys()) {
			stored = append(stored, o)
		}
		return nil
	}); err != nil {
		return 0, 0, err
	}
	for chunk := range slices.Chunk(recordIDs, reencryptRows) {
		n, err := r.reencryptRecords(ctx, secret, chunk)
		if errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) { // one of them was changed meanwhile
			n, err = r.reencryptEach(ctx, secret, chunk)
		}
		if records += n; err != nil {
			return records, 0, err
		}
	}
	for _, o := range stored {
		changed, err := r.reencryptOverride(ctx, by, secret, o)
		if err != nil {
			return records, overrides, err
		}
		if changed {
			overrides++
		}
	}
	if records+overrides == 0 {
		return 0, 0, nil
	}
	return records, overrides, r.writeEntry(ctx, by, ActionSecretRotated,
		fmt.Sprintf("encrypted again with the secret %s: %d keys", secret.KeyIDText(), records+overrides))
}

// reencryptRecords encrypts parts of records again, in one write, and returns the number of records that were changed.
func (r *Registry) reencryptRecords(ctx context.Context, secret *secretbox.Secret, ids []string) (int, error) {
	var changed []*Record
	for _, id := range ids {
		rec, err := r.storage.Get(ctx, id)
		if err != nil {
			return 0, err
		}
		agent, agentChanged := r.encrypter.reencrypt(secret, agentKeyOf(id), rec.Agent.Encrypted)
		signing, signingChanged := r.reencryptSigning(secret, id, rec.Signing)
		if agentChanged || signingChanged {
			rec.Agent.Encrypted, rec.Signing = agent, signing
			changed = append(changed, rec)
		}
	}
	return len(changed), r.write(ctx, changed, nil)
}

// reencryptEach is reencryptRecords with one write for each record, which is repeated after a conflict.
func (r *Registry) reencryptEach(ctx context.Context, secret *secretbox.Secret, ids []string) (changed int, err error) {
	for _, id := range ids {
		var n int
		for range maxRetries {
			if n, err = r.reencryptRecords(ctx, secret, []string{id}); !errors.Is(err, ErrConflict) {
				break
			}
		}
		if err != nil && !errors.Is(err, ErrConflict) && !errors.Is(err, ErrNotFound) {
			return changed, err
		}
		changed += n
	}
	return changed, nil
}

// reencryptOverride encrypts the secrets of an override again. One that was changed meanwhile remains for the next call.
func (r *Registry) reencryptOverride(ctx context.Context, by Actor, secret *secretbox.Secret, o *Override) (changed bool, err error) {
	if o.Signing, changed = r.reencryptSigning(secret, o.ID, o.Signing); !changed {
		return false, nil
	}
	r.overrides.writeMu.Lock()
	defer r.overrides.writeMu.Unlock()
	entry := r.newEntry(by, ActionSecretRotated, nil, "encrypted again with the secret "+secret.KeyIDText())
	entry.Key = o.ID
	err = r.writeOverride(ctx, o, entry)
	if errors.Is(err, ErrConflict) {
		return false, nil
	}
	return err == nil, err
}

// reencryptSigning returns a copy with the secrets encrypted again, and reports whether one was. s may be nil.
func (r *Registry) reencryptSigning(secret *secretbox.Secret, id string, s *Signing) (_ *Signing, changed bool) {
	if !s.hasSecrets() {
		return s, false
	}
	next := s.clone()
	for i := range next.Secrets {
		k := &next.Secrets[i]
		encrypted, again := r.encrypter.reencrypt(secret, signSecretOf(id, k.ID), k.Encrypted)
		k.Encrypted, changed = encrypted, changed || again
	}
	return next, changed
}

// reencrypt encrypts data again with a secret, and reports whether it was necessary and possible.
func (s *Encrypter) reencrypt(secret *secretbox.Secret, use secretUse, data []byte) (_ []byte, changed bool) {
	if len(data) == 0 || EncryptionKey(data) == secret.KeyIDText() {
		return data, false
	}
	text, err := s.decrypt(use, data)
	if err != nil {
		return data, false // countRemaining reports it
	}
	return s.seal(secret, use, text), true
}

// countRemaining sets Remaining of a report, and returns the revision that it is about.
func (r *Registry) countRemaining(ctx context.Context, report *EncryptionReport) (revision uint64, err error) {
	count := func(ids []string) {
		for _, id := range ids {
			if id != report.KeyID {
				if report.Remaining == nil {
					report.Remaining = map[string]int{}
				}
				report.Remaining[id]++
			}
		}
	}
	if revision, err = r.storage.All(ctx, func(rec *Record) error { count(rec.EncryptionKeys()); return nil }); err != nil {
		return 0, err
	}
	return revision, r.storage.Overrides(ctx, func(o *Override) error { count(o.EncryptionKeys()); return nil })
}
