// Package qingyuan_test holds the house rules that a machine can check: which
// room may import which, what must be documented, how large things may grow,
// and which names are not used. Each rule is also seen to fail on a file that
// breaks it.
package qingyuan_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// room says what the non-test files of a folder may import.
type room struct {
	ours   []string // folders of this module; anyRoom for all
	others []string // modules besides the standard library; anyModule for all
}

const (
	anyRoom   = "*"
	anyModule = "*"
)

var (
	none     []string
	anything = []string{anyModule}
)

// rooms is the import table: imports point up, and every folder with Go files
// stands here. A new room needs a line, and the line is what a reviewer reads.
var rooms = map[string]room{
	"post":                          {none, none},
	"sqlitefile":                    {none, []string{"modernc.org/sqlite"}},
	"strictyaml":                    {none, []string{"go.yaml.in/yaml/v3"}},
	"archive":                       {none, anything},
	"crawler":                       {[]string{"post", "strictyaml", "archive", "crawler/frontier", "crawler/render", "crawler/transport"}, anything},
	"crawler/render":                {none, anything},
	"crawler/crawlbench":            {[]string{"crawler/frontier", "crawler/frontier/sqlite"}, anything},
	"crawler/frontier":              {none, none},
	"crawler/frontier/sqlite":       {[]string{"crawler/frontier"}, anything},
	"crawler/frontier/frontiertest": {[]string{"crawler/frontier"}, anything},
	"crawler/transport":             {[]string{"archive"}, anything},
	"crawler/hostiletest":           {none, anything},
	"classify":                      {[]string{"post", "strictyaml"}, anything},
	"campaign":                      {[]string{"post", "classify"}, anything},
	"classify/tables":               {none, anything},
	"dictionaries":                  {none, none},
	"index":                         {[]string{"post", "classify", "campaign"}, anything},
	"configs/sites":                 {none, none},
	"configs/kibana":                {none, none},
	"index/sqlite":                  {[]string{"post", "classify", "index"}, anything},
	"index/elastic":                 {[]string{"post", "classify", "index"}, anything},
	"index/indextest":               {[]string{"post", "classify", "index"}, anything},
	"mask":                          {[]string{"post", "classify", "index"}, none},
	"triage":                        {[]string{"post", "classify", "index", "mask", "sqlitefile", "workbench"}, anything},
	"workbench":                     {[]string{"classify", "index"}, []string{"go.yaml.in/yaml/v3"}},
	"digest":                        {[]string{"post", "classify", "index", "mask"}, anything},
	"digest/delivery":               {[]string{"classify", "digest", "index", "sqlitefile", "strictyaml"}, anything},
	"accounts":                      {[]string{"sqlitefile"}, anything},
	"town":                          {none, anything},
	"cmd/qingyuan":                  {[]string{anyRoom}, anything},

	"crawler/frontier/redis":           {[]string{"crawler/frontier"}, anything},
	"crawler/frontier/redis/redistest": {none, anything},
}

const (
	maxFileLines     = 500
	maxTestFileLines = 700
	maxFuncLines     = 80
)

// forbiddenFolders are names that say nothing of what is inside, or that an
// application without importers does not need.
var forbiddenFolders = []string{"utils", "util", "common", "helpers", "helper", "internal", "pkg", "model", "models", "mock", "mocks"}

// registries are hosts that must not be written into the tree: where packages
// come from is the business of the machine. Split, so that this file passes.
var registries = []string{
	"proxy.golang" + ".org", "sum.golang" + ".org", "vuln.go" + ".dev", "goproxy" + ".cn", "goproxy" + ".io", "deb.debian" + ".org",
	"security.debian" + ".org", "registry.npmjs" + ".org", "registry.npmmirror" + ".com", "pypi" + ".org", "files.pythonhosted" + ".org",
	"repo1.maven" + ".org", "repo.maven.apache" + ".org", "registry-1.docker" + ".io", "docker" + ".io/", "ghcr" + ".io", "quay" + ".io",
}

// machinePath begins paths that exist on one machine only; split like the hosts.
const machinePath = "/work" + "/"

