package docsgpt

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxSwaggerSize is the largest response body that [Detect] uses, in bytes. DocsGPT 1.1 has a description of 135 kB.
const MaxSwaggerSize = 4 << 20

// descriptionTitle is the title of DocsGPT's description of itself.
const descriptionTitle = "DocsGPT API"

// Detection is the result of [Detect].
type Detection struct {
	Version   *Version
	Ambiguous []string // names of newer versions that cannot be distinguished from it
	From      string   // the evidence, for the log
}

// Getter sends a GET request without a credential to a path of the upstream. body is at most [MaxSwaggerSize] bytes.
type Getter func(path string) (status int, body []byte, err error)

var (
	errNotDocsGPT = errors.New("the upstream does not look like DocsGPT 0.8.1 or newer")
	errHidden     = errors.New("its /swagger.json is not available")
)

// Detect determines the version of a DocsGPT from what it shows to anyone. Since 0.11, its /swagger.json lists its paths.
// Before, a path that accepts only POST answers a GET with 405. A version that is newer than all known ones is taken for
// the newest. The error is the getter's, or reports that the upstream is not DocsGPT.
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
	// A server that answers all paths alike reveals nothing.
	if status, _, err = get("/api/health"); err != nil {
		return Detection{}, err
	} else if status == http.StatusOK {
		return Detection{}, errors.Join(errNotDocsGPT, errHidden)
	}
	return probe(get)
}

// matchDescription determines the version by the paths of its description.
func matchDescription(paths map[string]bool) (Detection, error) {
	for i := len(versions) - 1; i >= 0; i-- {
		m := versions[i].Fingerprint
		if m.Has == "" || !paths[m.Has] || m.AbsentPath != "" && paths[m.AbsentPath] {
			continue
		}
		from := fmt.Sprintf("/swagger.json, which has %d paths, including %s", len(paths), m.Has)
		if m.AbsentPath != "" {
			from += " but not " + m.AbsentPath
		}
		return foundAt(i, from), nil
	}
	return Detection{}, errNotDocsGPT
}

// probe determines a version that has no description.
func probe(get Getter) (Detection, error) {
	for i := len(versions) - 1; i >= 0; i-- {
		post := versions[i].Fingerprint.Post
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
			return foundAt(i, "a "+post+" that accepts only POST, and no /swagger.json"), nil
		}
		break
	}
	return Detection{}, errNotDocsGPT
}

// foundAt adds the following versions that have no fingerprint of their own.
func foundAt(i int, from string) Detection {
	f := Detection{Version: &versions[i], From: from}
	for i++; i < len(versions) && versions[i].Fingerprint == (Fingerprint{}); i++ {
		f.Ambiguous = append(f.Ambiguous, versions[i].Name)
	}
	return f
}

// String returns the version and those that it cannot be distinguished from: "0.19 (or 0.20)".
func (f Detection) String() string {
	if len(f.Ambiguous) == 0 {
		return f.Version.Name
	}
	return f.Version.Name + " (or " + strings.Join(f.Ambiguous, ", ") + ")"
}

// readDescription returns the paths of a description. ok is false unless it is DocsGPT's.
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
