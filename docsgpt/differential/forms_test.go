package differential

import (
	"bytes"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/docsgate/docsgate/docsgpt"
)

// formView is what Werkzeug sees in a form.
type formView struct {
	Status int
	Fields [][2]string // name, value
	Files  [][4]string // name, filename, type, content in hexadecimal digits
	Key    *string
}

func (r *reader) form(t testing.TB, contentType string, body []byte) formView {
	t.Helper()
	var v formView
	r.ask(t, 'f', append([]byte(contentType+"\n"), body...), &v)
	return v
}

// formEndpoints are the endpoints that take forms.
func formEndpoints(t testing.TB) []*docsgpt.Endpoint {
	t.Helper()
	version, err := docsgpt.FindVersion("")
	if err != nil {
		t.Fatal(err)
	}
	routes, err := docsgpt.NewRoutes(version, []docsgpt.Group{docsgpt.GroupAttachments, docsgpt.GroupSpeech}, nil)
	if err != nil {
		t.Fatal(err)
	}
	list := slices.DeleteFunc(routes.Endpoints(), func(e *docsgpt.Endpoint) bool { return e.Body != docsgpt.BodyForm })
	slices.SortFunc(list, func(a, b *docsgpt.Endpoint) int { return strings.Compare(a.Name, b.Name) })
	return list
}

const formAgent = "agent-key"

// checkForm passes a form through the gate's code and checks how Werkzeug reads the result. It returns the endpoints that
// accept the form.
func checkForm(t testing.TB, contentType string, client []byte) []string {
	t.Helper()
	if strings.Contains(contentType, "\n") {
		return nil // no header holds one
	}
	boundary, ok := docsgpt.FormBoundary([]string{contentType})
	if !ok {
		return nil
	}
	var through []string
	for _, e := range formEndpoints(t) {
		var out bytes.Buffer
		f := docsgpt.NewForm(e, boundary, bytes.NewReader(client), &out)
		if f.ReadToFile() != nil || f.ReadRest() != nil || f.Check() != nil {
			continue
		}
		if err := f.Finish(formAgent); err != nil {
			t.Fatal(err)
		}
		through = append(through, e.Name)
		checkForwarded(t, e, f, client, out.Bytes())
		checkMeant(t, e, f, contentType, boundary, client)
	}
	return through
}

// checkForwarded checks that Werkzeug reads the new form as expected, without anything that the endpoint does not list.
func checkForwarded(t testing.TB, e *docsgpt.Endpoint, f *docsgpt.Form, client, forwarded []byte) {
	t.Helper()
	got := python(t).form(t, f.ContentType(), forwarded)
	var want formView
	_, params, err := mime.ParseMediaType(f.ContentType())
	if err != nil {
		t.Fatal(err)
	}
	for parts := multipart.NewReader(bytes.NewReader(forwarded), params["boundary"]); ; {
		p, err := parts.NextRawPart()
		if err == io.EOF { //nolint:errorlint // wrapped it stands for a form without an end
			break
		}
		if err != nil {
			t.Fatalf("%q became %q: %v", client, forwarded, err)
		}
		content, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		_, disposition, err := mime.ParseMediaType(p.Header.Get("Content-Disposition"))
		if err != nil {
			t.Fatalf("%q became %q: %v", client, forwarded, err)
		}
		if filename, isFile := disposition["filename"]; isFile {
			want.Files = append(want.Files, [4]string{disposition["name"], filename, p.Header.Get("Content-Type"), hex.EncodeToString(content)})
		} else {
			want.Fields = append(want.Fields, [2]string{disposition["name"], string(content)})
		}
	}
	if got.Status != 0 || !slices.Equal(got.Fields, want.Fields) || !slices.Equal(got.Files, want.Files) {
		t.Errorf("%s: %q became %q, which Werkzeug reads as %+v, not as %+v", e.Name, client, forwarded, got, want)
	}
	if got.Key == nil || *got.Key != formAgent {
		t.Errorf("%s: %q became a form without the agent's key: %q", e.Name, client, forwarded)
	}
	names := map[string]int{}
	for _, field := range got.Fields {
		known := field[0] == "api_key" || slices.ContainsFunc(e.Fields, func(m docsgpt.Field) bool { return m.Name == field[0] })
		if names[field[0]]++; !known || names[field[0]] > 1 {
			t.Errorf("%s: %q became a form with the field %q that should not be there", e.Name, client, field[0])
		}
	}
	for _, file := range got.Files {
		if file[0] != "file" || file[1] == "" || strings.ContainsAny(file[1], `/\"`) || !utf8.ValidString(file[1]) {
			t.Errorf("%s: %q became a form with the file %q named %q", e.Name, client, file[0], file[1])
		}
	}
}

