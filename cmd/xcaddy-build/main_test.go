package main

import (
	"bytes"
	"errors"
	"flag"
	"path/filepath"
	"strings"
	"testing"
)

func TestRunRefusesBadCommandLines(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want error
		says string
	}{
		"an argument that is no flag": {[]string{"v2.11.9"}, errUsage, `unexpected argument "v2.11.9"`},
		"an unknown flag":             {[]string{"-with", "x"}, errUsage, "-with"},
		"a request for help":          {[]string{"-h"}, flag.ErrHelp, "-config"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if err := run(t.Context(), tc.args, &stdout, &stderr); !errors.Is(err, tc.want) {
				t.Errorf("error is %v, want %v", err, tc.want)
			}
			if !strings.Contains(stderr.String(), tc.says) {
				t.Errorf("standard error %q does not say %q", stderr.String(), tc.says)
			}
		})
	}
}

func TestRunBuildsNothingFromABadManifest(t *testing.T) {
	output := filepath.Join(t.TempDir(), "out", "caddy")
	var stdout, stderr bytes.Buffer
	err := run(t.Context(), []string{"-config", writeManifest(t, "caddy = 1\n"), "-output", output}, &stdout, &stderr)
	if err == nil || !strings.Contains(err.Error(), "xcaddy.toml") {
		t.Errorf("error is %v, want one that names the manifest", err)
	}
	if matches, _ := filepath.Glob(filepath.Dir(output)); len(matches) != 0 {
		t.Error("the output's folder was made all the same")
	}
}
