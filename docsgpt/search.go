package docsgpt

import (
	"bytes"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Since 0.16 /api/search wants an agent's key. For a key that is bound to sources the gate asks each source by itself
// instead, at an endpoint that takes the credential of an account, and gives the client one answer in the shape of
// /api/search.

// SearchLimit is how many results /api/search gives.
const SearchLimit = 5

// maxSearchQuery is how long DocsGPT lets a search of one source be, in characters.
const maxSearchQuery = 2000

// Errors of a question that cannot be searched for. Their texts go to the client.
var (
	errNoQuestion   = errors.New(`the member "question" is empty`)
	errLongQuestion = errors.New("the question is too long to search for: 2000 characters are the most")
)

// Result is a result of a search.
type Result struct {
	Text, Title, Source string

	kind  scoreKind
	score float64
}

// scoreKind says what a hit's score means.
type scoreKind uint8

const (
	scoreNone       scoreKind = iota // no score, or of a kind that is not known: only the rank counts
	scoreDistance                    // a distance: less is better
	scoreSimilarity                  // a similarity: more is better
	scoreFused                       // made of ranks: more is better, and comparable only with its like
)

// scoreKinds are DocsGPT's names of them.
var scoreKinds = map[string]scoreKind{
	"l2_distance": scoreDistance, "cosine_similarity": scoreSimilarity, "rrf": scoreFused,
}

// SourceSearchPath is where a source is searched by itself. The id must be one that [Version.CheckSource] gave.
func SourceSearchPath(source string) string { return "/api/sources/" + source + "/search" }

// SourceQuery returns the body for a search of one source. Nothing else of the client's goes with it: other members
// set how DocsGPT retrieves, and can cost calls of a model. The error's text is meant for the client.
func (b *Body) SourceQuery() ([]byte, error) {
	for _, f := range b.fields {
		if f.member.Name != "question" {
			continue
		}
		text, ok := textOf(b.buf[f.start:f.end])
		if !ok {
			return nil, errSyntax
		}
		// What Python strips; an empty rest is an error there.
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

var errNoSearch = errors.New("the upstream's answer is no result of a search")

// ReadHits reads the answer to a search of one source: its hits in the order of their ranks. Hits that name no source
// get the one that was searched, as in DocsGPT's own /api/search.
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
			scored = err == nil // a number that is too large for a score is none
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

// better tells whether a belongs before b, of the same kind.
func (a *Result) better(b *Result) bool {
	if a.kind == scoreDistance {
		return a.score < b.score
	}
	return a.score > b.score
}

// dedupPrefix is how much of two hits must be equal for them to be one, in bytes.
const dedupPrefix = 200

// MergeHits makes one list of several sources', each in the order of its ranks, with at most [SearchLimit] hits. Scores
// decide if all are of one kind that can be compared; else each source in turn gives its next. No source's order is
// changed, and a text that is there already is left out.
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

// nextList returns the list whose next hit comes next: of the best score, or the first one from turn on; -1: none is left.
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

// AppendHits appends the hits in the shape of /api/search.
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