// checkMeant checks that Werkzeug finds the same token and fields in the client's form. A file that contains the client's
// boundary after a different line end is skipped: Werkzeug would end the file there, and DocsGPT gets it with another
// boundary.
func checkMeant(t testing.TB, e *docsgpt.Endpoint, f *docsgpt.Form, contentType, boundary string, client []byte) {
	t.Helper()
	all := bytes.Count(client, []byte("--"+boundary))
	if begins := bytes.HasPrefix(client, []byte("--"+boundary)); begins {
		all--
	}
	if all != bytes.Count(client, []byte("\r\n--"+boundary)) {
		return
	}
	original := python(t).form(t, contentType, client)
	if original.Status != 0 || len(original.Files) == 0 {
		t.Errorf("%s: the gate reads %q, Werkzeug does not: %+v", e.Name, client, original)
		return
	}
	var tokens []string
	for _, field := range original.Fields {
		if field[0] == "api_key" {
			tokens = append(tokens, field[1])
		}
	}
	token, has := f.Token()
	if has && !slices.Equal(tokens, []string{token}) || !has && len(tokens) > 0 {
		t.Errorf("%s: in %q the gate finds the token %q, Werkzeug %q", e.Name, client, token, tokens)
	}
	if session := f.Value(docsgpt.CheckSession); session != "" && !slices.Contains(original.Fields, [2]string{"session_id", session}) {
		t.Errorf("%s: in %q the gate finds the session %q, Werkzeug %q", e.Name, client, session, original.Fields)
	}
}

const clientEdge = "edge"

func clientPart(headers, content string) string {
	return "--" + clientEdge + "\r\n" + headers + "\r\n\r\n" + content + "\r\n"
}

func clientField(disposition, content string) string {
	return clientPart("Content-Disposition: form-data; "+disposition, content)
}

