package pgtest

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/docsgate/docsgate/internal/tlstest"
)

// TLSName is the host name that the server's certificate is for. Nothing resolves it: tests have to.
const TLSName = "db.docsgpt.test"

// CAFile returns the path of the authority, in PEM, that has signed the server's certificate. No system trusts it. The server
// takes connections with and without TLS.
func CAFile() string { return filepath.Join(server.folder, "ca.pem") }

// tlsFiles writes a certificate and its key for the server, which accepts only a key that other users cannot read.
func tlsFiles(folder string) error {
	authority, err := tlstest.New(TLSName)
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"ca.pem": authority.CA, "server.pem": authority.Certificate, "server.key": authority.Key,
	} {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return fmt.Errorf("writing a certificate: %w", err)
		}
		if _, err := unprivileged(path); err != nil {
			return err
		}
	}
	return nil
}
