package mongofeed

import (
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/docsgate/docsgate/keys/docsgptkeys"
)

func TestPrivilegesOfRoles(t *testing.T) {
	for name, c := range map[string]struct {
		user  string
		roles []role
		want  docsgptkeys.Privileges
	}{
		"no authentication":  {"", nil, docsgptkeys.Privileges{Superuser: true, Writes: true}},
		"read":               {"gate", []role{{"read", "docsgpt"}}, docsgptkeys.Privileges{User: "gate"}},
		"readAnyDatabase":    {"gate", []role{{"readAnyDatabase", "admin"}}, docsgptkeys.Privileges{User: "gate"}},
		"readWrite":          {"gate", []role{{"readWrite", "docsgpt"}}, docsgptkeys.Privileges{User: "gate", Writes: true}},
		"readWrite of other": {"gate", []role{{"read", "docsgpt"}, {"readWrite", "other"}}, docsgptkeys.Privileges{User: "gate"}},
		"all databases":      {"gate", []role{{"readWriteAnyDatabase", "admin"}}, docsgptkeys.Privileges{User: "gate", Writes: true}},
		"root":               {"root", []role{{"root", "admin"}}, docsgptkeys.Privileges{User: "root", Superuser: true, Writes: true}},
		"of another root":    {"gate", []role{{"root", "docsgpt"}}, docsgptkeys.Privileges{User: "gate"}},
	} {
		t.Run(name, func(t *testing.T) {
			users, roles := bson.A{}, bson.A{}
			if c.user != "" {
				users = append(users, bson.M{"user": c.user, "db": "admin"})
			}
			for _, r := range c.roles {
				roles = append(roles, bson.M{"role": r.Role, "db": r.DB})
			}
			data, err := bson.Marshal(bson.M{"authInfo": bson.M{"authenticatedUsers": users, "authenticatedUserRoles": roles}, "ok": 1})
			if err != nil {
				t.Fatal(err)
			}
			var s connectionStatus
			if err := bson.Unmarshal(data, &s); err != nil {
				t.Fatal(err)
			}
			if got := s.privileges("docsgpt"); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}
