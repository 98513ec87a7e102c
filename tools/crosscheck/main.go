// Command crosscheck type-checks the packages of a module for other operating systems:
//
//	crosscheck GOOS... -- PATTERN...
//
// It reports what the compiler would, but reads the dependencies from their source, without the bodies of their functions. So it
// takes seconds, while compiling Caddy for a system takes minutes. It exits with status 1 if a package has errors.
package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "crosscheck:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	split := slices.Index(args, "--")
	if split < 1 || split == len(args)-1 {
		return errors.New("usage: crosscheck GOOS... -- PATTERN...")
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	for _, goos := range args[:split] {
		loaded, err := packages.Load(&packages.Config{
			Mode: packages.NeedName | packages.NeedImports | packages.NeedDeps | packages.NeedCompiledGoFiles |
				packages.NeedTypes | packages.NeedTypesSizes | packages.NeedSyntax | packages.NeedTypesInfo | packages.NeedModule,
			Env:        append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0"),
			BuildFlags: []string{"-tags=nobadger,nomysql,nopgx"},
			ParseFile:  parserWithin(dir + string(filepath.Separator)),
		}, args[split+1:]...)
		if err != nil {
			return err
		}
		var failed []string
		for _, pkg := range loaded {
			for _, e := range pkg.Errors {
				failed = append(failed, e.Error())
			}
		}
		if len(failed) > 0 {
			return fmt.Errorf("the module does not compile for %s:\n%s", goos, strings.Join(failed, "\n"))
		}
		fmt.Printf("%s: %d packages\n", goos, len(loaded))
	}
	return nil
}

// parserWithin returns a parser that drops the bodies of functions in files outside of a folder.
func parserWithin(folder string) func(*token.FileSet, string, []byte) (*ast.File, error) {
	return func(fset *token.FileSet, name string, source []byte) (*ast.File, error) {
		file, err := parser.ParseFile(fset, name, source, parser.SkipObjectResolution|parser.ParseComments)
		if file == nil || strings.HasPrefix(name, folder) {
			return file, err
		}
		for _, decl := range file.Decls {
			if function, ok := decl.(*ast.FuncDecl); ok {
				function.Body = nil
			}
		}
		return file, err
	}
}