// formSeeds are parts that clients send, and parts that parsers of forms are known to read differently.
var formSeeds = []string{
	clientField(`name="api_key"`, "token"),
	clientField(`name="api_key"`, ""),
	clientField(`name="file"; filename="notes.txt"`, "content"),
	clientField("name=\"file\"; filename=\"notes.txt\"\r\nContent-Type: text/plain", "content"),
	clientField("name=file; filename=notes.txt; filename*=utf-8''n%C3%B6tes.txt", "content"),
	clientField(`name="session_id"`, "s"), clientField(`name="chunk_index"`, "0"), clientField(`name="language"`, "de"),
	clientField(`name="is_silence"`, "true"), clientField(`name="agent_id"`, "x"),

	// Names.
	clientField(`name="x"; name="api_key"`, "token"), clientPart(`Content-Disposition: attachment; name="api_key"`, "token"),
	clientField(`name*=utf-8''api%5Fkey`, "token"), clientField(`name*0="api"; name*1="_key"`, "token"),
	clientField(`name="api_key"; filename="x"`, "token"), clientField(`name="api_key"; filename=""`, "token"),
	clientField(`name="api_key"; filename*=utf-8''x`, "token"), clientField(`name="api\_key"`, "token"),
	clientField(`name="a\"; name=\"api_key"`, "token"), clientField(`name=api_key`, "token"), clientField(`NAME="api_key"`, "token"),
	clientField(`name="API_KEY"`, "token"), clientField(`name=" api_key"`, "token"), clientField(`name="api_key "`, "token"),
	clientField(`name="api%5Fkey"`, "token"), clientField(`name="api%22key"`, "token"), clientField(`name=`, "token"),
	clientField("name=\"api_key\xff\"", "token"), clientField(`name="apı_key"`, "token"), clientField(`name = "api_key"`, "token"),
	clientField(` name="api_key" ; `, "token"), clientField(`name="api_key"x`, "token"), clientField(`name='api_key'`, "token"),
	clientField("name=\"x\"\r\nContent-Disposition: form-data; name=\"api_key\"", "token"),
	clientField("name=\"api\r\n _key\"", "token"), clientField("name=\r\n\t\"api_key\"", "token"),
	"--" + clientEdge + "\r\nContent-Disposition : form-data; name=\"api_key\"\r\n\r\ntoken\r\n",
	"--" + clientEdge + "\r\n\r\nContent-Disposition: form-data; name=\"api_key\"\r\n\r\ntoken\r\n",
	"--" + clientEdge + "\nContent-Disposition: form-data; name=\"api_key\"\n\ntoken\n",
	"--" + clientEdge + " \t\r\nContent-Disposition: form-data; name=\"api_key\"\r\n\r\ntoken\r\n",

	// Encodings.
	clientField("name=\"api_key\"\r\nContent-Type: text/plain; charset=utf-16", "t\x00o\x00"),
	clientField("name=\"api_key\"\r\nContent-Type: text/plain; charset=iso-8859-1", "t\xf6ken"),
	clientField("name=\"api_key\"\r\nContent-Type: text/plain; charset=\"utf-8\"", "töken"),
	clientField("name=\"api_key\"\r\nContent-Type: application/json", `"token"`),
	clientField("name=\"api_key\"\r\nContent-Transfer-Encoding: base64", "dG9rZW4="),
	clientField("name=\"file\"; filename=\"a\"\r\nContent-Transfer-Encoding: quoted-printable", "=41=\r\n"),
	clientField("name=\"file\"; filename=\"a\"\r\nContent-Transfer-Encoding: binary", "\x00\xff"),
	clientField("name=\"file\"; filename=\"a\"\r\nContent-Type: multipart/mixed; boundary=x", "--x\r\n\r\ny\r\n--x--"),
	clientField(`name="api_key"`, "t\xff"), clientField(`name="api_key"`, "\r\ntoken\r\n"), clientField(`name="api_key"`, "\rtoken\n"),

	// Files.
	clientField(`name="file"; filename="../../etc/passwd"`, "x"), clientField(`name="file"; filename="C:\dir\a.txt"`, "x"),
	clientField(`name="file"; filename="a%22b\"c\\d.txt"`, "x"), clientField(`name="file"; filename="a;b=c.txt"`, "x"),
	clientField(`name="file"; filename="Übersicht 📎.pdf"`, "x"), clientField(`name="file"; filename=" a "`, "x"),
	clientField("name=\"file\"; filename=\"a\u2028b\u202ec\"", "x"), clientField(`name="file"; filename="%0D%0Ax.txt"`, "x"),
	clientField(`name="file"; filename="a*b=?c'd"`, "x"), clientField("name=\"file\"; filename=\"a\u0085b\"", "x"),
	clientField(`name="file"; filename="a"`, "\r\n--\r\n--edg\r\n--other--\r\n"), clientField(`name="file"; filename="a"`, "\n--edge\nx"),
	clientField("name=\"file\"; filename=\"a\"\r\nContent-Type: text/plain; x=\"y\"", "\r"),
	clientField("name=\"file\"; filename=\"a\"\r\nContent-Type: TEXT/x-é", "\n"),
	clientField("name=\"file\"; filename=\"a\"\r\nContent-Length: 3", "longer than that"),
}

