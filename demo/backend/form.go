package backend

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
)

// form is a form as Werkzeug reads it: of a repeated field the first counts, and what it cannot read is empty.
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
		if err == io.EOF { //nolint:errorlint // wrapped it stands for a form without an end
			return f
		}
		if err != nil {
			return form{values: url.Values{}}
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return form{values: url.Values{}}
		}
		_, has, _ := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
		if _, isFile := has["filename"]; !isFile {
			f.values.Add(part.FormName(), string(data))
		} else if part.FormName() == "file" {
			f.files = append(f.files, file{part.FileName(), part.Header.Get("Content-Type"), data})
		}
	}
}

// formCaller is who stands behind an upload: an account by its token, or an agent's owner by a key in the form or the
// query. A bad credential is answered here. keyed: there is no account, so nobody owns the tasks.
func (b *Backend) formCaller(w http.ResponseWriter, r *request, f form) (user string, keyed, ok bool) {
	who, ok := b.bearer(w, r)
	if !ok {
		return "", false, false
	}
	if who.token || b.opts.Open {
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

// owner is the one account that owns everything here.
const owner = "demo-owner"

// refuseAnonymous answers a caller whom nobody knows.
func refuseAnonymous(w http.ResponseWriter, user string) bool {
	if user != "" {
		return false
	}
	writeJSON(w, http.StatusUnauthorized, fields{"success": false, "message": "Authentication required"})
	return true
}
