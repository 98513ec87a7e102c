package pgfeed

import "context"

// LeadTo replaces the DNS: every host name of the feed's address resolves to an address with a port.
func (f *Feed) LeadTo(at string) {
	f.address.Config.LookupFunc = func(context.Context, string) ([]string, error) { return []string{at}, nil }
}
