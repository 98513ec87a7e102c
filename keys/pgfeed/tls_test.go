package pgfeed_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/internal/tlstest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/dbfeed"
	"github.com/docsgate/docsgate/keys/docsgptkeys"
	"github.com/docsgate/docsgate/keys/pgfeed"
)

// middle is an attacker between the gate and the database. It reads what is sent, and says that the server does not support TLS, or
// presents a certificate of another authority.
type middle struct {
	t    testing.TB
	addr string
	own  *tls.Config // nil: there is no TLS

	listener net.Listener
	wg       sync.WaitGroup

	mu    sync.Mutex // guards the following
	conns []net.Conn
	read  bytes.Buffer // what went by in clear, both ways
}

func newMiddle(t testing.TB, certified bool) *middle {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listening: %v", err)
	}
	m := &middle{t: t, addr: l.Addr().String(), listener: l}
	if certified {
		signed, err := tlstest.New(pgtest.TLSName)
		if err != nil {
			t.Fatal(err)
		}
		if m.own, err = signed.Server(); err != nil {
			t.Fatal(err)
		}
	}
	m.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			m.wg.Go(func() { m.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		m.mu.Lock()
		for _, c := range m.conns {
			_ = c.Close()
		}
		m.mu.Unlock()
		m.wg.Wait()
	})
	return m
}

// Write implements io.Writer. It records what the attacker has read.
func (m *middle) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.read.Write(p)
}

func (m *middle) has(text string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Contains(m.read.Bytes(), []byte(text))
}

func (m *middle) serve(client net.Conn) {
	server, err := net.Dial("tcp", pgtest.Host())
	if err != nil {
		m.t.Errorf("connecting with the server: %v", err)
		_ = client.Close()
		return
	}
	m.mu.Lock()
	m.conns = append(m.conns, client, server)
	m.mu.Unlock()
	defer server.Close()
	defer client.Close()
	begin := make([]byte, 8)
	if _, err := io.ReadFull(client, begin); err != nil {
		return
	}
	const wantsTLS = 80877103
	switch {
	case binary.BigEndian.Uint32(begin[4:]) != wantsTLS:
		_, _ = m.Write(begin)
		_, _ = server.Write(begin)
	case m.own == nil:
		_, _ = client.Write([]byte("N"))
	default:
		_, _ = client.Write([]byte("S"))
		client = tls.Server(client, m.own)
	}
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(io.MultiWriter(server, m), client)
		_ = server.Close()
	})
	both.Go(func() {
		_, _ = io.Copy(io.MultiWriter(client, m), server)
		_ = client.Close()
	})
	both.Wait()
}

