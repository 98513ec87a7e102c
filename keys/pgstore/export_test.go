package pgstore

import (
	"io/fs"
	"testing/fstest"
)

// Newer returns the options of a version with one more migration.
func (o Options) Newer(sql string) Options {
	files := fstest.MapFS{"99999_newer.sql": {Data: []byte(sql)}}
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		panic(err)
	}
	for _, name := range names {
		data, err := migrations.ReadFile(name)
		if err != nil {
			panic(err)
		}
		files[name[len("migrations/"):]] = &fstest.MapFile{Data: data}
	}
	o.migrations = files
	return o
}
