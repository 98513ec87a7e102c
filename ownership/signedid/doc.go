// Package signedid signs the IDs of DocsGPT's resources, so that the gate recognizes an ID that it has given to a key without
// remembering it.
//
// A signed ID is the ID, a dot, and 24 characters of base64url: a version, the number of the secret, the hour of issue and a truncated
// HMAC-SHA256 over these, the ID, the kind of resource, its owner and the scope of the signature. All characters are safe in the path
// and the query of a URL, in a header and in JSON, and clients need not know that the ID is signed.
//
// The package does not depend on HTTP, the key store or Caddy.
package signedid
