package docsgpt

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxSwaggerSize is how much of an answer [Detect] wants to see: far more than DocsGPT's description of itself, which
// has 135 kB in 1.1.
const MaxSwaggerSize = 4 << 20

// descriptionTitle is what DocsGPT calls itself there.
const descriptionTitle = "DocsGPT API"

// Detection is what [Detect] found out.
type Detection struct {
	Version   *Version
	Ambiguous []string // names of newer versions that cannot be told from it
	From      string   // what it was found out from, for the log
}

// Getter asks the upstream for a path, with GET and without any credential. body is at most [MaxSwaggerSize] bytes.
type Getter func(path string) (status int, body []byte, err error)

var (
	errNotDocsGPT = errors.New("this does not look like a DocsGPT that has keys (0.8.1 or newer)")
	errHidden     = errors.New("it does not show its /swagger.json")
)

// Detect finds out which version a DocsGPT is, from what anybody may read of it: since 0.11 its /swagger.json lists its
// paths; before, a path that takes only POST answers a GET with 405. A version that is newer than the newest known one
// is taken for that. The error is the getter's, or says that this is no DocsGPT.
func Detect(get Getter) (Detection, error) {
	status, body, err := get("/swagger.json")
	if err != nil {
		return Detection{}, err
	}
	if status == http.StatusOK {
		if paths, ok := readDescription(body); ok {
			return matchDescription(paths)
		}
	}
	// A server that answers everything in one way tells nothing.
	if status, _, err = get("/api/health"); err != nil {
		return Detection{}, err
	} else if status == http.StatusOK {
		return Detection{}, errors.Join(errNotDocsGPT, errHidden)
	}
	return probe(get)
}

// matchDescription finds the version by the paths of its description.
func matchDescription(paths map[string]bool) (Detection, error) {
	for i := len(versions) - 1; i >= 0; i-- {
		m := versions[i].Mark
		if m.Has == "" || !paths[m.Has] || m.AbsentPath != "" && paths[m.AbsentPath] {
			continue
		}
		from := fmt.Sprintf("/swagger.json, which has %d paths, %s among them", len(paths), m.Has)
		if m.AbsentPath != "" {
			from += " and not " + m.AbsentPath
		}
		return foundAt(i, from), nil
	}
	return Detection{}, errNotDocsGPT
}

// probe finds a version that has no description.
func probe(get Getter) (Detection, error) {
	for i := len(versions) - 1; i >= 0; i-- {
		post := versions[i].Mark.Post
		if post == "" {
			continue
		}
		status, _, err := get(post)
		if err != nil {
			return Detection{}, err
		}
		if status != http.StatusMethodNotAllowed {
			continue
		}
		if status, _, err = get("/api/docsgate-asks-for-nothing"); err != nil {
			return Detection{}, err
		} else if status == http.StatusNotFound {
			return foundAt(i, "a "+post+" that takes only POST, and no /swagger.json"), nil
		}
		break
	}
	return Detection{}, errNotDocsGPT
}

// foundAt adds the versions that follow without a mark of their own.
func foundAt(i int, from string) Detection {
	f := Detection{Version: &versions[i], From: from}
	for i++; i < len(versions) && versions[i].Mark == (Fingerprint{}); i++ {
		f.Ambiguous = append(f.Ambiguous, versions[i].Name)
	}
	return f
}

// String names the version, and those that it cannot be told from: "0.19 (or 0.20)".
func (f Detection) String() string {
	if len(f.Ambiguous) == 0 {
		return f.Version.Name
	}
	return f.Version.Name + " (or " + strings.Join(f.Ambiguous, ", ") + ")"
}

// readDescription returns the paths of a description; ok is false for anything that is not DocsGPT's.
func readDescription(body []byte) (paths map[string]bool, ok bool) {
	d := jsontext.NewDecoder(bytes.NewReader(body))
	if d.PeekKind() != '{' {
		return nil, false
	}
	paths = map[string]bool{}
	title := ""
	err := forEachField(d, func(name string) error {
		switch {
		case name == "paths" && d.PeekKind() == '{':
			return forEachField(d, func(path string) error {
				paths[path] = true
				return d.SkipValue()
			})
		case name == "info" && d.PeekKind() == '{':
			return forEachField(d, func(name string) error {
				value, err := d.ReadValue()
				if name == "title" && err == nil {
					title, _ = textOf(value)
				}
				return err
			})
		}
		return d.SkipValue()
	})
	return paths, err == nil && title == descriptionTitle
}
