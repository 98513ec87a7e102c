package keyindex

import (
	"slices"

	"github.com/docsgate/docsgate/keys"
)

// newestPage is Page for the order in which the chunks are.
func (m *matcher) newestPage(chunks []*chunk, possible bool) (Page, error) {
	after, err := m.position()
	if err != nil || !possible {
		return Page{}, err
	}
	matches, total := m.countAll(chunks)
	page := Page{Total: total}
	first := 0
	if m.After != "" {
		first = chunkFor(chunks, after)
	}
	for i := first; i < len(chunks) && len(page.Keys) <= m.Limit; i++ {
		if matches[i] == 0 {
			continue
		}
		m.each(chunks[i], func(n int) bool {
			if key := chunks[i].entries[n].key; m.After == "" || comparePositions(positionOf(key), after) > 0 {
				page.Keys = append(page.Keys, key)
			}
			return len(page.Keys) <= m.Limit // one more, to know whether there is a next page
		})
	}
	m.cut(&page)
	return page, nil
}

// oldestPage is Page for the opposite order.
func (m *matcher) oldestPage(chunks []*chunk, possible bool) (Page, error) {
	after, err := m.position()
	if err != nil || !possible {
		return Page{}, err
	}
	matches, total := m.countAll(chunks)
	page := Page{Total: total}
	last := len(chunks) - 1
	if m.After != "" {
		last = chunkFor(chunks, after)
	}
	for i := last; i >= 0 && len(page.Keys) <= m.Limit; i-- {
		if matches[i] == 0 {
			continue
		}
		var found []*keys.Key
		m.each(chunks[i], func(n int) bool {
			key := chunks[i].entries[n].key
			if m.After != "" && comparePositions(positionOf(key), after) >= 0 {
				return false
			}
			found = append(found, key)
			return true
		})
		slices.Reverse(found)
		page.Keys = append(page.Keys, found...)
	}
	m.cut(&page)
	return page, nil
}

// position parses the cursor of a page that is sorted by creation time.
func (m *matcher) position() (position, error) {
	if m.After == "" {
		return position{}, nil
	}
	return parseCursor(m.After)
}

// cut removes keys that are more than requested, and sets the cursor of the next page then.
func (m *matcher) cut(page *Page) {
	if len(page.Keys) > m.Limit {
		page.Keys = page.Keys[:m.Limit]
		page.Next = positionOf(page.Keys[m.Limit-1]).cursor()
	}
}
