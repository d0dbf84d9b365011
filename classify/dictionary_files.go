package classify

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"qingyuan/post"
	"qingyuan/strictyaml"
)

// ReadDictionaryFiles reads every *.yaml of fsys, by name. Files that are too
// large are cut one byte after the limit, so that LoadDictionaryFiles names it.
func ReadDictionaryFiles(fsys fs.FS) (map[string][]byte, error) {
	names, err := fs.Glob(fsys, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("listing dictionaries: %w", err)
	}
	files := make(map[string][]byte, len(names))
	for _, name := range names {
		if files[name], err = readDictionaryFile(fsys, name); err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
	}
	return files, nil
}

// LoadDictionaryFiles is LoadDictionary for files in memory, by name; the same
// bytes give the same version and the same mistakes.
func LoadDictionaryFiles(files map[string][]byte) (*Dictionary, error) {
	if len(files) == 0 {
		return nil, noDictionary()
	}
	l := newLoader()
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		sumFile(sum, name, files[name])
		l.file(name, files[name])
	}
	return l.loaded(sum)
}

// FilesFingerprint is FolderFingerprint for files in memory.
func FilesFingerprint(files map[string][]byte) string {
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		sumFile(sum, name, files[name])
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// ExampleResult is an example of a rule, tried.
type ExampleResult struct {
	Text    string
	Applies bool // it must, or must not
	OK      bool // it does as written
}

// TryExamples runs the hit: and miss: examples of one rule, exception or cue;
// none for an id that the dictionary does not have.
func (c *Classifier) TryExamples(id string) []ExampleResult {
	r, ok := c.dict.byID[id]
	if !ok {
		return nil
	}
	a := newAnalysis(c)
	var out []ExampleResult
	try := func(text string, want bool) {
		a.analyse(post.Post{Text: text})
		out = append(out, ExampleResult{Text: text, Applies: want, OK: a.fired(id) == want})
	}
	for _, text := range r.Hit {
		try(text, true)
	}
	for _, text := range r.Miss {
		try(text, false)
	}
	return out
}

// MistakesOf returns the mistakes that err holds, one when it is no list of
// them, none for nil.
func MistakesOf(err error) []strictyaml.Mistake {
	var many strictyaml.Mistakes
	var one strictyaml.Mistake
	switch {
	case err == nil:
		return nil
	case errors.As(err, &many):
		return many
	case errors.As(err, &one):
		return []strictyaml.Mistake{one}
	}
	return []strictyaml.Mistake{{Problem: err.Error()}}
}
