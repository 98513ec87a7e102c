package docsgpt

import (
	"bytes"
	"errors"

	"github.com/go-json-experiment/json/jsontext"
)

// Source is a source of documents, as DocsGPT lists it to its account.
type Source struct{ ID, Name string }

// SourcesPath is where DocsGPT lists an account's sources, with GET; empty where the version's source ids are paths,
// which no list of it has.
func (v *Version) SourcesPath() string {
	if v.SourceID == SourcePath {
		return ""
	}
	return "/api/sources"
}

var errNoSources = errors.New("the answer is no list of sources")

// ReadSources reads what DocsGPT answers at SourcesPath. Entries without an id, such as the built-in one, are left out.
func ReadSources(body []byte) ([]Source, error) {
	d := jsontext.NewDecoder(bytes.NewReader(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if d.PeekKind() != '[' {
		return nil, errNoSources
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, errNoSources
	}
	var all []Source
	for d.PeekKind() == '{' {
		var s Source
		err := forEachField(d, func(name string) error {
			value, err := d.ReadValue()
			switch name {
			case "id":
				s.ID, _ = textOf(value)
			case "name":
				s.Name, _ = textOf(value)
			}
			return err
		})
		if err != nil {
			return nil, errNoSources
		}
		if s.ID != "" {
			all = append(all, s)
		}
	}
	if d.PeekKind() != ']' {
		return nil, errNoSources
	}
	return all, nil
}
