package app

import (
	"context"
	"errors"
	"time"

	"github.com/docsgate/docsgate/keys/registry"
)

const (
	// secretsInterval is the interval at which the secrets that encrypt the database are checked: another gate may have replaced them while
	// this one had no connection.
	secretsInterval = 10 * time.Second

	// secretsRetryInterval is the same until a check has succeeded.
	secretsRetryInterval = time.Second
)

// prepareLater repeats prepare until the database was available, so that the secrets that sign IDs are imported before one is created.
func (s *sharedIDs) prepareLater(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(secretsRetryInterval):
		}
		err := s.prepare(ctx)
		if errors.Is(err, registry.ErrUnavailable) {
			continue
		}
		if err != nil && !errors.Is(err, registry.ErrWrongSecret) && ctx.Err() == nil { // that is logged by followSecrets
			s.logger.Error("importing the secrets that sign IDs failed", "error", err)
		}
		return
	}
}

// followSecrets checks the secrets that encrypt the database until ctx is canceled. A gate that lacks one rejects changes.
func (s *sharedIDs) followSecrets(ctx context.Context) {
	wrong, interval := false, secretsRetryInterval
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(interval):
		}
		err := s.store.Encrypter.CheckShared(ctx)
		interval = secretsRetryInterval
		switch {
		case err == nil:
			if wrong {
				s.logger.Info("this gate has the secrets that encrypt the key store again")
			}
			wrong, interval = false, secretsInterval
		case errors.Is(err, registry.ErrWrongSecret):
			if !wrong {
				s.logger.Error("this gate rejects all changes of keys until it has the secret that encrypts the key store, and signed tokens and "+
					"DocsGPT keys that it cannot decrypt are not valid here", "error", err)
			}
			wrong = true
		}
	}
}
