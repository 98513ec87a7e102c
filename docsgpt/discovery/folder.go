package discovery

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"go.yaml.in/yaml/v3"

	"github.com/docsgate/docsgate/internal/atomicfile"
)

// Limits of what is read of a folder, which may be any folder.
const (
	maxFileSize = 1 << 20
	maxFiles    = 64 // compose files
)

// ReadFolder returns what the files in a folder say about a DocsGPT, or nil if they do not belong to one. It reads .env and the compose
// files there, and in the folder "deployment" of a checkout. Errors do not contain parts of the files.
func ReadFolder(dir string) (*Settings, error) {
	if info, err := os.Stat(dir); err != nil {
		return nil, err
	} else if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a folder", dir)
	}
	envFile := filepath.Join(dir, ".env")
	env, err := readEnv(envFile)
	if err != nil {
		return nil, err
	}
	project, err := readProject(dir, env)
	if err != nil {
		return nil, err
	}
	native, err := isNative(dir)
	if err != nil {
		return nil, err
	}
	s := &Settings{Dir: dir}
	switch {
	case project.api != nil && !native:
		s.Compose, s.File, s.Addresses = true, project.file, project.addresses()
		uri := project.api.environment["POSTGRES_URI"]
		if uri == "" {
			uri = env["POSTGRES_URI"]
		}
		s.Database = project.database(uri)
	case isDocsGPT(env):
		s.File, s.Addresses = envFile, nativeAddresses(env)
		s.Database.URI = withoutDriver(env["POSTGRES_URI"])
	default:
		return nil, nil //nolint:nilnil // as documented: the folder is not DocsGPT's
	}
	return s, nil
}

// isNative reports whether the record of "docsgpt up" says that DocsGPT runs without containers. Its compose file may be that of an
// earlier installation.
func isNative(dir string) (bool, error) {
	data, err := atomicfile.Read(filepath.Join(dir, "install.json"), maxFileSize)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return false, err
	}
	var record struct {
		Mode string `yaml:"mode"`
	}
	_ = yaml.Unmarshal(data, &record) // JSON is YAML; a file that is neither is not DocsGPT's
	return record.Mode == "native", nil
}

// readEnv reads a file of settings. A file that does not exist is empty.
func readEnv(path string) (map[string]string, error) {
	data, err := atomicfile.Read(path, maxFileSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	env, err := dotenv.ParseWithLookup(bytes.NewReader(data), func(string) (string, bool) { return "", false })
	if err != nil {
		// Without the cause, which quotes the line and so may contain a secret.
		return nil, fmt.Errorf("%s is not a valid env file", path)
	}
	return env, nil
}

// isDocsGPT reports whether settings are DocsGPT's. Other programs have a POSTGRES_URI, too.
func isDocsGPT(env map[string]string) bool {
	if env["POSTGRES_URI"] == "" {
		return false
	}
	return slices.ContainsFunc([]string{"LLM_PROVIDER", "LLM_NAME", "EMBEDDINGS_NAME", "INTERNAL_KEY", "DOCSGPT_PORT"}, func(name string) bool {
		_, set := env[name]
		return set
	})
}

// nativeAddresses returns where a DocsGPT without containers listens.
func nativeAddresses(env map[string]string) []string {
	if port := env["DOCSGPT_PORT"]; isPort(port) {
		return []string{"http://127.0.0.1:" + port}
	}
	// API_URL may be the public address of a proxy in front of it, which is not the API itself.
	if u, err := url.Parse(env["API_URL"]); err == nil && u.Port() != "" && isLoopback(u.Hostname()) {
		return []string{"http://" + net.JoinHostPort(loopback(u.Hostname()), u.Port())}
	}
	return []string{DefaultAddress}
}

func isPort(s string) bool {
	return s != "" && len(s) <= 5 && strings.Trim(s, "0123456789") == ""
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// loopback returns the address of a host that is this machine. DocsGPT listens on one family only, and "localhost" can be two.
func loopback(host string) string {
	if strings.EqualFold(host, "localhost") {
		return "127.0.0.1"
	}
	return host
}

// withoutDriver returns the address of a database without the driver of SQLAlchemy, such as postgresql+psycopg.
func withoutDriver(uri string) string {
	scheme, rest, found := strings.Cut(uri, "://")
	if !found {
		return uri
	}
	scheme, _, _ = strings.Cut(scheme, "+")
	return scheme + "://" + rest
}
