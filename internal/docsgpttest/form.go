package docsgpttest

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
)

// form is a form as parsed by Werkzeug: the first of several fields with the same name is used, and a malformed form is empty.
type form struct {
	values url.Values
	files  []file
}

type file struct {
	name, contentType string
	data              []byte
}

func (r *request) form() form {
	f := form{values: url.Values{}}
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "multipart/form-data" {
		return f
	}
	reader := multipart.NewReader(bytes.NewReader(r.body), params["boundary"])
	for {
		part, err := reader.NextRawPart()
		if err == io.EOF { //nolint:errorlint // a wrapped EOF means a truncated form
			return f
		}
		if err != nil {
			return form{values: url.Values{}}
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return form{values: url.Values{}}
		}
		_, params, _ := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
		if _, isFile := params["filename"]; !isFile {
			f.values.Add(part.FormName(), string(data))
		} else if part.FormName() == "file" {
			f.files = append(f.files, file{part.FileName(), part.Header.Get("Content-Type"), data})
		}
	}
}

// formCaller returns the user of an upload: the account of the token, or the owner of the agent whose key is in the form or the
// query. If the credential is invalid, it writes the error response and returns false. keyed: the caller used an agent key, so
// tasks have no owner.
func (b *Backend) formCaller(w http.ResponseWriter, r *request, f form) (user string, keyed, ok bool) {
	c, ok := b.bearer(w, r)
	if !ok {
		return "", false, false
	}
	if c.token || b.opts.Open {
		return owner, false, true
	}
	key := f.values.Get("api_key")
	if key == "" {
		key = r.URL.Query().Get("api_key")
	}
	if key == "" {
		return "", false, true
	}
	if _, known := b.agent(key); !known {
		writeJSON(w, http.StatusUnauthorized, fields{"success": false, "message": "Invalid API key"})
		return "", false, false
	}
	return owner, true, true
}

// owner is the only account.
const owner = "demo-owner"

// rejectAnonymous writes the error response for a caller without a user, and reports whether it did.
func rejectAnonymous(w http.ResponseWriter, user string) bool {
	if user != "" {
		return false
	}
	writeJSON(w, http.StatusUnauthorized, fields{"success": false, "message": "Authentication required"})
	return true
}
