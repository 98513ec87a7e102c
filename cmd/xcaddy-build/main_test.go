package main

import (
	"bytes"
	"errors"
	"flag"
	"path/filepath"
	"strings"
	"testing"
)

func TestRunUsageErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want error
		text string // in the error output
	}{
		"an argument that is not a flag": {[]string{"v2.11.9"}, errUsage, `unexpected argument "v2.11.9"`},
		"an unknown flag":                {[]string{"-with", "x"}, errUsage, "-with"},
		"a request for help":             {[]string{"-h"}, flag.ErrHelp, "-config"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if err := run(t.Context(), tc.args, &stdout, &stderr); !errors.Is(err, tc.want) {
				t.Errorf("error is %v, want %v", err, tc.want)
			}
			if !strings.Contains(stderr.String(), tc.text) {
				t.Errorf("standard error %q does not contain %q", stderr.String(), tc.text)
			}
		})
	}
}

func TestRunInvalidManifest(t *testing.T) {
	output := filepath.Join(t.TempDir(), "out", "caddy")
	var stdout, stderr bytes.Buffer
	err := run(t.Context(), []string{"-config", writeManifest(t, "caddy = 1\n"), "-output", output}, &stdout, &stderr)
	if err == nil || !strings.Contains(err.Error(), "xcaddy.toml") {
		t.Errorf("error is %v, want one that contains the manifest's name", err)
	}
	if matches, _ := filepath.Glob(filepath.Dir(output)); len(matches) != 0 {
		t.Error("the output's folder was created")
	}
}
