package caddymodule

import "github.com/docsgate/docsgate/keys/docsgptkeys"

// Connections returns how the databases are reached that keys come from, by the names of their feeds. It is for the doctor,
// after provisioning; nil if there are none.
func (a *App) Connections() map[string]docsgptkeys.Connection {
	if a.state == nil {
		return nil
	}
	var all map[string]docsgptkeys.Connection
	for _, feed := range a.state.feeds {
		c, ok := feed.(connected)
		if !ok {
			continue
		}
		if all == nil {
			all = map[string]docsgptkeys.Connection{}
		}
		all[feed.Name()] = c.Connection()
	}
	return all
}
