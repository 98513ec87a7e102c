package docsgpt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/docsgate/docsgate/internal/alloctest"
)

const edge = "----WebKitFormBoundary7MA4YWxkTrZu0gW"

// part is a part of a form. disposition follows "form-data; ".
func part(disposition, more, content string) string {
	return "--" + edge + "\r\nContent-Disposition: form-data; " + disposition + "\r\n" + more + "\r\n" + content + "\r\n"
}

func formOf(parts ...string) string { return strings.Join(parts, "") + "--" + edge + "--\r\n" }

var (
	aFile = part(`name="file"; filename="notes.txt"`, "Content-Type: text/plain\r\n", "content")
	aKey  = part(`name="api_key"`, "", "token")
)

// seen is the contents of a forwarded form, in order.
type seen []string

func readBack(t *testing.T, contentType string, body io.Reader) seen {
	t.Helper()
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		t.Fatal(err)
	}
	var all seen
	reader := multipart.NewReader(body, params["boundary"])
	for {
		p, err := reader.NextRawPart()
		if err == io.EOF { //nolint:errorlint // wrapped it stands for a form without an end
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		_, disposition, _ := mime.ParseMediaType(p.Header.Get("Content-Disposition"))
		line := p.FormName() + "=" + string(content)
		if name, ok := disposition["filename"]; ok {
			line = fmt.Sprintf("%s[%s %s]=%s", p.FormName(), name, p.Header.Get("Content-Type"), content)
		}
		all = append(all, line)
	}
}

// readForm reads a whole form.
func readForm(e *Endpoint, body io.Reader, out io.Writer) (*Form, error) {
	f := NewForm(e, edge, body, out)
	if err := f.ReadToFile(); err != nil {
		return nil, err
	}
	if err := f.ReadRest(); err != nil {
		return nil, err
	}
	return f, nil
}

// gateForm returns the form that the gate forwards, with the agent's key "agent".
func gateForm(t *testing.T, e *Endpoint, body io.Reader) (seen, *Form, error) {
	t.Helper()
	var out bytes.Buffer
	f, err := readForm(e, body, &out)
	if err != nil {
		return nil, nil, err
	}
	if err = f.Check(); err != nil {
		return nil, f, err
	}
	if err = f.Finish("agent"); err != nil {
		t.Fatal(err)
	}
	return readBack(t, f.ContentType(), &out), f, nil
}

