package pgfeed

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/docsgate/docsgate/keys/docsgptkeys"
)

// ClassifyError returns an error for users, without values and passwords, which calls the database by the given name. unavailable reports whether the database is unavailable, so
// that the last keys remain valid; otherwise an operator has to fix something.
func ClassifyError(err error, database string, timeout time.Duration) (userErr error, unavailable bool) {
	var (
		pg        *pgconn.PgError
		opErr     *net.OpError
		dnsErr    *net.DNSError
		noTable   = errors.Is(err, errNoTable) || errors.Is(err, errForeignTable)
		denied    deniedError
		certErr   *tls.CertificateVerificationError
		unknownCA x509.UnknownAuthorityError
		hostErr   x509.HostnameError
		recordErr tls.RecordHeaderError
		netErr    net.Error
	)
	switch {
	case noTable:
		return innermost(err), false
	case errors.As(err, &denied):
		return denied, false
	case errors.As(err, &pg):
		return classifyServerError(pg, database)
	case errors.As(err, &certErr), errors.As(err, &unknownCA), errors.As(err, &hostErr), errors.As(err, &recordErr):
		return certificateError(err, database), false
	case pgconn.Timeout(err), errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return fmt.Errorf("%s did not respond within %s", database, timeout), true
	case errors.As(err, &dnsErr):
		return fmt.Errorf("the host %s of %s cannot be found", dnsErr.Name, database), true
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New(database + " refuses connections: check that it is running, and host and port in the address"), true
	case errors.As(err, &opErr), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		strings.Contains(err.Error(), "conn closed"):
		return errors.New("the connection to " + database + " was lost"), true
	case errors.Is(err, pgconn.ErrReadOnlyConnection), errors.Is(err, pgconn.ErrReadWriteConnection),
		errors.Is(err, pgconn.ErrPrimaryConnection), errors.Is(err, pgconn.ErrStandbyConnection):
		return errors.New("no server of the address is in the mode that target_session_attrs requires"), true
	case strings.Contains(err.Error(), "server refused TLS connection"): // by default only the first of two attempts
		return errNoTLS(database), false
	default:
		return errors.New(database + " cannot be read: its responses are not as expected"), false
	}
}

// errNoTLS returns the error for a server without TLS, or for an attacker in between who pretends that.
func errNoTLS(database string) error {
	return errors.New("no trusted TLS connection to " + database + ": its server does not support TLS, which is required on " +
		"another machine, or by sslmode in the address. Enable TLS in the server (ssl = on); or, if no attacker can be in between, for " +
		"example in the network of a compose file, set " + docsgptkeys.AllowPlaintext + " in the feed's block")
}

// certificateError returns the error for an untrusted certificate, and says how to fix it.
func certificateError(err error, database string) error {
	begin := "no trusted TLS connection to " + database + ": "
	var (
		unknownCA x509.UnknownAuthorityError
		hostErr   x509.HostnameError
	)
	switch {
	case errors.As(err, &unknownCA):
		return errors.New(begin + "its certificate was signed by an unknown authority: specify the authority's certificate in the " +
			"address, as sslrootcert=/path/to/ca.pem")
	case errors.As(err, &hostErr):
		return fmt.Errorf("%sits certificate is not valid for the name %s: use a name from the certificate in the address; or "+
			"sslmode=verify-ca and sslrootcert=/path/to/ca.pem, if that authority signs no other certificates", begin, hostErr.Host)
	default:
		return errors.New(begin + "its certificate is not valid: check it, and sslmode and sslrootcert in the address")
	}
}

func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// classifyServerError is like classifyError for errors of the server. Their messages may contain values, so they are not shown.
func classifyServerError(e *pgconn.PgError, database string) (userErr error, unavailable bool) {
	code := " (SQLSTATE " + e.Code + ")"
	class := e.Code[:min(2, len(e.Code))]
	switch {
	case e.Code == "28P01":
		return errors.New(database + " rejects the password: check it in the address" + code), false
	case class == "28":
		return errors.New(database + " rejects this user: check the user in the address and the server's pg_hba.conf" + code), false
	case e.Code == "3D000":
		return errors.New("the database does not exist: check its name in the address" + code), false
	case e.Code == "42501":
		return errors.New("the role lacks required permissions: run the output of `docsgate adopt --print-grants`" + code), false
	case e.Code == "42704" || e.Code == "55P02":
		return errors.New("the server rejects an option of the address: check the options after the ?" + code), false
	case class == "42" || class == "3F":
		return errors.New("the tables of this database are not those of a supported version of DocsGPT" + code), false
	case e.Code == "53300":
		return errors.New(database + " has too many connections" + code), true
	case e.Code == "57P03":
		return errors.New(database + " is starting up or shutting down" + code), true
	case e.Code == "57014":
		return errors.New("a query of " + database + " timed out" + code), true
	case class == "57":
		return errors.New(database + " was shut down, or closed the connection" + code), true
	case class == "08", class == "53", class == "58", class == "40", class == "55", class == "25":
		return errors.New(database + " is temporarily unavailable" + code), true
	default:
		return errors.New(database + " returned an error" + code), false
	}
}
