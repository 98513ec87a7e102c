package main

import (
	"path/filepath"
	"testing"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/filefeed"
)

// The key files of starts are valid in both formats, and have the key whose token is used.
func TestManyKeysAreValid(t *testing.T) {
	for _, name := range []string{"keys.yaml", "keys.json"} {
		for _, n := range []int{1, 2000} {
			path := filepath.Join(t.TempDir(), name)
			if err := writeManyKeys(path, n); err != nil {
				t.Fatal(err)
			}
			feed, err := filefeed.New(filefeed.Options{Path: path})
			if err != nil {
				t.Fatal(err)
			}
			batch, err := feed.LoadBatch(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			store := keys.NewStore()
			if _, err := store.ReplaceBatch("f", batch); err != nil || store.Len() != n || store.Lookup(keys.DigestOf(goodToken)) == nil {
				t.Errorf("%s: %d keys, want %d, or the key is missing: %v", name, store.Len(), n, err)
			}
		}
	}
}

// The fake DocsGPT names the conversation that a question continues, and a new one otherwise.
func TestConversationOf(t *testing.T) {
	for body, want := range map[string]uint64{
		`{"conversation_id":"0000002a-6a0e-4a5e-9a39-0d2f5f9e7f11","question":"q"}`:  42,
		`{"question":"q","conversation_id": "0000002a-6a0e-4a5e-9a39-0d2f5f9e7f11"}`: 42,
		`{"conversation_id":null}`: 7,
		`{"question":"q"}`:         7,
		`{"conversation_id":"x"}`:  7,
	} {
		if got := conversationOf([]byte(body), 7); got != want {
			t.Errorf("%s: %d, want %d", body, got, want)
		}
	}
}