func TestReadFormForwardsFieldsAndFiles(t *testing.T) {
	upload, live := endpoint(t, "", "store_attachment"), endpoint(t, "", "stt_live_chunk")
	const file = "file[notes.txt text/plain]=content"
	for name, c := range map[string]struct {
		e     *Endpoint
		body  string
		token string
		want  seen
	}{
		"key first":             {upload, formOf(aKey, aFile), "token", seen{file, "api_key=agent"}},
		"key last, as a widget": {upload, formOf(aFile, aKey), "token", seen{file, "api_key=agent"}},
		"no key":                {upload, formOf(aFile), "", seen{file, "api_key=agent"}},
		"empty key":             {upload, formOf(aFile, part(`name="api_key"`, "", "")), "", seen{file, "api_key=agent"}},
		"unknown fields are dropped": {
			upload, formOf(part(`name="agent_id"`, "", "x"), aFile, aKey, part(`name="API_KEY"`, "", "x")), "token",
			seen{file, "api_key=agent"},
		},
		"unknown files are dropped": {
			upload, formOf(part(`name="other"; filename="x"`, "", strings.Repeat("x", 200_000)), aFile, aKey), "token",
			seen{file, "api_key=agent"},
		},
		"several files": {upload, formOf(aFile, aKey, aFile), "token", seen{file, file, "api_key=agent"}},
		"allowed fields": {
			live, formOf(
				part(`name="session_id"`, "", "s"), part(`name="chunk_index"`, "", "0"), part(`name="other"`, "", "x"), aFile,
			), "",
			seen{file, "session_id=s", "chunk_index=0", "api_key=agent"},
		},
		"unquoted, filename* beside filename": {
			upload, formOf(part(`name=file; filename=notes.txt; filename*=utf-8''other.txt`, "Content-Type: text/plain\r\n", "content")),
			"",
			seen{file, "api_key=agent"},
		},
		"encodings that change nothing": {
			upload, formOf(part(`name="file"; filename="notes.txt"`,
				"Content-Type: text/plain; charset=x\r\nContent-Transfer-Encoding: binary\r\n", "content")), "",
			seen{file, "api_key=agent"},
		},
		"text with a charset": {
			upload, formOf(aFile, part(`name="api_key"`, "Content-Type: text/plain; charset=UTF-8\r\n", "töken")), "töken",
			seen{file, "api_key=agent"},
		},
		"headers in any case": {
			upload, formOf("--" + edge + "\r\ncontent-disposition: FORM-DATA; NAME=\"file\"; FileName=\"notes.txt\"\r\n" +
				"content-type: Text/Plain\r\n\r\ncontent\r\n"), "", seen{file, "api_key=agent"},
		},
		"an empty line before": {upload, "\r\n" + formOf(aFile, aKey), "token", seen{file, "api_key=agent"}},
		"another boundary in a file": {
			upload, formOf(part(`name="file"; filename="a"`, "", "x\n--"+edge+"\ny\r\n--other--\r\n"), aKey),
			"token",
			seen{"file[a application/octet-stream]=x\n--" + edge + "\ny\r\n--other--\r\n", "api_key=agent"},
		},
		"an empty file": {
			upload, formOf(part(`name="file"; filename="a"`, "", "")), "",
			seen{"file[a application/octet-stream]=", "api_key=agent"},
		},
		"a path for a name": {
			upload, formOf(part(`name="file"; filename="C:\dir\a b.txt"`, "Content-Type: nonsense\r\n", "x"),
				part(`name="file"; filename="../../etc/passwd"`, "Content-Type: text/html; a=b\r\n", "x")), "",
			seen{"file[a b.txt application/octet-stream]=x", "file[passwd text/html]=x", "api_key=agent"},
		},
		"quotes in a name": {
			upload, formOf(part(`name="file"; filename="a%22b\"c.txt"`, "", "x")), "",
			seen{"file[a_b_c.txt application/octet-stream]=x", "api_key=agent"},
		},
		"a name in another script": {
			upload, formOf(part(`name="file"; filename="Übersicht 📎;name=x.pdf"`, "", "x")), "",
			seen{"file[Übersicht 📎;name=x.pdf application/octet-stream]=x", "api_key=agent"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for how, body := range map[string]io.Reader{
				"in one read": strings.NewReader(c.body), "byte by byte": iotest.OneByteReader(strings.NewReader(c.body)),
			} {
				got, f, err := gateForm(t, c.e, body)
				if err != nil {
					t.Fatalf("%s: %v", how, err)
				}
				if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
					t.Errorf("%s: got %q, want %q", how, got, c.want)
				}
				if token, has := f.Token(); token != c.token || has != strings.Contains(c.body, `name="api_key"`) {
					t.Errorf("%s: token %q (%v), want %q", how, token, has, c.token)
				}
			}
		})
	}
}

