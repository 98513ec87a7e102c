// Package pgtest runs a real PostgreSQL server for the tests of a package: one per test binary, on loopback, with its data in a
// temporary folder that is removed at the end.
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
//
// Only members of the role WithPassword need a password.
//
// It needs the programs initdb, postgres and, for Standby, pg_basebackup, and the extension citext. Debian's package postgresql
// contains them. Without them the tests fail with an error that says so.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// WithPassword is the role whose members need a password.
const WithPassword = "with_password"

// startTime is the timeout for the start of the server.
const startTime = time.Minute

// server is the server that Main has started.
var server struct {
	host string // with the port
	next atomic.Int64

	postgres, folder string // the program, and the parent of the data folder
	account          account
}

// Main starts a server, runs the tests, stops the server, and returns the exit code.
func Main(m *testing.M) int {
	stop, err := start()
	if err != nil {
		fmt.Fprintf(os.Stderr, "starting PostgreSQL for the tests: %v\n", err)
		return 1
	}
	defer stop()
	return m.Run()
}

// Host returns the server's address, a host and a port on loopback.
func Host() string { return server.host }

// URI returns the address of a database of the server for a user, without a password. The user "postgres" is the superuser.
func URI(user, database string) string {
	return "postgres://" + user + "@" + server.host + "/" + database + "?sslmode=disable"
}

// Database creates an empty database for one test and returns its name. It exists until the server stops.
func Database(t testing.TB) string {
	t.Helper()
	name := "test_" + strconv.FormatInt(server.next.Add(1), 10)
	Exec(t, "postgres", "CREATE DATABASE "+name)
	return name
}

// Exec runs statements in a database as superuser.
func Exec(t testing.TB, database, sql string) {
	t.Helper()
	if err := Try(t, URI("postgres", database), sql); err != nil {
		t.Fatalf("running SQL for a test: %v", err)
	}
}

// Try runs statements over a new connection, and returns the error of the server.
func Try(t testing.TB, uri, sql string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	conn, err := pgx.Connect(ctx, uri)
	if err != nil {
		t.Fatalf("connecting to the tests' PostgreSQL: %v", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, sql)
	return err
}

// start creates a data folder and starts a server.
func start() (stop func(), err error) {
	initdb, postgres, err := programs(debianPrograms)
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "docsgate-pg-")
	if err != nil {
		return nil, fmt.Errorf("creating a folder: %w", err)
	}
	remove := func() { _ = os.RemoveAll(folder) }
	defer func() {
		if err != nil {
			remove()
		}
	}()
	account, err := unprivileged(folder)
	if err != nil {
		return nil, err
	}
	server.postgres, server.folder, server.account = postgres, folder, account
	data := filepath.Join(folder, "data")
	if err := create(initdb, data); err != nil {
		return nil, err
	}
	if err := tlsFiles(folder); err != nil {
		return nil, err
	}
	host, halt, err := run(data, "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
	if err != nil {
		return nil, err
	}
	server.host = host
	if err := query(host, "CREATE ROLE "+WithPassword); err != nil {
		halt()
		return nil, fmt.Errorf("creating a role: %w", err)
	}
	return func() { halt(); remove() }, nil
}

// create creates a data folder.
func create(initdb, data string) error {
	//nolint:gosec,noctx // the program was found by its name, and ends on its own
	cmd := exec.Command(initdb, "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync")
	cmd.Dir = filepath.Dir(data)
	server.account.apply(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	rules := "host all +" + WithPassword + " 127.0.0.1/32 scram-sha-256\nhost all,replication all 127.0.0.1/32 trust\n"
	if err := os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte(rules), 0o600); err != nil {
		return fmt.Errorf("writing pg_hba.conf: %w", err)
	}
	return nil
}

// query runs a statement on a server as superuser.
func query(host, sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, "postgres://postgres@"+host+"/postgres?sslmode=disable")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, sql)
	return err
}

// debianPrograms matches the folders of PostgreSQL's programs on Debian, one for each version.
const debianPrograms = "/usr/lib/postgresql/*/bin"

// programs finds initdb and postgres: in the last folder that matches the pattern, else in PATH.
func programs(pattern string) (initdb, postgres string, err error) {
	folders, err := filepath.Glob(pattern) // sorted
	if err != nil {
		return "", "", fmt.Errorf("looking for PostgreSQL: %w", err)
	}
	slices.Reverse(folders)
	for _, folder := range append(folders, "") {
		initdb, err1 := exec.LookPath(filepath.Join(folder, "initdb"))
		postgres, err2 := exec.LookPath(filepath.Join(folder, "postgres"))
		if err1 == nil && err2 == nil {
			return initdb, postgres, nil
		}
	}
	return "", "", errors.New("the programs initdb and postgres are missing: install PostgreSQL (Debian: apt-get install postgresql)")
}
