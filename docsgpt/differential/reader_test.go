package differential

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// reader is the Python process that all tests of one test binary use.
type reader struct {
	mu     sync.Mutex
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr bytes.Buffer
}

// howToGetPython is the error message if Python is not available.
const howToGetPython = "the differential tests need a Python with Flask: run `make test`, or scripts/provision.sh, " +
	"which makes .cache/venv from scripts/python-requirements.txt, or name one in DOCSGATE_PYTHON"

// started reports whether a test has started the process.
var started atomic.Bool

var start = sync.OnceValues(func() (*reader, error) {
	python := os.Getenv("DOCSGATE_PYTHON")
	if python == "" {
		python = filepath.Join("..", "..", ".cache", "venv", "bin", "python")
	}
	python, err := filepath.Abs(python)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(python); err != nil {
		return nil, fmt.Errorf("%s (%w)", howToGetPython, err)
	}
	r := &reader{cmd: exec.Command(python, "-B", filepath.Join("testdata", "reader.py"))}
	r.cmd.Stderr = &r.stderr
	if r.in, err = r.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	r.out = bufio.NewReaderSize(out, 64<<10)
	if err := r.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s (%w)", howToGetPython, err)
	}
	var hello struct{ Python, Flask, Werkzeug string }
	if err := r.answer(&hello); err != nil {
		r.stop()
		return nil, fmt.Errorf("%s (%s: %w)\n%s", howToGetPython, python, err, &r.stderr)
	}
	return r, nil
})

// TestMain stops the Python process, if a test has started one, by closing its input.
func TestMain(m *testing.M) {
	status := m.Run()
	if started.Load() {
		if r, err := start(); err == nil {
			r.stop()
		}
	}
	os.Exit(status)
}

func (r *reader) stop() {
	r.in.Close()
	_ = r.cmd.Wait() // the exit status adds nothing to the answers
}

// python returns the process, and starts it on the first call.
func python(t testing.TB) *reader {
	t.Helper()
	started.Store(true)
	r, err := start()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// ask sends one question and reads its answer.
func (r *reader) ask(t testing.TB, kind byte, question []byte, answer any) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, len(question)+5), uint32(len(question)+1))
	frame = append(append(frame, kind), question...)
	_, err := r.in.Write(frame)
	if err == nil {
		err = r.answer(answer)
	}
	if err != nil {
		r.stop()
		t.Fatalf("the Python process failed on %q: %v\n%s", question, err, &r.stderr)
	}
}

func (r *reader) answer(into any) error {
	var header [4]byte
	if _, err := io.ReadFull(r.out, header[:]); err != nil {
		return fmt.Errorf("reading its answer: %w", err)
	}
	text := make([]byte, binary.BigEndian.Uint32(header[:]))
	if _, err := io.ReadFull(r.out, text); err != nil {
		return fmt.Errorf("reading its answer: %w", err)
	}
	return json.Unmarshal(text, into)
}

// text is what Flask passes to DocsGPT for one field.
type text struct {
	Kind  string   // Python's name of the type
	Text  string   // of a str
	Items []string // of a list
}

// history is how DocsGPT would read a history.
type history struct {
	Kind      string // Python's name of the field's type
	Pairs     string // as JSON in ASCII; "null": it cannot be read
	OnlyPairs bool   `json:"only_pairs"` // whether it contains nothing else
}

// view is how Python reads a body.
type view struct {
	// Flask's own reading. Names are JSON strings in ASCII.
	Error        string // name of the exception; empty when it read the body
	Kind         string // Python's name of the type
	Keys         []string
	APIKey       *text `json:"api_key"`
	ActiveDocs   *text `json:"active_docs"`
	Conversation *text `json:"conversation_id"`
	TextOnly     bool  `json:"messages_are_text"`
	History      *history

	// The same bytes read without losing duplicates, order or digits.
	StrictError string `json:"strict_error"`
	Names       []string
	Members     map[string]string
	Cut         map[string]string // the fields, without the parts of their values that the gate removes
}

func (r *reader) body(t testing.TB, body []byte) view {
	t.Helper()
	var v view
	r.ask(t, 'b', body, &v)
	return v
}

// place is the endpoint that Werkzeug routes a request to.
type place struct {
	Endpoint, Redirect string
	Status             int
}

func (r *reader) route(t testing.TB, method, target string) place {
	t.Helper()
	var p place
	r.ask(t, 'p', []byte(method+" "+target), &p)
	return p
}
