package docsgpt

import (
	"bytes"
	"errors"

	"github.com/go-json-experiment/json/jsontext"
)

// Source is a source of documents in DocsGPT's list of an account's sources.
type Source struct{ ID, Name string }

// SourcesPath returns the path at which DocsGPT lists an account's sources, with GET. It is empty if the version's source
// IDs are paths, which are not in its list.
func (v *Version) SourcesPath() string {
	if v.SourceID == SourcePath {
		return ""
	}
	return "/api/sources"
}

var errNoSources = errors.New("the response is not a list of sources")

// ReadSources parses DocsGPT's response at SourcesPath. Entries without an ID, such as the built-in source, are skipped.
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
