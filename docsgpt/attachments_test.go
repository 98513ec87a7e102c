package docsgpt

import (
	"slices"
	"strings"
	"testing"
)

// createdIDs records the IDs, and rewrites them to "signed " and the ID, except "same".
type createdIDs struct{ tasks, attachments, sessions []string }

func (c *createdIDs) AppendCreatedID(dst []byte, kind CreatedKind, id string) ([]byte, bool) {
	if id == "same" {
		return dst, false
	}
	to := map[CreatedKind]*[]string{CreatedTask: &c.tasks, CreatedAttachment: &c.attachments, CreatedSession: &c.sessions}[kind]
	*to = append(*to, id)
	return append(append(dst, "signed "...), id...), true
}

func TestRewriteCreatedIDs(t *testing.T) {
	for name, c := range map[string]struct {
		answer                       string
		tasks, attachments, sessions []string
	}{
		"one file, 0.15":    {`{"success":true,"task_id":"t","message":"m"}`, []string{"t"}, nil, nil},
		"one file":          {`{"attachment_id":"a","task_id":"t"}`, []string{"t"}, []string{"a"}, nil},
		"several files":     {`{"tasks":[{"task_id":"t","attachment_id":"a"},{"task_id":"u","attachment_id":"b"}],"errors":[{}]}`, []string{"t", "u"}, []string{"a", "b"}, nil},
		"a finished task":   {`{"status":"SUCCESS","result":{"attachment_id":"a","metadata":{"attachment_id":"c"}}}`, nil, []string{"a"}, nil},
		"an unfinished one": {`{"status":"PENDING","result":null}`, nil, nil, nil},
		"a failed one":      {`{"status":"FAILURE","result":"attachment_id"}`, nil, nil, nil},
		"a transcription":   {`{"session_id":"s","success":true}`, nil, nil, []string{"s"}},
		"other kinds":       {`{"task_id":7,"attachment_id":{"attachment_id":"c"},"session_id":null,"tasks":{}}`, nil, nil, nil},
		"deeper":            {`{"x":{"task_id":"c"},"y":[{"attachment_id":"c"}]}`, nil, nil, nil},
		"a list":            {`["task_id"]`, nil, nil, nil},
		"no JSON":           {`<html>`, nil, nil, nil},
		"broken":            {`{"task_id":"t","result":{`, []string{"t"}, nil, nil},
		"not rewritten":     {`{"task_id":"same","attachment_id":"a"}`, nil, []string{"a"}, nil},
		"blanks, escapes":   {"{ \"task_id\" :\n \"t\" , \"message\":\"\\u0074\"}", []string{"t"}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got createdIDs
			out := string(RewriteCreatedIDs([]byte(c.answer), &got))
			if !slices.Equal(got.tasks, c.tasks) || !slices.Equal(got.attachments, c.attachments) || !slices.Equal(got.sessions, c.sessions) {
				t.Errorf("got %+v", got)
			}
			want := c.answer
			for _, id := range slices.Concat(c.tasks, c.attachments, c.sessions) {
				want = strings.ReplaceAll(want, `"`+id+`"`, `"signed `+id+`"`)
			}
			if out != want {
				t.Errorf("got %s, want %s", out, want)
			}
		})
	}
}

// A client learns the state of its file, and nothing about the owner or the server.
func TestRedactTask(t *testing.T) {
	for name, c := range map[string]struct{ answer, want string }{
		"finished": {
			`{"result":{"attachment_id":"a","filename":"n","metadata":{"content_hash":"h"},"mime_type":"m","path":"inputs/owner/x",` +
				`"token_count":12},"status":"SUCCESS"}`,
			`{"status":"SUCCESS","result":{"attachment_id":"a","filename":"n","mime_type":"m","token_count":12}}`,
		},
		"at work":                  {`{"status":"PROGRESS","result":{"current":30,"status":"Processing"}}`, `{"status":"PROGRESS","result":{"current":30,"status":"Processing"}}`},
		"not begun":                {`{"status":"PENDING","result":null}`, `{"status":"PENDING","result":null}`},
		"failed":                   {`{"status":"FAILURE","result":"Traceback: /srv/secret"}`, `{"status":"FAILURE","result":null}`},
		"finished in between":      {`{"status":"SUCCESS","result":null}`, `{"status":"PENDING","result":null}`},
		"a status that is no text": {`{"status":{"x":1},"result":[1]}`, `{"status":"PENDING","result":null}`},
		"no JSON":                  {`<html>`, `{"status":"PENDING","result":null}`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := string(RedactTask([]byte(c.answer))); got != c.want+"\n" {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// A chat may name attachments if uploads are enabled. They are checked then, even if an operator allows the field.
func TestAttachmentsFieldInChats(t *testing.T) {
	version, err := FindVersion("")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		groups []Group
		allow  []string
		want   Validator
		member bool
	}{
		"not open":            {[]Group{GroupWidget}, nil, 0, false},
		"open":                {[]Group{GroupWidget, GroupAttachments}, nil, CheckAttachments, true},
		"open first":          {[]Group{GroupAttachments, GroupWidget}, nil, CheckAttachments, true},
		"open and allowed":    {[]Group{GroupWidget, GroupAttachments}, []string{"attachments"}, CheckAttachments, true},
		"allowed by a person": {[]Group{GroupWidget}, []string{"attachments"}, NoValidation, true},
	} {
		t.Run(name, func(t *testing.T) {
			routes, err := NewRoutes(version, c.groups, c.allow)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range routes.Endpoints() {
				if !e.CreatesConversation || e.Group != GroupWidget {
					continue
				}
				i := slices.IndexFunc(e.Fields, func(m Field) bool { return m.Name == "attachments" })
				if (i >= 0) != c.member || i >= 0 && e.Fields[i].Check != c.want {
					t.Errorf("%s: %+v", e.Name, e.Fields)
				}
			}
		})
	}
}
