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

// Codes of MongoDB's errors that are handled specifically.
const (
	codeUnauthorized       = 13
	codeAuthenticationFail = 18
	codeAtlas              = 8000 // wrong user or password in MongoDB Atlas
)

// unavailableCodes are the codes of a server that is temporarily unable to respond: it is shutting down, is no longer the primary,
// cannot reach other members, was interrupted, or has exceeded a time limit.
var unavailableCodes = []int32{
	6, 7, 43, 50, 63, 64, 84, 89, 90, 91, 112, 133, 134, 150, 175, 189, 202, 234, 237, 262, 280, 286, 290, 317, 391, 402, 462, 9001,
	10058, 10107, 11600, 11601, 11602, 13388, 13435, 13436,
}

// snapshotCodes are the codes of a server that does not support snapshot reads.
var snapshotCodes = []int32{2, 9, 72, 115, 123, 238, 239, 246, 40415}

// isSnapshotUnsupported reports whether an error means that the server does not support snapshot reads.
func isSnapshotUnsupported(err error) bool {
	var command mongo.CommandError
	switch {
	case err == nil:
		return false
	case errors.As(err, &command):
		return slices.Contains(snapshotCodes, command.Code)
	default:
		return strings.Contains(err.Error(), "does not support sessions") // an error of the driver
	}
}

// errMissingRole is the message about missing permissions.
const errMissingRole = "the user lacks required permissions: grant it the role read on DocsGPT's database, or a role with " +
	"the actions find (and, on a replica set, changeStream) on the collections agents and api_keys"

// classifyError returns an error for users, without values and passwords. unavailable reports whether the database is unavailable, so
// that the last keys remain valid; otherwise an operator has to fix something.
func classifyError(err error, timeout time.Duration) (userErr error, unavailable bool) {
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
		return errors.New("no trusted TLS connection to DocsGPT's database: check tls and tlsCAFile in the address and the " +
			"server's certificate"), false
	case errors.As(err, &command) && command.Code != 0:
		return classifyServerError(command.Code)
	case strings.Contains(err.Error(), "reports wire version"):
		return errors.New("the version of DocsGPT's database is not supported: MongoDB 4.4 or later is required"), false
	case strings.Contains(err.Error(), "unable to authenticate"):
		return errors.New("DocsGPT's database rejects the authentication method: check authMechanism and authSource in the address"), false
	case errors.As(err, &dnsErr):
		return fmt.Errorf("the host %s of DocsGPT's database cannot be found", dnsErr.Name), true
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("DocsGPT's database refuses connections: check that it is running, and host and port in the address"), true
	case mongo.IsTimeout(err), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("DocsGPT's database did not respond within %s", timeout), true
	case errors.As(err, &opErr), mongo.IsNetworkError(err), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, net.ErrClosed), errors.Is(err, mongo.ErrClientDisconnected),
		strings.Contains(err.Error(), "connection pool"): // which was cleared since another connection was lost
		return errors.New("the connection to DocsGPT's database was lost"), true
	default:
		return errors.New("DocsGPT's database cannot be read: its responses are not as expected"), false
	}
}

// classifyServerError is like classifyError for errors of the server. Their messages may contain values, so they are not shown.
func classifyServerError(n int32) (userErr error, unavailable bool) {
	code := fmt.Sprintf(" (code %d)", n)
	switch {
	case n == codeAuthenticationFail, n == codeAtlas:
		return errors.New("DocsGPT's database rejects the user or password: check them in the address, and authSource, the database of " +
			"the user" + code), false
	case n == codeUnauthorized:
		return errors.New(errMissingRole + code), false
	case n == 73:
		return errors.New("the name of the database is not valid: check it" + code), false
	case slices.Contains(unavailableCodes, n):
		return errors.New("DocsGPT's database is temporarily unavailable" + code), true
	default:
		return errors.New("DocsGPT's database returned an error" + code), false
	}
}
