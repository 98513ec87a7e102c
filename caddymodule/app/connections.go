package app

import "github.com/docsgate/docsgate/keys/docsgptkeys"

// Connections returns the database connections of feeds by feed name, or nil if there are none. It must be called after
// provisioning. It is for the command doctor.
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