const plainForm = "multipart/form-data; boundary=" + clientEdge

func wholeForm(parts ...string) []byte {
	return []byte(strings.Join(parts, "") + "--" + clientEdge + "--\r\n")
}

func FuzzForms(f *testing.F) {
	for _, seed := range formSeeds {
		f.Add(plainForm, wholeForm(seed, formSeeds[2], formSeeds[5], formSeeds[6]))
		f.Add(plainForm, wholeForm(formSeeds[2], seed))
	}
	for _, contentType := range []string{
		`multipart/form-data; boundary="edge"`, "multipart/form-data; boundary=edge; boundary=x", "multipart/form-data;boundary=edge;charset=utf-8",
		"multipart/form-data; boundary*=utf-8''edge", "multipart/form-data; boundary=x; boundary*0=edge", "Multipart/Form-Data ;Boundary = edge",
		`multipart/form-data; boundary="ed\ge"`, "multipart/form-data, multipart/form-data; boundary=edge", `multipart/form-data; boundary="edge`,
	} {
		f.Add(contentType, wholeForm(formSeeds[0], formSeeds[2]))
	}
	f.Fuzz(func(t *testing.T, contentType string, client []byte) { checkForm(t, contentType, client) })
}

// The seeds are useful only if some are accepted and some are rejected.
func TestFormSeedsCoverEveryEndpoint(t *testing.T) {
	through, rejected := map[string]int{}, 0
	for _, seed := range formSeeds {
		names := checkForm(t, plainForm, wholeForm(seed, formSeeds[2]))
		names = append(names, checkForm(t, plainForm, wholeForm(seed, clientField(`name="file"; filename="b"`, "x"), formSeeds[5], formSeeds[6]))...)
		names = append(names, checkForm(t, plainForm, wholeForm(seed, formSeeds[5], formSeeds[6]))...)
		for _, name := range names {
			through[name]++
		}
		if len(names) == 0 {
			rejected++
		}
	}
	for _, e := range formEndpoints(t) {
		if through[e.Name] < 5 {
			t.Errorf("%d seeds get through %s", through[e.Name], e.Name)
		}
	}
	if rejected < len(formSeeds)/4 {
		t.Errorf("%d of %d seeds are rejected everywhere", rejected, len(formSeeds))
	}
	t.Logf("of %d seeds %d are rejected everywhere; accepted: %v", len(formSeeds), rejected, through)
}

// Forms that are composed of the seeds' parts, intact and damaged.
func TestGeneratedFormsAgainstWerkzeug(t *testing.T) {
	g := rand.New(rand.NewPCG(3, 3))
	through := 0
	for range 1500 {
		var parts []string
		for range 1 + g.IntN(4) {
			parts = append(parts, formSeeds[g.IntN(len(formSeeds))])
		}
		if g.IntN(3) > 0 {
			parts = append(parts, formSeeds[2])
		}
		if g.IntN(3) == 0 {
			big := make([]byte, g.IntN(200_000))
			for i := range big {
				big[i] = "\r\n-edgx\x00"[g.IntN(8)]
			}
			parts = append(parts, clientField(`name="file"; filename="big`+strconv.Itoa(len(big))+`"`, string(big)))
		}
		g.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		client := wholeForm(parts...)
		if g.IntN(3) == 0 {
			at := g.IntN(len(client))
			client = slices.Concat(client[:at], []byte([]string{"", "\r", "\n", `"`, ";", "\\", "--edge", "\r\n", "\x00", "*"}[g.IntN(10)]), client[at:])
		}
		if len(checkForm(t, plainForm, client)) > 0 {
			through++
		}
	}
	t.Logf("%d of 1500 forms get through", through)
	if through < 100 || through > 1400 {
		t.Errorf("%d of 1500 forms get through: the test says too little", through)
	}
}
