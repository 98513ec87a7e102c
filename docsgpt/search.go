package docsgpt

import (
	"bytes"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Since 0.16 /api/search requires an agent's key. For a key that is bound to sources, the gate searches each source
// separately instead, at an endpoint that takes an account's credential, and merges the results into one response in
// the format of /api/search.

// SearchLimit is the number of results that /api/search returns.
const SearchLimit = 5

// maxSearchQuery is DocsGPT's limit for a search of one source, in characters.
const maxSearchQuery = 2000

// Errors of a question that cannot be searched for. Clients see their texts.
var (
	errNoQuestion   = errors.New(`the field "question" is empty`)
	errLongQuestion = errors.New("the question is too long: at most 2000 characters are accepted")
)

// Result is a search result. Its score, if any, is only used by [MergeHits].
type Result struct {
	Text, Title, Source string

	kind  scoreKind
	score float64
}

// scoreKind is the meaning of a result's score.
type scoreKind uint8

const (
	scoreNone       scoreKind = iota // no score, or of an unknown kind: only the rank matters
	scoreDistance                    // a distance: less is better
	scoreSimilarity                  // a similarity: more is better
	scoreFused                       // computed from ranks: more is better, comparable only with the same kind
)

// scoreKinds maps DocsGPT's names of score kinds.
var scoreKinds = map[string]scoreKind{
	"l2_distance": scoreDistance, "cosine_similarity": scoreSimilarity, "rrf": scoreFused,
}

// SourceSearchPath returns the path at which one source is searched. The ID must be a result of [Version.CheckSource].
func SourceSearchPath(source string) string { return "/api/sources/" + source + "/search" }

// SourceQuery returns the body for a search of one source. It contains nothing but the question: other fields of the
// client control DocsGPT's retrieval, and can cause calls of a model. The error's text is for the client.
func (b *Body) SourceQuery() ([]byte, error) {
	for _, f := range b.fields {
		if f.spec.Name != "question" {
			continue
		}
		text, ok := textOf(b.buf[f.start:f.end])
		if !ok {
			return nil, errSyntax
		}
		// The characters that Python's strip removes. DocsGPT rejects an empty rest.
		text = strings.TrimFunc(text, func(r rune) bool { return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f })
		if text == "" {
			return nil, errNoQuestion
		}
		if utf8.RuneCountInString(text) > maxSearchQuery {
			return nil, errLongQuestion
		}
		return append(appendText([]byte(`{"query":`), text), '}'), nil
	}
	return nil, errNoQuestion
}

var errNoSearch = errors.New("the upstream's response is not a search result")

// ReadHits parses the response to a search of one source: its results in rank order. Results that do not name a source
// get the searched one, as in DocsGPT's own /api/search.
func ReadHits(body []byte, source string) ([]Result, error) {
	var hits []Result
	found := false
	d := jsontext.NewDecoder(bytes.NewReader(body))
	if d.PeekKind() != '{' {
		return nil, errNoSearch
	}
	err := forEachField(d, func(name string) error {
		if name != "chunks" || d.PeekKind() != '[' {
			return d.SkipValue()
		}
		found = true
		if _, err := d.ReadToken(); err != nil {
			return err
		}
		for d.PeekKind() == '{' {
			hit, err := readHit(d, source)
			if err != nil {
				return err
			}
			hits = append(hits, hit)
		}
		_, err := d.ReadToken()
		return err
	})
	if err != nil || !found {
		return nil, errors.Join(errNoSearch, err)
	}
	return hits, nil
}

func readHit(d *jsontext.Decoder, source string) (Result, error) {
	var hit Result
	var file, kind string
	scored := false
	err := forEachField(d, func(name string) error {
		if name == "score" && d.PeekKind() == '0' {
			token, err := d.ReadToken()
			if err != nil {
				return err
			}
			hit.score, err = token.Float()
			scored = err == nil // ignore a number that does not fit into a float
			return nil
		}
		value, err := d.ReadValue()
		if err != nil {
			return err
		}
		text, _ := textOf(value)
		switch name {
		case "text":
			hit.Text = text
		case "title":
			hit.Title = text
		case "filename":
			file = text
		case "source":
			hit.Source = text
		case "score_kind":
			kind = text
		}
		return nil
	})
	if scored {
		hit.kind = scoreKinds[kind]
	}
	hit.Title = hit.Title[strings.LastIndexByte(hit.Title, '/')+1:]
	if hit.Title == "" {
		hit.Title = file
	}
	if hit.Source == "" {
		hit.Source = source
	}
	return hit, err
}

// better reports whether a ranks before b. Both must have the same score kind.
func (a *Result) better(b *Result) bool {
	if a.kind == scoreDistance {
		return a.score < b.score
	}
	return a.score > b.score
}

// dedupPrefix is the number of bytes in which two results must be equal to be duplicates.
const dedupPrefix = 200

// MergeHits merges the results of several sources, each in rank order, into a list of at most [SearchLimit]. If all
// scores are of one comparable kind they decide, else the sources take turns. The order of each source is kept, and
// duplicate texts are dropped.
func MergeHits(lists [][]Result) []Result {
	byScore, kind, first := true, scoreNone, true
	for _, list := range lists {
		for i := range list {
			if first {
				kind, first = list[i].kind, false
			}
			byScore = byScore && list[i].kind == kind && kind != scoreNone
		}
	}
	next := make([]int, len(lists))
	seen := map[string]bool{}
	var merged []Result
	for turn := 0; len(merged) < SearchLimit; {
		from := nextList(lists, next, turn, byScore)
		if from < 0 {
			break
		}
		hit := lists[from][next[from]]
		next[from]++
		turn = from + 1
		start := hit.Text[:min(len(hit.Text), dedupPrefix)]
		if !seen[start] {
			seen[start] = true
			merged = append(merged, hit)
		}
	}
	return merged
}

// nextList returns the index of the list that supplies the next result: the one with the best score, or the first
// non-empty one from turn on. It returns -1 if all lists are used up.
func nextList(lists [][]Result, next []int, turn int, byScore bool) int {
	best := -1
	for i := range lists {
		at := (turn + i) % len(lists)
		if byScore {
			at = i
		}
		switch {
		case next[at] >= len(lists[at]):
		case best < 0:
			best = at
		case byScore && lists[at][next[at]].better(&lists[best][next[best]]):
			best = at
		}
	}
	return best
}

// AppendHits appends the results in the format of /api/search.
func AppendHits(out []byte, hits []Result) []byte {
	out = append(out, '[')
	for i, hit := range hits {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendText(append(out, `{"text":`...), hit.Text)
		out = appendText(append(out, `,"title":`...), hit.Title)
		out = appendText(append(out, `,"source":`...), hit.Source)
		out = append(out, '}')
	}
	return append(out, "]\n"...)
}