func TestReadFormRejectsAmbiguousForms(t *testing.T) {
	upload, live := endpoint(t, "", "store_attachment"), endpoint(t, "", "stt_live_chunk")
	raw := func(headers string) string { return formOf("--"+edge+"\r\n"+headers+"\r\ntoken\r\n", aFile) }
	long := strings.Repeat("x", maxFieldBytes/2)
	for name, c := range map[string]struct {
		e    *Endpoint
		body string
		want error
	}{
		"two keys":                      {upload, formOf(aKey, aFile, aKey), errFieldTwice},
		"two keys, one empty":           {upload, formOf(part(`name="api_key"`, "", ""), aFile, aKey), errFieldTwice},
		"a field twice":                 {live, formOf(part(`name="session_id"`, "", "a"), part(`name="session_id"`, "", "b"), aFile), errFieldTwice},
		"two names":                     {upload, formOf(part(`name="x"; name="api_key"`, "", "token"), aFile), errPart},
		"two filenames":                 {upload, formOf(part(`name="file"; filename="a"; filename="b"`, "", "")), errPart},
		"another disposition":           {upload, raw("Content-Disposition: attachment; name=\"api_key\"\r\n"), errPart},
		"no disposition":                {upload, raw("Content-Type: text/plain\r\n"), errPart},
		"two dispositions":              {upload, raw("Content-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; name=\"api_key\"\r\n"), errPart},
		"an encoded name":               {upload, formOf(part(`name*=utf-8''api%5Fkey`, "", "token"), aFile), errPart},
		"a name in pieces":              {upload, formOf(part(`name*0="api"; name*1="_key"`, "", "token"), aFile), errPart},
		"a name beside an encoded one":  {upload, formOf(part(`name="x"; name*=utf-8''api_key`, "", "token"), aFile), errPart},
		"an encoded filename alone":     {upload, formOf(part(`name="api_key"; filename*=utf-8''x`, "", "token"), aFile), errPart},
		"a key with a filename":         {upload, formOf(part(`name="api_key"; filename="x"`, "", "token"), aFile), errPart},
		"a key with an empty filename":  {upload, formOf(part(`name="api_key"; filename=""`, "", "token"), aFile), errPart},
		"a file without a filename":     {upload, formOf(part(`name="file"`, "", "content")), errPart},
		"no name":                       {upload, formOf(part(`filename="x"`, "", "content"), aFile), errPart},
		"an empty name":                 {upload, formOf(part(`name=""`, "", "content"), aFile), errPart},
		"an escaped name":               {upload, formOf(part(`name="api\_key"`, "", "token"), aFile), errPart},
		"a quote in a name":             {upload, formOf(part(`name="a\"b"`, "", "token"), aFile), errPart},
		"a name that does not end":      {upload, formOf(part(`name="api_key`, "", "token"), aFile), errPart},
		"text after a name":             {upload, formOf(part(`name="api_key"x`, "", "token"), aFile), errPart},
		"a semicolon at the end":        {upload, formOf(part(`name="api_key";`, "", "token"), aFile), errPart},
		"an unknown parameter":          {upload, formOf(part(`name="api_key"; x=y`, "", "token"), aFile), errPart},
		"base64":                        {upload, formOf(part(`name="api_key"`, "Content-Transfer-Encoding: base64\r\n", "dG9rZW4="), aFile), errPart},
		"quoted-printable":              {upload, formOf(part(`name="file"; filename="x"`, "Content-Transfer-Encoding: quoted-printable\r\n", "=41")), errPart},
		"two encodings":                 {upload, formOf(part(`name="api_key"`, "Content-Transfer-Encoding: 8bit\r\nContent-Transfer-Encoding: base64\r\n", "x"), aFile), errPart},
		"another charset":               {upload, formOf(part(`name="api_key"`, "Content-Type: text/plain; charset=utf-16\r\n", "token"), aFile), errPart},
		"iso-8859-1":                    {upload, formOf(part(`name="api_key"`, "Content-Type: text/plain; charset=iso-8859-1\r\n", "token"), aFile), errPart},
		"a field of another type":       {upload, formOf(part(`name="api_key"`, "Content-Type: application/json\r\n", "token"), aFile), errPart},
		"two types":                     {upload, formOf(part(`name="api_key"`, "Content-Type: text/plain\r\nContent-Type: text/plain\r\n", "x"), aFile), errPart},
		"a form in the form":            {upload, formOf(part(`name="file"; filename="x"`, "Content-Type: multipart/mixed; boundary=b\r\n", "--b--")), errPart},
		"a key that is no UTF-8":        {upload, formOf(part(`name="api_key"`, "", "t\xff"), aFile), errFieldText},
		"NUL in a field":                {upload, formOf(part(`name="api_key"`, "", "t\x00"), aFile), errFieldText},
		"a name that is no UTF-8":       {upload, formOf(part("name=\"api_key\xff\"", "", "token"), aFile), errPart},
		"a control character in a name": {upload, formOf(part("name=\"file\"; filename=\"a\x00b\"", "", "x")), errPart},
		"a file without a name":         {upload, formOf(part(`name="file"; filename=""`, "", "")), errFileName},
		"a file that is a folder":       {upload, formOf(part(`name="file"; filename="a/.."`, "", "")), errFileName},
		"a file with a long name":       {upload, formOf(part(`name="file"; filename="`+strings.Repeat("x", 256)+`"`, "", "")), errFileName},
		"two files where one may be":    {live, formOf(aFile, aFile), errFiles},
		"too many files":                {upload, formOf(strings.Repeat(aFile, maxFiles+1)), errFiles},
		"too many parts":                {upload, formOf(strings.Repeat(part(`name="x"`, "", "y"), maxParts+1)), errParts},
		"fields too large":              {upload, formOf(part(`name="a"`, "", long), part(`name="b"`, "", long+"x"), aFile), errFields},
		"a key too large":               {upload, formOf(part(`name="api_key"`, "", long+long+"x"), aFile), errFields},
		"headers too large":             {upload, formOf(part(`name="x"`, "X-Long: "+strings.Repeat("x", 20_000)+"\r\n", "y"), aFile), errForm},
		"text before the form":          {upload, "x\r\n" + formOf(aKey, aFile), errForm},
		"another line end":              {upload, strings.ReplaceAll(formOf(aKey, aFile), "\r\n", "\n"), errForm},
		"a blank after the boundary":    {upload, strings.Replace(formOf(aKey, aFile), edge, edge+" ", 1), errForm},
		"no end":                        {upload, strings.TrimSuffix(formOf(aFile, aKey), "--"+edge+"--\r\n"), errForm},
		"cut in a file":                 {upload, formOf(aKey, aFile)[:len(aKey)+len(aFile)-5], errForm},
		"a header without a colon":      {upload, raw("Content-Disposition\r\n"), errForm},
		"much after the form":           {upload, formOf(aKey, aFile) + strings.Repeat("x", 20_000), errForm},
		"text after the form":           {upload, formOf(aKey, aFile) + "x", errForm},
		"a line after the form":         {upload, formOf(aKey, aFile) + "\r\n", errForm},
		"another part after the form":   {upload, formOf(aFile) + aKey, errForm},
		"cut after a boundary":          {upload, formOf(aFile)[:len(aFile)] + "--" + edge + "\r\n", errForm},
		"a folded header":               {upload, raw("Content-Disposition: form-data;\r\n name=\"api_key\"\r\n"), errForm},
		"a blank before the colon":      {upload, raw("Content-Disposition : form-data; name=\"api_key\"\r\n"), errForm},
		"another line end in a header":  {upload, strings.Replace(formOf(aKey, aFile), "\"\r\n\r\n", "\"\n\r\n", 1), errForm},
		"a boundary in a part":          {upload, formOf(part(`name="file"; filename="a"`, "", "x\r\n--"+edge+"x"), aKey), errForm},
		"a part without an end of its headers": {
			upload, "--" + edge + "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n" + formOf(), errForm,
		},
		"text after the last boundary": {upload, formOf(aKey, aFile)[:len(aKey)+len(aFile)+len(edge)+4] + "x", errForm},
		"nothing":                      {upload, "", errForm},
		"no part":                      {upload, "--" + edge + "--\r\n", FormError(`the file is missing: send it in the field "file"`)},
		"another form":                 {upload, strings.ReplaceAll(formOf(aKey, aFile), edge, "other"), errForm},
		"no file":                      {upload, formOf(aKey), FormError(`the file is missing: send it in the field "file"`)},
		"a field is missing":           {live, formOf(aFile, part(`name="chunk_index"`, "", "0")), FormError(`the field "session_id" is missing`)},
		"a field is no number": {
			live, formOf(aFile, part(`name="session_id"`, "", "s"), part(`name="chunk_index"`, "", "-1")),
			FormError(`the field "chunk_index" must be a non-negative integer`),
		},
	} {
		t.Run(name, func(t *testing.T) {
			for how, body := range map[string]io.Reader{
				"in one read": strings.NewReader(c.body), "byte by byte": iotest.OneByteReader(strings.NewReader(c.body)),
			} {
				if got, _, err := gateForm(t, c.e, body); !errors.Is(err, c.want) {
					t.Errorf("%s: got %v and %q, want %v", how, err, got, c.want)
				}
			}
		})
	}
}

