package discovery_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/docsgpt/discovery"
)

// Compose files as DocsGPT has them, shortened.
const (
	upCompose = `name: docsgpt
services:
  backend:
    image: arc53/docsgpt:${DOCSGPT_IMAGE_TAG:-latest}
    environment:
      - CELERY_BROKER_URL=redis://redis:6379/0
      - POSTGRES_URI=postgresql://docsgpt:${POSTGRES_PASSWORD:-docsgpt}@postgres:5432/docsgpt
    ports:
      - "${DOCSGPT_BIND:-127.0.0.1}:${DOCSGPT_PORT:-7091}:7091"
  worker:
    image: arc53/docsgpt
  postgres:
    image: postgres:16-alpine
  caddy:
    profiles: [https]
    ports: ["80:80", "443:443/udp"]
`
	checkoutCompose = `name: docsgpt-oss
services:
  frontend: {image: arc53/docsgpt-fe, ports: ["5173:5173"]}
  backend:
    env_file: [../.env]
    environment: ["POSTGRES_URI=postgresql://docsgpt:docsgpt@postgres:5432/docsgpt"]
    ports: ["7091:7091"]
  redis: {ports: [6379:6379]}
  postgres: {ports: ["${DOCSGPT_BIND:-127.0.0.1}:5432:5432"]}
`
)

