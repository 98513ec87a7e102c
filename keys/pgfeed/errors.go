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

// classifyError says in words for people what went wrong, without values and passwords, and whether the database is away: then
// nobody has to mend anything here but to wait.
func classifyError(err error, timeout time.Duration) (told error, away bool) {
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
		return classifyServerError(pg)
	case errors.As(err, &certErr), errors.As(err, &unknownCA), errors.As(err, &hostErr), errors.As(err, &recordErr):
		return certificateError(err), false
	case pgconn.Timeout(err), errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return fmt.Errorf("DocsGPT's database does not answer within %s", timeout), true
	case errors.As(err, &dnsErr):
		return fmt.Errorf("the host %s of DocsGPT's database cannot be found", dnsErr.Name), true
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("DocsGPT's database refuses connections: is it running, and are host and port right?"), true
	case errors.As(err, &opErr), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		strings.Contains(err.Error(), "conn closed"):
		return errors.New("the connection with DocsGPT's database was lost"), true
	case errors.Is(err, pgconn.ErrReadOnlyConnection), errors.Is(err, pgconn.ErrReadWriteConnection),
		errors.Is(err, pgconn.ErrPrimaryConnection), errors.Is(err, pgconn.ErrStandbyConnection):
		return errors.New("no server of the address is in the mode that its target_session_attrs asks for"), true
	case strings.Contains(err.Error(), "server refused TLS connection"): // by default only the first of two tries
		return errNoTLS, false
	default:
		return errors.New("DocsGPT's database cannot be read: its answers are not what the gate expects"), false
	}
}

// errNoTLS is the answer of a server that has no TLS, or of somebody between who says so for it.
var errNoTLS = errors.New("there is no trusted TLS connection with DocsGPT's database: its server offers no TLS, which it must on " +
	"another machine, and where sslmode in its address says so. Switch TLS on there (ssl = on); or, if nobody else can be between the " +
	"two, as in a compose file's own network, write " + docsgptkeys.AllowPlaintext + " into the feed's block")

// certificateError says what is wrong with a server's certificate, and what can be done here.
func certificateError(err error) error {
	const begin = "there is no trusted TLS connection with DocsGPT's database: "
	var (
		unknownCA x509.UnknownAuthorityError
		hostErr   x509.HostnameError
	)
	switch {
	case errors.As(err, &unknownCA):
		return errors.New(begin + "no authority that is known here has signed its certificate: name the file with that authority's in its " +
			"address, as sslrootcert=/path/of/ca.pem")
	case errors.As(err, &hostErr):
		return fmt.Errorf(begin+"its certificate is not for the name %s: write a name that is in the certificate into its address; or "+
			"sslmode=verify-ca and sslrootcert=/path/of/ca.pem, if that authority signs for nobody else", hostErr.Host)
	default:
		return errors.New(begin + "its certificate is not valid: check it, and sslmode and sslrootcert in its address")
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

// classifyServerError is explain for what the server itself says. Its messages may repeat values, so few are shown.
func classifyServerError(e *pgconn.PgError) (told error, away bool) {
	code := " (SQLSTATE " + e.Code + ")"
	class := e.Code[:min(2, len(e.Code))]
	switch {
	case e.Code == "28P01":
		return errors.New("DocsGPT's database refuses the password: check it in the address" + code), false
	case class == "28":
		return errors.New("DocsGPT's database refuses this user from here: check the user in the address and the server's pg_hba.conf" + code), false
	case e.Code == "3D000":
		return errors.New("the server has no such database: check its name in the address" + code), false
	case e.Code == "42501":
		return errors.New("the role may not read what the gate needs: run what `docsgate adopt --print-grants` prints" + code), false
	case e.Code == "42704" || e.Code == "55P02":
		return errors.New("the server does not take an option of the address: check what stands behind the ? in it" + code), false
	case class == "42" || class == "3F":
		return errors.New("the tables of this database are not those of a DocsGPT that is known here" + code), false
	case e.Code == "53300":
		return errors.New("DocsGPT's database has no connection left" + code), true
	case e.Code == "57P03":
		return errors.New("DocsGPT's database is starting up or shutting down" + code), true
	case e.Code == "57014":
		return errors.New("DocsGPT's database took too long to answer" + code), true
	case class == "57":
		return errors.New("DocsGPT's database was shut down, or has ended the connection" + code), true
	case class == "08", class == "53", class == "58", class == "40", class == "55", class == "25":
		return errors.New("DocsGPT's database cannot answer at the moment" + code), true
	default:
		return errors.New("DocsGPT's database reports an error" + code), false
	}
}