func TestLayout(t *testing.T) {
	real := readTree(t)
	for _, rule := range []struct {
		name    string
		check   func(tree) []string
		planted map[string]string // path → content that breaks the rule
		want    []string          // what must be said of it
	}{
		{"imports", checkImports, map[string]string{
			"post/planted.go":       "package post\nimport _ \"qingyuan/classify\"\nimport _ \"golang.org/x/text/width\"\n",
			"digest/planted.go":     "package digest\nimport _ \"qingyuan/triage\"\n",
			"index/planted_test.go": "package index\nimport _ \"qingyuan/town\"\n", // tests may
			"newroom/newroom.go":    "package newroom\n",
		}, []string{
			"post/planted.go:2: post may not import classify", "post/planted.go:3: post may not import golang.org/x/text/width",
			"digest/planted.go:2: digest may not import triage", "newroom is not in the import table",
		}},
		{"comments", checkComments, map[string]string{
			"post/planted.go": "package post\n\nfunc Bare() {}\n\ntype Naked struct{}\n\nfunc (n *Naked) Method() {}\n\n" +
				"const Value = 1\n\n// Fine is fine.\ntype Fine struct {\n\tOne int\n\tTwo int\n\n\tAlone int\n\n\tNamed int // is\n\tRun int\n}\n\n" +
				"// Iface is fine.\ntype Iface interface {\n\tDo()\n}\n",
			"newroom/newroom.go":      "package newroom\n",
			"post/planted_test.go":    "package post\n\nfunc Unseen() {}\n",
			"town/second/second.go":   "// Package second has a comment.\npackage second\n",
			"town/second/another.go":  "// Package second has two.\npackage second\n",
			"town/second/generate.go": "//go:build ignore\n\npackage main\n\nfunc Exempt() {}\n",
		}, []string{
			"post/planted.go:3: Bare has no comment", "post/planted.go:5: Naked has no comment", "post/planted.go:7: Naked.Method has no comment",
			"post/planted.go:9: Value has no comment", "post/planted.go:16: Fine.Alone has no comment", "post/planted.go:24: Iface.Do has no comment",
			"newroom has no package comment", "town/second has more than one package comment",
		}},
		{"sizes", checkSizes, map[string]string{
			"post/long.go":      "package post\n" + strings.Repeat("\n", 500),
			"post/long_test.go": "package post\n" + strings.Repeat("\n", 700),
			"post/tall.go":      "package post\n\nfunc tall() {\n" + strings.Repeat("\n", 79) + "}\n",
			"post/fits.go":      "package post\n\nfunc fits() {\n" + strings.Repeat("\n", 78) + "}\n",
		}, []string{
			"post/long.go has 501 lines, the most is 500", "post/long_test.go has 701 lines, the most is 700",
			"post/tall.go:3: tall has 81 lines, the most is 80",
		}},
		{"names", checkNames, map[string]string{
			"crawler/utils/x.go": "package utils\n",
			"post/planted.go":    "package post\n\nfunc init() {}\n\ntype t struct{}\n\nfunc (t) init() {}\n",
			"docs/planted.md":    "use " + registries[0] + "\n\nsee " + machinePath + "x\n",
		}, []string{
			"crawler/utils: no folder is named utils", "post/planted.go:3: there is an init function",
			"docs/planted.md:1: names the registry " + registries[0],
			"docs/planted.md:3: names the path " + machinePath,
		}},
		{"colly", checkColly, map[string]string{
			"crawler/planted.go": "package crawler\n\nimport \"github.com/gocolly/colly/v2\"\n\nfunc planted(r *colly.Request) error {\n" +
				"\tc := colly.NewCollector(colly.Async(true))\n\tc.CacheDir = \"x\"\n\tc.Wait()\n\t_ = c.Clone()\n\treturn r.Retry()\n}\n",
			"town/planted.go": "package town\n\nimport _ \"github.com/gocolly/colly/v2/queue\"\n",
		}, []string{
			"crawler/planted.go:6: colly's Async", "crawler/planted.go:7: colly's CacheDir", "crawler/planted.go:8: colly's Wait",
			"crawler/planted.go:9: colly's Clone", "crawler/planted.go:10: colly's Retry", "town/planted.go:3: colly's queue",
		}},
	} {
		t.Run(rule.name, func(t *testing.T) {
			before := rule.check(real)
			for _, problem := range before {
				t.Error(problem)
			}
			after := rule.check(real.with(rule.planted))
			for _, want := range rule.want {
				if !slices.ContainsFunc(after, func(s string) bool { return strings.Contains(s, want) }) {
					t.Errorf("a planted violation was not seen: %s", want)
				}
			}
			if len(after) != len(before)+len(rule.want) {
				t.Errorf("%d problems with the planted files, want %d:\n%s", len(after), len(before)+len(rule.want), strings.Join(after, "\n"))
			}
		})
	}
}

// tree is the text of the module: path → content.
type tree map[string][]byte

// readTree reads what belongs to the project: all but .git, the data folder
// and binary files.
func readTree(t *testing.T) tree {
	t.Helper()
	tr := tree{}
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name == ".git" || name == "data" || name == "bin" {
				return fs.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil || !info.Mode().IsRegular() || info.Size() > 4<<20 {
			return err
		}
		data, err := os.ReadFile(name)
		if err == nil && utf8.Valid(data) && !bytes.ContainsRune(data, 0) {
			tr[name] = data
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(tr["go.mod"]) == 0 {
		t.Fatal("there is no go.mod here: the test must run in the root of the module")
	}
	return tr
}

// with returns a copy of the tree with more files.
func (tr tree) with(files map[string]string) tree {
	out := maps.Clone(tr)
	for name, content := range files {
		out[name] = []byte(content)
	}
	return out
}

// source is one parsed Go file.
type source struct {
	path   string
	folder string
	test   bool // *_test.go
	run    bool // a program of its own, for go run: //go:build ignore
	fset   *token.FileSet
	file   *ast.File
}

// at writes where a node stands.
func (s source) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.path, s.fset.Position(n.Pos()).Line)
}