// An attacker between the gate and a database on another machine reads neither keys nor the password: neither by denying TLS nor
// with a certificate of another authority. Only an operator can allow that.
func TestAttackerOnPath(t *testing.T) {
	database := docsgpt(t)
	pgtest.Exec(t, database, insert(1))
	service := filepath.Join(t.TempDir(), "services")
	if err := os.WriteFile(service, []byte("[docsgpt]\nsslmode=prefer\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ca := "&sslrootcert=" + pgtest.CAFile()
	const declines, certifies = "declines TLS", "has a certificate"
	for _, c := range []struct {
		name, options string
		plaintext     bool
		readBy        []string // which of both reads the key
	}{
		{"no mode", "", false, nil},
		{"no mode, with an authority", ca, false, nil},
		{"prefer", "&sslmode=prefer", false, nil},
		{"prefer, with an authority", "&sslmode=prefer" + ca, false, nil},
		{"allow", "&sslmode=allow", false, nil},
		{"prefer in a service file", "&service=docsgpt&servicefile=" + service, false, nil},
		{"TLS at once", "&sslnegotiation=direct", false, nil},
		{"verify-ca", "&sslmode=verify-ca" + ca, false, nil},
		{"verify-full", "&sslmode=verify-full" + ca, false, nil},
		{"system authorities", "&sslrootcert=system", false, nil},
		{"require, with an authority", "&sslmode=require" + ca, false, nil},
		{"require", "&sslmode=require", false, []string{certifies}},
		{"require, as ssl=true", "&ssl=true", false, []string{certifies}},
		{"no mode, and plaintext allowed", "", true, []string{declines, certifies}},
		{"disable, and plaintext allowed", "&sslmode=disable", true, []string{declines, certifies}},
		{"verify-full, and plaintext allowed", "&sslmode=verify-full" + ca, true, nil},
	} {
		for _, way := range []string{declines, certifies} {
			t.Run(c.name+", who "+way, func(t *testing.T) {
				t.Parallel()
				m := newMiddle(t, way == certifies)
				o := options(t, "postgres://postgres:"+password+"@"+pgtest.TLSName+"/"+database+"?target_session_attrs=any"+c.options)
				o.InsecurePlaintext = c.plaintext
				f := newFeed(t, o)
				f.LeadTo(m.addr)
				set, err := f.Load(t.Context())
				if !slices.Contains(c.readBy, way) {
					if stale := (*keys.StaleError)(nil); err == nil || errors.As(err, &stale) && c.options != "&sslnegotiation=direct" {
						t.Errorf("Load: %d keys, %v", len(set), err)
					}
					if c.options != "&sslnegotiation=direct" && (err == nil || !strings.Contains(err.Error(), "no trusted TLS connection")) {
						t.Errorf("the error does not say why: %v", err)
					}
					if m.has(agentKey(1)) || m.has("user\x00postgres") || m.has(password) {
						t.Error("the attacker has read the key or something else")
					}
					return
				}
				if err != nil || len(set) != 1 || !m.has(agentKey(1)) {
					t.Errorf("Load: %d keys, %v; the attacker has read the key: %t", len(set), err, m.has(agentKey(1)))
				}
				if got := f.Connection().Transport; got != docsgptkeys.Plaintext && got != docsgptkeys.Unverified {
					t.Errorf("Connection: %s", got)
				}
			})
		}
	}
}

// Variables of the environment do not weaken a connection.
func TestEnvironmentDoesNotWeakenTLS(t *testing.T) {
	database := docsgpt(t)
	pgtest.Exec(t, database, insert(1))
	m := newMiddle(t, false)
	for _, mode := range []string{"prefer", "allow", "disable"} {
		t.Run(mode, func(t *testing.T) {
			t.Setenv("PGSSLMODE", mode)
			t.Setenv("PGHOST", pgtest.TLSName)
			f, err := pgfeed.New(options(t, "postgres://postgres:"+password+"@/"+database))
			if err == nil {
				f.LeadTo(m.addr)
				_, err = f.Load(t.Context())
			}
			if err == nil || m.has(agentKey(1)) || m.has(database) || !strings.Contains(err.Error(), docsgptkeys.AllowPlaintext) {
				t.Errorf("the key was read along: %t, %v", m.has(agentKey(1)), err)
			}
		})
	}
}

// A server on another machine with a certificate of a known authority needs no options in the address.
func TestRemoteServerTLS(t *testing.T) {
	database := docsgpt(t)
	pgtest.Exec(t, database, insert(1))
	const name = pgtest.TLSName
	at := "postgres://postgres@%/" + database + "?connect_timeout=9"
	for _, c := range []struct{ name, host, options, trouble string }{
		{"known authority", name, "&sslrootcert=" + pgtest.CAFile(), ""},
		{"second of two hosts", name + "," + name, "&sslrootcert=" + pgtest.CAFile(), ""},
		{"unknown authority", name, "", "sslrootcert="},
		{"certificate for another name", "other.docsgpt.test", "&sslrootcert=" + pgtest.CAFile(), "not valid for the name other.docsgpt.test"},
		{"verify-ca with another name", "other.docsgpt.test", "&sslmode=verify-ca&sslrootcert=" + pgtest.CAFile(), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFeed(t, options(t, strings.Replace(at, "%", c.host, 1)+c.options))
			f.LeadTo(pgtest.Host())
			set, err := f.Load(t.Context())
			if c.trouble == "" && (err != nil || len(set) != 1) || c.trouble != "" && (err == nil || !strings.Contains(err.Error(), c.trouble)) {
				t.Errorf("Load: %d keys, %v", len(set), err)
			}
			if got := f.Connection(); got.Transport != docsgptkeys.Verified || got.Hosts[0] != strings.Split(c.host, ",")[0] {
				t.Errorf("Connection: %+v", got)
			}
		})
	}
}

// Only addresses that are certainly this machine need no TLS; all other names do, regardless of what they resolve to.
func TestHostsRequiringTLS(t *testing.T) {
	for host, local := range map[string]bool{
		"127.0.0.1": true, "127.8.9.10": true, "[::1]": true, "[::ffff:127.0.0.1]": true, "localhost": true, "LOCALHOST": true, "": true,
		"%2Frun%2Fpostgresql": true,
		"postgres":            false, "host.docker.internal": false, "db.localhost": false, "localhost.example.com": false, "127.1": false,
		"0.0.0.0": false, "10.0.0.5": false, "[fe80::1]": false, "172.17.0.1": false, "127.0.0.1,postgres": false, "postgres,localhost": false,
	} {
		for mode, good := range map[string]bool{"disable": local, "prefer": true, "require": true} {
			f, err := pgfeed.New(dbfeed.Options{URI: keys.NewSecret("postgres://u:p@" + host + "/db?sslmode=" + mode)})
			if (err == nil) != good {
				t.Errorf("%q with %s: %v", host, mode, err)
				continue
			}
			if err != nil {
				for _, want := range []string{docsgptkeys.AllowPlaintext, "sslmode=disable"} {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%q: the error does not name %s: %v", host, want, err)
					}
				}
				continue
			}
			want := map[string]docsgptkeys.Transport{"prefer": docsgptkeys.Verified, "require": docsgptkeys.Unverified}[mode]
			if local {
				want = docsgptkeys.Local
			}
			if got := f.Connection().Transport; got != want {
				t.Errorf("%q with %s: Connection: %s, want %s", host, mode, got, want)
			}
		}
	}
}
