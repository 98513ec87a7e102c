// Package mongotest runs a real server of MongoDB's protocol for the tests of a package: one for each test binary, on
// loopback, with its data in a temporary folder that goes away with it.
//
//	func TestMain(m *testing.M) { os.Exit(mongotest.Main(m)) }
//
// The server is FerretDB with SQLite. It asks nobody for a password, and it has neither change streams nor reading at one
// moment. It is built by the go command, from the module in the folder ferret, into .cache at the top of the repository:
// that takes some minutes at first and about a second later.
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

// startTime is how long the server may take until it answers, or to end.
const startTime = time.Minute

// server is the one that Main has started.
var server struct {
	host   string // with the port
	client *mongo.Client
	next   atomic.Int64
}

// Main starts a server, runs the tests, stops the server, and returns the code to exit with.
func Main(m *testing.M) int {
	stop, err := start()
	if err != nil {
		fmt.Fprintf(os.Stderr, "a MongoDB for the tests: %v\n", err)
		return 1
	}
	defer stop()
	return m.Run()
}

// Host returns the server's address, a host and a port on loopback.
func Host() string { return server.host }

// URI returns the address of a database of the server.
func URI(database string) string { return "mongodb://" + server.host + "/" + database }

// Database returns the name of a database that is not there yet, for one test.
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

// Insert puts documents into a collection.
func Insert(t testing.TB, database, collection string, documents ...any) {
	t.Helper()
	Run(t, database, bson.D{{Key: "insert", Value: collection}, {Key: "documents", Value: documents}})
}

// Update makes a change, such as {"$set": ...}, in the documents that a filter finds.
func Update(t testing.TB, database, collection string, filter, change any) {
	t.Helper()
	Run(t, database, bson.D{{Key: "update", Value: collection}, {Key: "updates", Value: bson.A{
		bson.D{{Key: "q", Value: filter}, {Key: "u", Value: change}, {Key: "multi", Value: true}},
	}}})
}

// Delete removes the documents that a filter finds.
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
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	remove := func() { _ = os.RemoveAll(folder) }
	defer func() {
		if err != nil {
			remove()
		}
	}()
	var log bytes.Buffer
	//nolint:gosec,noctx // build made the program, and halt ends it
	cmd := exec.Command(program, folder)
	cmd.Stderr = &log
	alive, err := cmd.StdinPipe() // the server ends with it, and so with this process, however that ends
	if err != nil {
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the server: %w", err)
	}
	halt := func() {
		_ = alive.Close()
		late := time.AfterFunc(startTime, func() { _ = cmd.Process.Kill() })
		defer late.Stop()
		_ = cmd.Wait()
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		halt()
		return nil, fmt.Errorf("the server ended at once: %w\n%s", err, log.String())
	}
	server.host = strings.Trim(strings.TrimPrefix(strings.TrimSpace(line), "mongodb:"), "/")
	if err := meet(); err != nil {
		halt()
		return nil, fmt.Errorf("the server does not answer: %w\n%s", err, log.String())
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), startTime)
		defer cancel()
		_ = server.client.Disconnect(ctx)
		halt()
		remove()
	}, nil
}

func meet() error {
	client, err := mongo.Connect(options.Client().ApplyURI("mongodb://" + server.host).SetServerSelectionTimeout(startTime))
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	server.client = client
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	return client.Ping(ctx, nil)
}

// build makes the server's program. Test binaries that do so at the same time do not disturb each other.
func build() (program string, err error) {
	top, err := topFolder()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(top, ".cache", "mongotest")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", fmt.Errorf("making a folder: %w", err)
	}
	temp, err := os.MkdirTemp(folder, "build-")
	if err != nil {
		return "", fmt.Errorf("making a folder: %w", err)
	}
	defer os.RemoveAll(temp)
	name := "server" + suffix()
	//nolint:gosec,noctx // its folders are those of the repository, and it ends by itself
	cmd := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(temp, name), ".")
	cmd.Dir = filepath.Join(top, "internal", "mongotest", "ferret")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building it: %w\n%s", err, out)
	}
	program = filepath.Join(folder, name)
	if err := os.Rename(filepath.Join(temp, name), program); err != nil {
		return "", fmt.Errorf("putting it in its place: %w", err)
	}
	return program, nil
}

func suffix() string {
	if os.PathSeparator == '\\' {
		return ".exe"
	}
	return ""
}

// topFolder is the repository's: tests run in the folder of their package.
func topFolder() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("looking where this is: %w", err)
	}
	for {
		data, err := os.ReadFile(filepath.Join(folder, "go.mod"))
		if err == nil && bytes.HasPrefix(data, []byte("module github.com/docsgate/docsgate\n")) {
			return folder, nil
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return "", errors.New("the tests do not run in docsgate's repository")
		}
		folder = parent
	}
}