// sources parses the Go files, in the order of their paths. Folders that the
// go command ignores are left out.
func (tr tree) sources() (out []source, problems []string) {
	for _, name := range slices.Sorted(maps.Keys(tr)) {
		folder := path.Dir(name)
		hidden := func(part string) bool { return part == "testdata" || strings.HasPrefix(part, "_") }
		if !strings.HasSuffix(name, ".go") || slices.ContainsFunc(strings.Split(folder, "/"), hidden) {
			continue
		}
		s := source{path: name, folder: folder, test: strings.HasSuffix(name, "_test.go"), fset: token.NewFileSet()}
		file, err := parser.ParseFile(s.fset, name, tr[name], parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			problems = append(problems, err.Error())
			continue
		}
		s.file = file
		for _, group := range file.Comments {
			for _, c := range group.List {
				expr, err := constraint.Parse(c.Text)
				if err == nil && c.Pos() < file.Package && expr.String() == "ignore" {
					s.run = true
				}
			}
		}
		out = append(out, s)
	}
	return out, problems
}

// checkImports holds every file against the import table.
func checkImports(tr tree) []string {
	files, problems := tr.sources()
	seen := map[string]bool{}
	for _, s := range files {
		if s.test {
			continue
		}
		r, ok := rooms[s.folder]
		if !ok && !seen[s.folder] {
			problems = append(problems, s.folder+" is not in the import table; add a line that says what it may import")
		}
		seen[s.folder] = true
		if !ok {
			continue
		}
		for _, spec := range s.file.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil || r.allows(name) {
				continue
			}
			problems = append(problems, fmt.Sprintf("%s: %s may not import %s", s.at(spec), s.folder, strings.TrimPrefix(name, "qingyuan/")))
		}
	}
	for name := range rooms {
		if !seen[name] {
			problems = append(problems, name+" is in the import table and not in the tree")
		}
	}
	return problems
}

func (r room) allows(name string) bool {
	if own, ok := strings.CutPrefix(name, "qingyuan/"); ok {
		return slices.Contains(r.ours, anyRoom) || slices.Contains(r.ours, own)
	}
	first, _, _ := strings.Cut(name, "/")
	if !strings.Contains(first, ".") {
		return true // the standard library
	}
	return slices.Contains(r.others, anyModule) || slices.Contains(r.others, name)
}

// checkSizes counts lines of files and functions.
func checkSizes(tr tree) []string {
	files, problems := tr.sources()
	for _, s := range files {
		lines, most := bytes.Count(tr[s.path], []byte("\n")), maxFileLines
		if s.test {
			most = maxTestFileLines
		}
		if lines > most {
			problems = append(problems, fmt.Sprintf("%s has %d lines, the most is %d", s.path, lines, most))
		}
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || s.test {
				continue
			}
			n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1
			if n > maxFuncLines {
				problems = append(problems, fmt.Sprintf("%s: %s has %d lines, the most is %d", s.at(f), f.Name.Name, n, maxFuncLines))
			}
		}
	}
	return problems
}

// checkNames looks for folders, functions and hosts that must not be there.
func checkNames(tr tree) []string {
	files, problems := tr.sources()
	for _, s := range files {
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				problems = append(problems, s.at(f)+": there is an init function; build the value where it is used, or in a constructor")
			}
		}
	}
	folders := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(tr)) {
		for dir := path.Dir(name); dir != "." && !folders[dir]; dir = path.Dir(dir) {
			folders[dir] = true
			if slices.Contains(forbiddenFolders, path.Base(dir)) {
				problems = append(problems, fmt.Sprintf("%s: no folder is named %s; name it after what it holds", dir, path.Base(dir)))
			}
		}
		for _, host := range registries {
			if line := lineOf(tr[name], host); line > 0 {
				problems = append(problems, fmt.Sprintf("%s:%d: names the registry %s; leave it to the machine's settings", name, line, host))
			}
		}
		if line := lineOf(tr[name], machinePath); line > 0 {
			problems = append(problems, fmt.Sprintf("%s:%d: names the path %s, which is on no other machine", name, line, machinePath))
		}
	}
	return problems
}

// lineOf returns the line on which text stands first, or 0.
func lineOf(data []byte, text string) int {
	at := bytes.Index(data, []byte(text))
	if at < 0 {
		return 0
	}
	return 1 + bytes.Count(data[:at], []byte("\n"))
}
