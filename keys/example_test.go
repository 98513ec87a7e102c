package keys_test

import (
	"fmt"
	"log"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/policy"
)

// A feed passes its keys to a store, and a verifier decides on tokens. A revoked key is rejected as soon as the store has it.
func ExampleVerifier_Verify() {
	store := keys.NewStore()
	verifier, err := keys.NewVerifier(store, keys.CacheConfig{})
	if err != nil {
		log.Fatal(err)
	}
	defer verifier.Close()

	token := keys.NewToken(policy.AnyKind)
	key := keys.Key{
		ID: "docs-site", Name: "Docs site", Digest: keys.DigestOf(token),
		Binding: keys.Binding{Sources: []string{"handbook"}},
		Expires: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	if _, err := store.Replace("example", []keys.Key{key}); err != nil {
		log.Fatal(err)
	}
	store.SetReady(true)

	now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	decision := verifier.Verify(token, now)
	fmt.Println(decision.Reason, decision.Key.ID, decision.Key.Binding.Sources)
	fmt.Println(verifier.Verify(keys.NewToken(policy.AnyKind), now).Reason)
	fmt.Println(verifier.Verify(token, key.Expires).Reason)

	key.State = keys.Revoked
	if _, err := store.Replace("example", []keys.Key{key}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(verifier.Verify(token, now).Reason)

	// Output:
	// allowed docs-site [handbook]
	// unknown_token
	// expired
	// revoked
}

// The checksum of a token distinguishes a token with a typing error from any other text, without a lookup.
func ExampleHasValidChecksum() {
	token := keys.NewToken(policy.AnyKind)
	fmt.Println(keys.HasValidChecksum(token), keys.HasBadChecksum(token))
	mistyped := token[:len(token)-1] + "!"
	fmt.Println(keys.HasValidChecksum(mistyped), len(keys.Hint(token)))

	// Output:
	// true false
	// false 4
}

// A secret is printed only where the code asks for it.
func ExampleSecret() {
	secret := keys.NewSecret("5f0c2b7e-1d34-4a6b-8c9d-0123456789ab")
	fmt.Println(secret)
	fmt.Printf("%+v\n", keys.Binding{Agent: secret})
	fmt.Println(len(secret.Reveal()))

	// Output:
	// REDACTED
	// {Sources:[] Agent:REDACTED}
	// 36
}
