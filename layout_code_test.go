package qingyuan_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// checkComments wants one comment for every package and one for every
// exported name. One comment may speak for a block of constants or variables,
// and for a run of struct fields.
func checkComments(tr tree) []string {
	files, problems := tr.sources()
	packages := map[string]int{}
	for _, s := range files {
		if s.test || s.run {
			continue
		}
		if _, ok := packages[s.folder]; !ok {
			packages[s.folder] = 0
		}
		if s.file.Doc != nil {
			packages[s.folder]++
		}
		for _, decl := range s.file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				problems = append(problems, s.funcComment(d)...)
			case *ast.GenDecl:
				problems = append(problems, s.declComments(d)...)
			}
		}
	}
	for folder, n := range packages {
		switch {
		case n == 0:
			problems = append(problems, folder+" has no package comment; say what comes in, what goes out, and what it does not know")
		case n > 1:
			problems = append(problems, folder+" has more than one package comment; keep the one in the file named after the package")
		}
	}
	return problems
}

func (s source) missing(n ast.Node, name string) string {
	return fmt.Sprintf("%s: %s has no comment", s.at(n), name)
}

func (s source) funcComment(f *ast.FuncDecl) []string {
	name := f.Name.Name
	if f.Recv != nil {
		receiver := receiverName(f.Recv.List[0].Type)
		if !ast.IsExported(receiver) {
			return nil
		}
		name = receiver + "." + name
	}
	if !f.Name.IsExported() || f.Doc != nil {
		return nil
	}
	return []string{s.missing(f, name)}
}

func receiverName(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.StarExpr:
		return receiverName(x.X)
	case *ast.IndexExpr:
		return receiverName(x.X)
	case *ast.IndexListExpr:
		return receiverName(x.X)
	case *ast.Ident:
		return x.Name
	}
	return ""
}

func (s source) declComments(d *ast.GenDecl) (problems []string) {
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if !spec.Name.IsExported() {
				continue
			}
			if d.Doc == nil && spec.Doc == nil {
				problems = append(problems, s.missing(spec, spec.Name.Name))
			}
			switch x := spec.Type.(type) {
			case *ast.StructType:
				problems = append(problems, s.fieldComments(spec.Name.Name, x.Fields, true)...)
			case *ast.InterfaceType:
				problems = append(problems, s.fieldComments(spec.Name.Name, x.Methods, false)...)
			}
		case *ast.ValueSpec:
			exported := slices.IndexFunc(spec.Names, (*ast.Ident).IsExported)
			if exported >= 0 && d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
				problems = append(problems, s.missing(spec, spec.Names[exported].Name))
			}
		}
	}
	return problems
}

// fieldComments checks the fields of a struct, run by run, or each method of
// an interface. A run is what stands without an empty line; the comment of a
// struct speaks for its first run. Embedded fields explain themselves.
func (s source) fieldComments(owner string, list *ast.FieldList, runs bool) (problems []string) {
	var waiting []string // bare names of the present run
	spoken, lastLine := runs, 0
	for i, f := range list.List {
		first := s.fset.Position(f.Pos()).Line
		if f.Doc != nil {
			first = s.fset.Position(f.Doc.Pos()).Line
		}
		if i > 0 && (!runs || first > lastLine+1) {
			problems, waiting, spoken = append(problems, waiting...), nil, false
		}
		lastLine = s.fset.Position(f.End()).Line
		spoken = spoken || f.Doc != nil || f.Comment != nil
		for _, name := range f.Names {
			if name.IsExported() {
				waiting = append(waiting, s.missing(f, owner+"."+name.Name))
			}
		}
		if spoken {
			waiting = nil
		}
	}
	return append(problems, waiting...)
}

// bannedColly are the parts of colly that lose pages, leak, or go round the
// transport's guard.
var bannedColly = []string{"Async", "Wait", "Clone", "SetClient", "SetProxy", "SetProxyFunc", "Limit", "Limits", "SetStorage", "CacheDir", "Retry", "DetectCharset"}

const collyPath = "github.com/gocolly/colly/v2"

// checkColly type-checks the packages that use colly and looks for banned
// parts; names alone would not tell colly's Wait from a WaitGroup's.
func checkColly(tr tree) []string {
	files, problems := tr.sources()
	packages := map[string][]source{}
	for _, s := range files {
		if s.test || s.run {
			continue
		}
		for _, spec := range s.file.Imports {
			name, _ := strconv.Unquote(spec.Path.Value)
			if sub, ok := strings.CutPrefix(name, collyPath+"/"); ok && sub != "debug" {
				problems = append(problems, fmt.Sprintf("%s: colly's %s is not used here", s.at(spec), sub))
			}
			if name == collyPath {
				packages[s.folder] = nil
			}
		}
	}
	if len(packages) == 0 {
		return append(problems, "nothing imports colly; is its path still "+collyPath+"?")
	}
	for _, s := range files {
		if _, ok := packages[s.folder]; ok && !s.test && !s.run && s.builtHere(tr) {
			packages[s.folder] = append(packages[s.folder], s)
		}
	}
	for folder, sources := range packages {
		problems = append(problems, bannedUses(tr, folder, sources)...)
	}
	return problems
}

// builtHere reports whether the file belongs to the build on this system.
func (s source) builtHere(tr tree) bool {
	b := build.Default
	b.OpenFile = func(string) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(tr[s.path])), nil }
	ok, err := b.MatchFile(s.folder, s.path[strings.LastIndex(s.path, "/")+1:])
	return ok && err == nil
}

func bannedUses(tr tree, folder string, sources []source) (problems []string) {
	exports, err := exportData("./" + folder)
	if err != nil {
		return []string{err.Error()}
	}
	fset := token.NewFileSet()
	var parsed []*ast.File
	for _, s := range sources {
		f, err := parser.ParseFile(fset, s.path, tr[s.path], parser.SkipObjectResolution)
		if err != nil {
			return []string{err.Error()}
		}
		parsed = append(parsed, f)
	}
	lookup := func(name string) (io.ReadCloser, error) { return os.Open(exports[name]) }
	conf := types.Config{Importer: importer.ForCompiler(fset, "gc", lookup), Error: func(err error) { problems = append(problems, err.Error()) }}
	info := types.Info{Uses: map[*ast.Ident]types.Object{}}
	conf.Check("qingyuan/"+folder, fset, parsed, &info) //nolint:errcheck // Error has them all
	for id, obj := range info.Uses {
		if obj.Pkg() == nil || obj.Pkg().Path() != collyPath || !slices.Contains(bannedColly, obj.Name()) {
			continue
		}
		at := fset.Position(id.Pos())
		problems = append(problems, fmt.Sprintf("%s:%d: colly's %s is not used here: it loses pages or goes round the transport", at.Filename, at.Line, obj.Name()))
	}
	return problems
}

// exportData asks the go command for the compiled interfaces of what a
// package imports: import path → file.
func exportData(pkg string) (map[string]string, error) {
	var stderr strings.Builder
	cmd := exec.Command("go", "list", "-export", "-deps", "-f", "{{.ImportPath}}={{.Export}}", pkg)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("listing what %s imports: %w\n%s", pkg, err, stderr.String())
	}
	exports := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, file, _ := strings.Cut(strings.TrimSpace(line), "=")
		exports[name] = file
	}
	return exports, nil
}