func TestFormBoundary(t *testing.T) {
	for value, want := range map[string]string{
		"multipart/form-data; boundary=abc":                        "abc",
		`Multipart/Form-Data; Boundary="a b'()+_,-./:=?"`:          "a b'()+_,-./:=?",
		"multipart/form-data; boundary=abc; charset=UTF-8":         "abc",
		"multipart/form-data":                                      "",
		"multipart/form-data; boundary=":                           "",
		`multipart/form-data; boundary="a b "`:                     "",
		`multipart/form-data; boundary="ä"`:                        "",
		`multipart/form-data; boundary="a*b"`:                      "",
		"multipart/form-data; boundary=" + strings.Repeat("x", 71): "",
		"multipart/form-data; boundary=a; boundary=b":              "",
		"multipart/form-data; boundary=a; boundary*=utf-8''b":      "",
		"multipart/form-data; boundary*0=a; boundary*1=b":          "",
		"multipart/form-data; boundary=a; charset=utf-16":          "",
		"multipart/form-data; boundary = a":                        "",
		`multipart/form-data; boundary="a\b"`:                      "",
		"multipart/form-data; boundary=a;":                         "",
		"multipart/form-data; boundary=a; x=y":                     "",
		"multipart/form-data; boundary=a, multipart/form-data":     "",
		"multipart/mixed; boundary=a":                              "",
		"application/x-www-form-urlencoded; boundary=a":            "",
		"": "",
	} {
		if got, ok := FormBoundary([]string{value}); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %v", value, got, ok)
		}
	}
	if _, ok := FormBoundary([]string{"multipart/form-data; boundary=a", "multipart/form-data; boundary=a"}); ok {
		t.Error("two headers are accepted")
	}
	if _, ok := FormBoundary(nil); ok {
		t.Error("no header is accepted")
	}
}

