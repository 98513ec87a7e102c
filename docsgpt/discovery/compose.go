package discovery

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"
	"go.yaml.in/yaml/v3"

	"github.com/docsgate/docsgate/internal/atomicfile"
)

// Ports of DocsGPT's containers.
const (
	apiPort      = "7091"
	postgresPort = "5432"
)

// project is what the compose files of a folder have in common. Which of them DocsGPT was started with is unknown, so a port that
// one of them publishes counts as published.
type project struct {
	services map[string]*service
	api      *service // the service that publishes DocsGPT's API, or nil
	file     string   // the file that describes it
}

type service struct {
	environment map[string]string
	ports       []publishedPort
}

// publishedPort is a port of a container that has a port on this machine.
type publishedPort struct{ host, published, target string }

// readProject reads the compose files of a folder and of its folder "deployment". YAML files that are not compose files are skipped.
func readProject(dir string, env map[string]string) (*project, error) {
	p := &project{services: map[string]*service{}}
	var files []string
	for _, folder := range []string{dir, filepath.Join(dir, "deployment")} {
		entries, err := os.ReadDir(folder)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			return nil, err
		}
		for _, e := range entries {
			if ext := filepath.Ext(e.Name()); ext == ".yaml" || ext == ".yml" {
				files = append(files, filepath.Join(folder, e.Name()))
			}
		}
	}
	for _, file := range files[:min(len(files), maxFiles)] {
		if err := p.add(file, env); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// composeFile has the parts of a compose file that are read.
type composeFile struct {
	Services map[string]struct {
		Environment yaml.Node   `yaml:"environment"`
		Ports       []yaml.Node `yaml:"ports"`
	} `yaml:"services"`
}

func (p *project) add(file string, env map[string]string) error {
	data, err := atomicfile.Read(file, maxFileSize)
	if err != nil {
		return err
	}
	var c composeFile
	if err := yaml.Unmarshal(data, &c); err != nil {
		return nil //nolint:nilerr // another YAML file
	}
	for _, name := range slices.Sorted(maps.Keys(c.Services)) {
		described := c.Services[name]
		s := p.services[name]
		if s == nil {
			s = &service{environment: map[string]string{}}
			p.services[name] = s
		}
		if err := s.addEnvironment(&described.Environment, env); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		for i := range described.Ports {
			port, err := parsePort(&described.Ports[i], env)
			if err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			if port.published != "" && !slices.Contains(s.ports, port) {
				s.ports = append(s.ports, port)
			}
			if port.target == apiPort && p.api == nil {
				p.api, p.file = s, file
			}
		}
	}
	return nil
}

// addEnvironment adds an environment, which is a mapping or a list of NAME=value.
func (s *service) addEnvironment(node *yaml.Node, env map[string]string) error {
	given := map[string]string{}
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			given[node.Content[i].Value] = node.Content[i+1].Value
		}
	case yaml.SequenceNode:
		for _, item := range node.Content {
			name, value, _ := strings.Cut(item.Value, "=")
			given[name] = value
		}
	default: // there is no environment
	}
	uri, set := given["POSTGRES_URI"]
	if !set {
		return nil
	}
	value, err := interpolate(uri, env)
	if err == nil {
		s.environment["POSTGRES_URI"] = value
	}
	return err
}

// parsePort reads a port in the short form, [HOST:][PUBLISHED:]TARGET[/PROTOCOL], or the long one. published is empty if it is
// not known, as in a range.
func parsePort(node *yaml.Node, env map[string]string) (publishedPort, error) {
	var port publishedPort
	if node.Kind == yaml.MappingNode {
		var long struct {
			Target    string `yaml:"target"`
			Published string `yaml:"published"`
			HostIP    string `yaml:"host_ip"`
		}
		if err := node.Decode(&long); err != nil {
			return port, errors.New("the ports of a service are not valid")
		}
		port = publishedPort{long.HostIP, long.Published, long.Target}
		for _, field := range []*string{&port.host, &port.published, &port.target} {
			value, err := interpolate(*field, env)
			if err != nil {
				return port, err
			}
			*field = value
		}
	} else {
		short, err := interpolate(node.Value, env)
		if err != nil {
			return port, err
		}
		short, _, _ = strings.Cut(short, "/")
		port.target = short
		if i := strings.LastIndexByte(short, ':'); i >= 0 {
			port.published, port.target = short[:i], short[i+1:]
			if i = strings.LastIndexByte(port.published, ':'); i >= 0 {
				port.host, port.published = strings.Trim(port.published[:i], "[]"), port.published[i+1:]
			}
		}
	}
	if !isPort(port.published) {
		port.published = ""
	}
	if ip := net.ParseIP(port.host); port.host == "" || ip != nil && ip.IsUnspecified() {
		port.host = "127.0.0.1"
	}
	return port, nil
}

// interpolate resolves variables as Docker Compose does, but only with the values of .env: the environment that DocsGPT was started
// with is unknown.
func interpolate(text string, env map[string]string) (string, error) {
	value, err := template.SubstituteWithOptions(text, func(name string) (string, bool) {
		value, set := env[name]
		return value, set
	}, template.WithoutLogging)
	if err != nil {
		return "", errors.New("a variable has no value in .env, or is not valid")
	}
	return value, nil
}

// addresses returns where the API listens on this machine.
func (p *project) addresses() []string {
	var all []string
	for _, port := range p.api.ports {
		if port.target == apiPort {
			all = append(all, "http://"+net.JoinHostPort(port.host, port.published))
		}
	}
	if len(all) == 0 {
		all = []string{DefaultAddress}
	}
	return all
}

// database returns the database of an address as containers use it.
func (p *project) database(uri string) Database {
	u, err := url.Parse(withoutDriver(uri))
	if err != nil || u.Host == "" {
		return Database{URI: withoutDriver(uri)}
	}
	port := u.Port()
	if port == "" {
		port = postgresPort
	}
	host := u.Hostname()
	if s := p.services[host]; s != nil {
		i := slices.IndexFunc(s.ports, func(published publishedPort) bool { return published.target == port })
		if i < 0 {
			return Database{Service: host}
		}
		u.Host = net.JoinHostPort(s.ports[i].host, s.ports[i].published)
	} else if host == "host.docker.internal" {
		u.Host = net.JoinHostPort("127.0.0.1", port)
	}
	return Database{URI: u.String()}
}
