// Package mongotest runs a real server of MongoDB's protocol for the tests of a package: one per test binary, on loopback, with
// its data in a temporary folder that is removed at the end.
//
//	func TestMain(m *testing.M) { os.Exit(mongotest.Main(m)) }
//
// The server is FerretDB with SQLite. It requires no password, and supports neither change streams nor snapshot reads. The go
// command builds it from the module in the folder ferret into .cache in the root folder of the repository. The first build takes
// some minutes, later ones about a second.
package mongotest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// startTime is the timeout for the start and the end of the server.
const startTime = time.Minute

// server is the server that Main has started.
var server struct {
	host   string // with the port
	client *mongo.Client
	next   atomic.Int64
}

// Main starts a server, runs the tests, stops the server, and returns the exit code.
func Main(m *testing.M) int {
	stop, err := start()
	if err != nil {
		fmt.Fprintf(os.Stderr, "starting MongoDB for the tests: %v\n", err)
		return 1
	}
	defer stop()
	return m.Run()
}

// Host returns the server's address, a host and a port on loopback.
func Host() string { return server.host }

// URI returns the address of a database of the server.
func URI(database string) string { return "mongodb://" + server.host + "/" + database }

// Database returns the name of a new database for one test.
func Database(testing.TB) string { return "test_" + strconv.FormatInt(server.next.Add(1), 10) }

// Run runs a command in a database.
func Run(t testing.TB, database string, command bson.D) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	if err := server.client.Database(database).RunCommand(ctx, command).Err(); err != nil {
		t.Fatalf("running a command for a test: %v", err)
	}
}

// Insert inserts documents into a collection.
func Insert(t testing.TB, database, collection string, documents ...any) {
	t.Helper()
	Run(t, database, bson.D{{Key: "insert", Value: collection}, {Key: "documents", Value: documents}})
}

// Update applies a change, such as {"$set": ...}, to the documents that match a filter.
func Update(t testing.TB, database, collection string, filter, change any) {
	t.Helper()
	Run(t, database, bson.D{{Key: "update", Value: collection}, {Key: "updates", Value: bson.A{
		bson.D{{Key: "q", Value: filter}, {Key: "u", Value: change}, {Key: "multi", Value: true}},
	}}})
}

// Delete removes the documents that match a filter.
func Delete(t testing.TB, database, collection string, filter any) {
	t.Helper()
	Run(t, database, bson.D{{Key: "delete", Value: collection}, {Key: "deletes", Value: bson.A{
		bson.D{{Key: "q", Value: filter}, {Key: "limit", Value: 0}},
	}}})
}

func start() (stop func(), err error) {
	program, err := build()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "docsgate-mongo-")
	if err != nil {
		return nil, fmt.Errorf("creating a folder: %w", err)
	}
	remove := func() { _ = os.RemoveAll(folder) }
	defer func() {
		if err != nil {
			remove()
		}
	}()
	var log bytes.Buffer
	//nolint:gosec,noctx // build created the program, and halt ends it
	cmd := exec.Command(program, folder)
	cmd.Stderr = &log
	alive, err := cmd.StdinPipe() // the server ends with it, and so with this process, even if that is killed
	if err != nil {
		return nil, fmt.Errorf("creating a pipe: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("creating a pipe: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the server: %w", err)
	}
	halt := func() {
		_ = alive.Close()
		timeout := time.AfterFunc(startTime, func() { _ = cmd.Process.Kill() })
		defer timeout.Stop()
		_ = cmd.Wait()
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		halt()
		return nil, fmt.Errorf("the server ended immediately: %w\n%s", err, log.String())
	}
	server.host = strings.Trim(strings.TrimPrefix(strings.TrimSpace(line), "mongodb:"), "/")
	if err := waitReady(); err != nil {
		halt()
		return nil, fmt.Errorf("the server does not respond: %w\n%s", err, log.String())
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), startTime)
		defer cancel()
		_ = server.client.Disconnect(ctx)
		halt()
		remove()
	}, nil
}

func waitReady() error {
	client, err := mongo.Connect(options.Client().ApplyURI("mongodb://" + server.host).SetServerSelectionTimeout(startTime))
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	server.client = client
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	return client.Ping(ctx, nil)
}

// build builds the server. Concurrent builds of several test binaries are safe.
func build() (program string, err error) {
	top, err := topFolder()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(top, ".cache", "mongotest")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", fmt.Errorf("creating a folder: %w", err)
	}
	temp, err := os.MkdirTemp(folder, "build-")
	if err != nil {
		return "", fmt.Errorf("creating a folder: %w", err)
	}
	defer os.RemoveAll(temp)
	name := "server" + suffix()
	//nolint:gosec,noctx // its folders are in the repository, and it ends on its own
	cmd := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(temp, name), ".")
	cmd.Dir = filepath.Join(top, "internal", "mongotest", "ferret")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the server: %w\n%s", err, out)
	}
	program = filepath.Join(folder, name)
	if err := os.Rename(filepath.Join(temp, name), program); err != nil {
		return "", fmt.Errorf("renaming the server: %w", err)
	}
	return program, nil
}

func suffix() string {
	if os.PathSeparator == '\\' {
		return ".exe"
	}
	return ""
}

// topFolder returns the root folder of the repository. Tests run in the folder of their package.
func topFolder() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the working directory: %w", err)
	}
	for {
		data, err := os.ReadFile(filepath.Join(folder, "go.mod"))
		if err == nil && bytes.HasPrefix(data, []byte("module github.com/docsgate/docsgate\n")) {
			return folder, nil
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return "", errors.New("the working directory is not in docsgate's repository")
		}
		folder = parent
	}
}
