package docsgptkeys

// Privileges are the permissions of a feed's database user beyond those that the feed needs, for the command doctor. The zero value is
// none.
type Privileges struct {
	// User is the name of the user; empty: the database does not require authentication.
	User string
	// Superuser reports whether the user may do everything on the database server.
	Superuser bool
	// Writes reports whether the user may change the keys.
	Writes bool
}
