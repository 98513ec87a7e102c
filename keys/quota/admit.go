package quota

// Package sharedquota decides on questions for several gates together. Then a Counter only counts.

// State is what a Counter has counted for a key.
type State struct {
	// Day and Month are the period of the counts, as Period.Day and Period.Month return them.
	Day, Month int32

	// Known are the counts of all gates, as far as they are known.
	Known Counts

	// Own are what this process has counted.
	Own Counts

	// Unsaved are the counts that no other gate can know, since they are not in the totals of a SharedStorage.
	Unsaved Counts

	// Reserved is the number of tokens that are reserved for answers in flight, and Reservation the number to reserve for the next one.
	Reserved, Reservation int64
}

// ID returns a random ID of the counter.
func (c *Counter) ID() string { return c.id }

// State returns what is counted for a key in a period. Counts of the next day are kept, as Reserve does.
func (c *Counter) State(p *Period, key string) State {
	s := c.shardOf(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.keys[key]
	if e == nil {
		return State{Day: p.day, Month: p.month, Reservation: firstReservation}
	}
	now := *e
	now.moveTo(p)
	return State{
		Day: now.row.Day, Month: now.month, Known: now.row.counts(), Own: now.own.in(now.row.Day, now.month),
		Unsaved: now.row.since(now.inTotal()).counts(), Reserved: now.reserved, Reservation: now.reservation(),
	}
}

func (r Row) counts() Counts { return Counts{r.QuestionsDay, r.QuestionsMonth, r.TokensDay} }

// EndObserver is informed about the end of reservations.
type EndObserver interface {
	// Ended is called when a reservation of a key has ended, after the counts have changed. released reports whether the question
	// does not count after all. It must not block.
	Ended(key string, released bool)
}

// Admit is Reserve without limits, for a question that was decided on elsewhere. tokens is the number that is reserved. observer may be nil.
func (c *Counter) Admit(p *Period, key string, tokens int64, observer EndObserver) Reservation {
	c.setLatest(p)
	s := c.shardOf(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.admit(s.countsOf(p, key), tokens)
	r.observer = observer
	return r
}

// Decide decides on a question of a key that has used this much, with this many tokens reserved for answers in flight.
func Decide(p *Period, used Counts, reserved int64, l Limits, dryRun Set) Decision {
	c := counts{
		row:      Row{QuestionsDay: used.QuestionsDay, QuestionsMonth: used.QuestionsMonth, TokensDay: used.TokensDay},
		reserved: reserved,
	}
	return c.check(p, l, dryRun)
}
