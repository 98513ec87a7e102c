package redact

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Keys knows the tokens and IDs of keys. Its methods are called for each word of each text, concurrently, and must not log.
type Keys interface {
	// HasToken reports whether a key has this token, in any state of the key.
	HasToken(token string) bool

	// HasID reports whether a key has this ID.
	HasID(id string) bool
}

var (
	registerMu sync.Mutex // guards writes of registered
	registered atomic.Pointer[[]Keys]
)

// Register makes [Text] replace the tokens of k, until unregister is called. k must be comparable.
func Register(k Keys) (unregister func()) {
	change := func(f func([]Keys) []Keys) {
		registerMu.Lock()
		defer registerMu.Unlock()
		list := f(slices.Clone(registeredKeys()))
		registered.Store(&list)
	}
	change(func(list []Keys) []Keys { return append(list, k) })
	return sync.OnceFunc(func() {
		change(func(list []Keys) []Keys {
			i := slices.Index(list, k)
			return slices.Delete(list, i, i+1)
		})
	})
}

func registeredKeys() []Keys {
	if list := registered.Load(); list != nil {
		return *list
	}
	return nil
}

// minKnownToken and maxKnownToken bound the length of words that are looked up.
const minKnownToken, maxKnownToken = 8, 512

func isKnownToken(word string) bool {
	if len(word) < minKnownToken || len(word) > maxKnownToken {
		return false
	}
	for _, k := range registeredKeys() {
		if k.HasToken(word) {
			return true
		}
	}
	return false
}

// IsKeyID reports whether a registered key has this ID.
func IsKeyID(id string) bool {
	if id == "" || len(id) > maxKnownToken {
		return false
	}
	for _, k := range registeredKeys() {
		if k.HasID(id) {
			return true
		}
	}
	return false
}
