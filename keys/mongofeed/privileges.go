package mongofeed

import (
	"context"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/docsgate/docsgate/keys/docsgptkeys"
)

// role is a built-in role of MongoDB with the database that it is granted for.
type role struct {
	Role string `bson:"role"`
	DB   string `bson:"db"`
}

// connectionStatus is the response to the command of the same name.
type connectionStatus struct {
	AuthInfo struct {
		Users []struct {
			User string `bson:"user"`
		} `bson:"authenticatedUsers"`
		Roles []role `bson:"authenticatedUserRoles"`
	} `bson:"authInfo"`
}

// Privileges returns what the user of the feed may do beyond reading, according to its built-in roles. It opens a connection of its
// own.
func (f *Feed) Privileges(ctx context.Context) (docsgptkeys.Privileges, error) {
	ctx, c, err := f.connect(ctx)
	var s connectionStatus
	if err == nil {
		defer c.Close()
		ctx, cancel := context.WithTimeout(ctx, f.options.Timeout)
		defer cancel()
		err = c.Cause(c.db.RunCommand(ctx, bson.D{{Key: "connectionStatus", Value: 1}}).Decode(&s))
	}
	if err != nil {
		err, _ = classifyError(err, f.options.Timeout)
		return docsgptkeys.Privileges{}, fmt.Errorf("reading the roles of the user: %w", err)
	}
	return s.privileges(f.address.database), nil
}

// privileges returns the permissions of the user in a database. Without authentication everyone may do everything.
func (s *connectionStatus) privileges(database string) docsgptkeys.Privileges {
	if len(s.AuthInfo.Users) == 0 {
		return docsgptkeys.Privileges{Superuser: true, Writes: true}
	}
	p := docsgptkeys.Privileges{User: s.AuthInfo.Users[0].User}
	for _, r := range s.AuthInfo.Roles {
		// These can grant themselves any role.
		if r.DB == "admin" && slices.Contains([]string{"root", "__system", "userAdminAnyDatabase", "userAdmin", "dbOwner", "restore"}, r.Role) {
			p.Superuser, p.Writes = true, true
		}
		if r.DB == "admin" && r.Role == "readWriteAnyDatabase" || r.DB == database && slices.Contains([]string{"readWrite", "dbOwner"}, r.Role) {
			p.Writes = true
		}
	}
	return p
}
