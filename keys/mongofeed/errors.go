package mongofeed

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
)

// The codes of MongoDB's errors that mean something here.
const (
	codeUnauthorized       = 13
	codeAuthenticationFail = 18
	codeAtlas              = 8000 // a wrong user or password, as MongoDB Atlas says it
)

// unavailableCodes are those of a server that is not able to answer now: it is shutting down, has lost its place in the replica
// set, cannot reach others, was interrupted, or has run out of time.
var unavailableCodes = []int32{
	6, 7, 43, 50, 63, 64, 84, 89, 90, 91, 112, 133, 134, 150, 175, 189, 202, 234, 237, 262, 280, 286, 290, 317, 391, 402, 462, 9001,
	10058, 10107, 11600, 11601, 11602, 13388, 13435, 13436,
}

// snapshotCodes are those of a server that does not let records be read at one moment of its past.
var snapshotCodes = []int32{2, 9, 72, 115, 123, 238, 239, 246, 40415}

// isSnapshotUnsupported tells whether a server refuses to be read at one moment.
func isSnapshotUnsupported(err error) bool {
	var command mongo.CommandError
	switch {
	case err == nil:
		return false
	case errors.As(err, &command):
		return slices.Contains(snapshotCodes, command.Code)
	default:
		return strings.Contains(err.Error(), "does not support sessions") // the library's own error
	}
}

// errMissingRole says what a role needs.
const errMissingRole = "the user may not read what the gate needs: give it the role read on DocsGPT's database, or a role of its own with " +
	"the actions find (and, on a replica set, changeStream) on its collections agents and api_keys"

// classifyError says in words for people what went wrong, without values and passwords, and whether the database is away: then
// nobody has to mend anything here but to wait.
func classifyError(err error, timeout time.Duration) (told error, away bool) {
	var (
		command   mongo.CommandError
		opErr     *net.OpError
		dnsErr    *net.DNSError
		certErr   *tls.CertificateVerificationError
		unknownCA x509.UnknownAuthorityError
		hostErr   x509.HostnameError
		recordErr tls.RecordHeaderError
		alert     tls.AlertError
		member    *plaintextMemberError
	)
	switch {
	case errors.Is(err, errNoDatabase):
		return errNoDatabase, false
	case errors.Is(err, errAddress):
		return errAddress, false
	case errors.Is(err, errMalformed):
		return errMalformed, false
	case errors.As(err, &member):
		return member, false
	case errors.Is(err, errNotInDNS):
		return errNotInDNS, true
	case errors.As(err, &certErr), errors.As(err, &unknownCA), errors.As(err, &hostErr), errors.As(err, &recordErr), errors.As(err, &alert):
		return errors.New("there is no trusted TLS connection with DocsGPT's database: check tls and tlsCAFile in its address and the " +
			"server's certificate"), false
	case errors.As(err, &command) && command.Code != 0:
		return classifyServerError(command.Code)
	case strings.Contains(err.Error(), "reports wire version"):
		return errors.New("DocsGPT's database is of a version that is not known here: MongoDB 4.4 is the oldest"), false
	case strings.Contains(err.Error(), "unable to authenticate"):
		return errors.New("DocsGPT's database refuses the way to log in that its address names: check authMechanism and authSource in it"), false
	case errors.As(err, &dnsErr):
		return fmt.Errorf("the host %s of DocsGPT's database cannot be found", dnsErr.Name), true
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("DocsGPT's database refuses connections: is it running, and are host and port right?"), true
	case mongo.IsTimeout(err), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("DocsGPT's database does not answer within %s", timeout), true
	case errors.As(err, &opErr), mongo.IsNetworkError(err), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, net.ErrClosed), errors.Is(err, mongo.ErrClientDisconnected),
		strings.Contains(err.Error(), "connection pool"): // which was cleared since another connection was lost
		return errors.New("the connection with DocsGPT's database was lost"), true
	default:
		return errors.New("DocsGPT's database cannot be read: its answers are not what the gate expects"), false
	}
}

// classifyServerError is explain for what the server itself says. Its messages may repeat values, so they are not shown.
func classifyServerError(n int32) (told error, away bool) {
	code := fmt.Sprintf(" (code %d)", n)
	switch {
	case n == codeAuthenticationFail, n == codeAtlas:
		return errors.New("DocsGPT's database refuses user or password: check them in the address, and authSource, the database that " +
			"the user is kept in" + code), false
	case n == codeUnauthorized:
		return errors.New(errMissingRole + code), false
	case n == 73:
		return errors.New("no database can have this name: check it" + code), false
	case slices.Contains(unavailableCodes, n):
		return errors.New("DocsGPT's database cannot answer at the moment" + code), true
	default:
		return errors.New("DocsGPT's database reports an error" + code), false
	}
}