func write(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestReadFolder(t *testing.T) {
	tests := map[string]struct {
		files   map[string]string
		want    *discovery.Settings
		wantErr string
	}{
		"docsgpt up": {
			files: map[string]string{
				"docker-compose.yaml": upCompose,
				".env":                "LLM_PROVIDER=docsgpt\nDOCSGPT_BIND=127.0.0.1\nDOCSGPT_PORT=7095\nPOSTGRES_PASSWORD=abc\n",
			},
			want: &discovery.Settings{
				File: "docker-compose.yaml", Compose: true, Addresses: []string{"http://127.0.0.1:7095"},
				Database: discovery.Database{Service: "postgres"},
			},
		},
		"docsgpt up with a published database": {
			files: map[string]string{
				"docker-compose.yaml":          upCompose,
				"docker-compose.override.yaml": "services:\n  postgres:\n    ports: [\"127.0.0.1:15432:5432\"]\n",
				".env":                         "POSTGRES_PASSWORD='a$b@c'\n",
			},
			want: &discovery.Settings{
				File: "docker-compose.yaml", Compose: true, Addresses: []string{"http://127.0.0.1:7091"},
				Database: discovery.Database{URI: "postgresql://docsgpt:a$b%40c@127.0.0.1:15432/docsgpt"},
			},
		},
		"a checkout": {
			files: map[string]string{
				"deployment/docker-compose.yaml":     checkoutCompose,
				"deployment/docker-compose-hub.yaml": checkoutCompose,
				".env":                               "LLM_NAME=docsgpt\nPOSTGRES_URI=postgresql://other\n",
			},
			want: &discovery.Settings{
				File: "deployment/docker-compose-hub.yaml", Compose: true, Addresses: []string{"http://127.0.0.1:7091"},
				Database: discovery.Database{URI: "postgresql://docsgpt:docsgpt@127.0.0.1:5432/docsgpt"},
			},
		},
		"the long form, and a database on the host": {
			files: map[string]string{
				"compose.yml": `services:
  api:
    environment:
      POSTGRES_URI: postgresql+psycopg://docsgpt@host.docker.internal/docsgpt
    ports:
      - {target: 7091, published: "8000", host_ip: 10.0.0.7}
`,
			},
			want: &discovery.Settings{
				File: "compose.yml", Compose: true, Addresses: []string{"http://10.0.0.7:8000"},
				Database: discovery.Database{URI: "postgresql://docsgpt@127.0.0.1:5432/docsgpt"},
			},
		},
		"an address in .env, and IPv6": {
			files: map[string]string{
				"compose.yaml": "services:\n  backend:\n    ports: [\"[::1]:7091:7091/tcp\"]\n",
				".env":         "POSTGRES_URI=postgresql+psycopg2://docsgpt:secret@db.example.com/docsgpt\n",
			},
			want: &discovery.Settings{
				File: "compose.yaml", Compose: true, Addresses: []string{"http://[::1]:7091"},
				Database: discovery.Database{URI: "postgresql://docsgpt:secret@db.example.com/docsgpt"},
			},
		},
		"docsgpt up --native": {
			files: map[string]string{
				".env": "# settings\nPOSTGRES_URI='postgresql+psycopg://me:p#w@localhost/docsgpt'\nDOCSGPT_PORT=7096\nAPI_URL=http://127.0.0.1:7096\n",
			},
			want: &discovery.Settings{
				File: ".env", Addresses: []string{"http://127.0.0.1:7096"},
				Database: discovery.Database{URI: "postgresql://me:p#w@localhost/docsgpt"},
			},
		},
		"docsgpt up --native, after docsgpt up": {
			files: map[string]string{
				"install.json": "{\n  \"mode\": \"native\",\n  \"port\": 7091\n}\n", "docker-compose.yaml": upCompose,
				".env": "LLM_NAME=x\nPOSTGRES_URI=postgresql:///docsgpt\n",
			},
			want: &discovery.Settings{
				File: ".env", Addresses: []string{"http://127.0.0.1:7091"}, Database: discovery.Database{URI: "postgresql:///docsgpt"},
			},
		},
		"a port in API_URL only": {
			files: map[string]string{".env": "LLM_NAME=x\nPOSTGRES_URI=postgresql:///docsgpt\nAPI_URL=http://localhost:7097\n"},
			want: &discovery.Settings{
				File: ".env", Addresses: []string{"http://127.0.0.1:7097"}, Database: discovery.Database{URI: "postgresql:///docsgpt"},
			},
		},
		"a public API_URL": {
			files: map[string]string{".env": "LLM_NAME=x\nPOSTGRES_URI=postgresql:///docsgpt\nAPI_URL=https://docs.example.com:8443\n"},
			want: &discovery.Settings{
				File: ".env", Addresses: []string{"http://127.0.0.1:7091"}, Database: discovery.Database{URI: "postgresql:///docsgpt"},
			},
		},
		"another program": {
			files: map[string]string{
				".env":         "POSTGRES_URI=postgresql://other\n",
				"compose.yaml": "services:\n  web:\n    ports: [\"80:80\"]\n    environment: {POSTGRES_URI: postgresql://other}\n",
				"list.yaml":    "- services\n- are: not here\n", "broken.yml": "a: [",
			},
		},
		"an empty folder": {},
		"a malformed .env": {
			files:   map[string]string{".env": "A=1\nmy secret-value = x\n"},
			wantErr: ".env is not a valid env file",
		},
		"a variable without a value": {
			files:   map[string]string{"compose.yaml": "services:\n  backend:\n    ports: [\"${PORT:?secret}:7091\"]\n"},
			wantErr: "compose.yaml: a variable has no value in .env",
		},
		"a large file": {
			files:   map[string]string{".env": strings.Repeat("#secret\n", 1<<18)},
			wantErr: "too large",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := write(t, test.files)
			if test.want != nil {
				test.want.Dir, test.want.File = dir, filepath.Join(dir, test.want.File)
			}
			got, err := discovery.ReadFolder(dir)
			if test.wantErr == "" && err != nil || test.wantErr != "" && (err == nil || !strings.Contains(err.Error(), test.wantErr)) {
				t.Fatalf("error %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error quotes the file: %v", err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestReadFolderErrors(t *testing.T) {
	dir := write(t, map[string]string{"file": ""})
	if _, err := discovery.ReadFolder(filepath.Join(dir, "file")); err == nil {
		t.Error("a file is accepted as a folder")
	}
	if _, err := discovery.ReadFolder(filepath.Join(dir, "nowhere")); !os.IsNotExist(err) {
		t.Errorf("error %v, not %v", err, fs.ErrNotExist)
	}
}

func TestFolders(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("DOCSGPT_HOME", "")
	t.Setenv("SUDO_USER", "")
	want := []string{".", filepath.Join(home, ".docsgpt", "server"), "/opt/docsgpt"}
	if got := discovery.Folders(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	t.Setenv("DOCSGPT_HOME", "/srv/docsgpt")
	if got := discovery.Folders(); len(got) != 4 || got[1] != "/srv/docsgpt" {
		t.Errorf("got %q", got)
	}
}