// If the token precedes the file, it is known before the file is read.
func TestReadToFileStopsBeforeFirstFile(t *testing.T) {
	upload := endpoint(t, "", "store_attachment")
	// The file does not end: reading it would fail.
	body := aKey + part(`name="file"; filename="a"`, "", "x")
	var out bytes.Buffer
	f := NewForm(upload, edge, strings.NewReader(body), &out)
	if err := f.ReadToFile(); err != nil {
		t.Fatal(err)
	}
	if token, ok := f.Token(); token != "token" || !ok {
		t.Errorf("the token is %q, %v", token, ok)
	}
	if out.Len() > 0 {
		t.Errorf("%q was written", &out)
	}
	if err := f.ReadRest(); err == nil {
		t.Error("a file without an end was read")
	}

	f = NewForm(upload, edge, strings.NewReader(formOf(aFile, aKey)), &out)
	if err := f.ReadToFile(); err != nil {
		t.Fatal(err)
	}
	if _, ok := f.Token(); ok {
		t.Error("a token after the file is known before it")
	}
	if err := f.ReadRest(); err != nil {
		t.Fatal(err)
	}
	if token, ok := f.Token(); token != "token" || !ok {
		t.Errorf("after the file, the token is %q, %v", token, ok)
	}
}

func TestReadFormWrapsReadAndWriteErrors(t *testing.T) {
	upload := endpoint(t, "", "store_attachment")
	failure := errors.New("failure")
	for name, begin := range map[string]string{"at the begin": "", "in a header": aKey + "--", "in a file": aKey + aFile[:len(aFile)-4]} {
		body := io.MultiReader(strings.NewReader(begin), iotest.ErrReader(failure))
		if _, err := readForm(upload, body, io.Discard); !errors.Is(err, failure) {
			t.Errorf("reading fails %s: got %v", name, err)
		}
	}
	big := formOf(part(`name="file"; filename="a"`, "", strings.Repeat("x", 100_000)))
	if _, err := readForm(upload, strings.NewReader(big), failingWriter{failure}); !errors.Is(err, failure) {
		t.Errorf("writing fails: got %v", err)
	}
	f, err := readForm(upload, strings.NewReader(formOf(aFile)), failingWriter{failure})
	if err != nil {
		t.Fatal(err)
	}
	if err = f.Finish("agent"); !errors.Is(err, failure) {
		t.Errorf("writing fails at the end: got %v", err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// generatedReader returns n generated bytes.
type generatedReader struct{ n int64 }

func (e *generatedReader) Read(p []byte) (int, error) {
	if e.n == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), e.n)]
	for i := range p {
		p[i] = byte(e.n) + byte(i)
	}
	e.n -= int64(len(p))
	return len(p), nil
}

// The memory for a form does not depend on the size of its files.
func TestReadFormConstantMemory(t *testing.T) {
	upload := endpoint(t, "", "store_attachment")
	const size = 100 << 20
	head, _, _ := strings.Cut(aFile, "content")
	const enough = 256 << 10
	allocated := alloctest.MinBytes(enough, func() {
		body := io.MultiReader(strings.NewReader(head), &generatedReader{size}, strings.NewReader("\r\n"+formOf(aKey)))
		var n counter
		f, err := readForm(upload, body, &n)
		if err == nil {
			err = f.Finish("agent")
		}
		if err != nil {
			t.Fatal(err)
		}
		if n < size || n > size+2000 {
			t.Errorf("%d bytes came out", n)
		}
	})
	t.Logf("%d MiB went through %d KiB of memory, garbage included", size>>20, allocated>>10)
	if allocated > enough {
		t.Errorf("%d bytes were allocated", allocated)
	}
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
