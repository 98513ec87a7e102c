package discovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/internal/buildinfo"
)

// detectTimeout is the total timeout of the requests to one address.
const detectTimeout = 5 * time.Second

// ErrNoResponse means that no HTTP server responds at an address.
var ErrNoResponse = errors.New("no HTTP server responds")

// Detect returns the version of the DocsGPT at an address such as "http://127.0.0.1:7091". The error matches ErrNoResponse, or
// reports that another server responds. At most three GET requests without a credential are sent, and redirects are not followed.
func Detect(ctx context.Context, address string) (docsgpt.Detection, error) {
	ctx, cancel := context.WithTimeout(ctx, detectTimeout)
	defer cancel()
	// Without a proxy of the environment: the address is on this machine, or in its network.
	transport := &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{}).DialContext}
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return docsgpt.Detect(func(path string) (int, []byte, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(address, "/")+path, nil)
		if err != nil {
			return 0, nil, err
		}
		req.Header.Set("Accept", "application/json")
		req.Header.Set("User-Agent", buildinfo.UserAgent())
		resp, err := client.Do(req)
		if err != nil {
			if failed := (*url.Error)(nil); errors.As(err, &failed) {
				err = failed.Err
			}
			return 0, nil, fmt.Errorf("%w: %w", ErrNoResponse, err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, docsgpt.MaxSwaggerSize))
		return resp.StatusCode, body, err
	})
}
