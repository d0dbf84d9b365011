package main

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"

	"qingyuan/classify"
	"qingyuan/dictionaries"
)

// runDict has what operators of dictionaries do besides writing them.
func runDict(ctx context.Context, std stdio, args []string) error {
	const usage = "there are: dict suggest [FILE.jsonl|-], dict diff OLD NEW, dict backtest OLD NEW [FILE.jsonl|-]"
	if len(args) == 0 {
		return misusef(usage)
	}
	switch args[0] {
	case "suggest":
		return runDictSuggest(ctx, std, args[1:])
	case "diff":
		return runDictDiff(ctx, std, args[1:])
	case "backtest":
		return runDictBacktest(ctx, std, args[1:])
	case "-h", "--help", "help":
		fmt.Fprintln(std.err, usage)
		return flag.ErrHelp
	}
	return misusef("there is no dict %s; "+usage, args[0])
}

// parseAnywhere is parse for commands whose flags may also stand after their
// arguments, which it returns.
func (f *flags) parseAnywhere(args []string) (config, []string, error) {
	var rest []string
	for {
		if err := f.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return config{}, nil, err
			}
			return config{}, nil, misuse{err}
		}
		if f.NArg() == 0 {
			break
		}
		rest, args = append(rest, f.Arg(0)), f.Args()[1:]
	}
	c, err := f.parse(nil)
	return c, rest, err
}

// dictShown is how many entries of a kind dict diff shows in a section.
const dictShown = 40

func runDictDiff(ctx context.Context, std stdio, args []string) error {
	f := newFlags(std, "dict diff", "OLD NEW")
	asJSON := f.Bool("json", false, "print every difference as JSON")
	most := f.Int("n", dictShown, "most entries of a kind to show in a category; 0: all")
	_, names, err := f.parseAnywhere(args)
	if err != nil {
		return err
	}
	if len(names) != 2 {
		return misusef("name the old and the new dictionaries: a folder, %s, or git:REVISION:FOLDER", builtinDictionary)
	}
	older, newer, err := loadBoth(ctx, names[0], names[1])
	if err != nil {
		return err
	}
	d := classify.Diff(older, newer)
	if *asJSON {
		return writeJSON(std.out, d)
	}
	return d.Print(std.out, *most)
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// loadBoth loads two dictionaries and returns the mistakes of both at once.
func loadBoth(ctx context.Context, older, newer string) (*classify.Dictionary, *classify.Dictionary, error) {
	o, err := namedDictionary(ctx, older)
	n, err2 := namedDictionary(ctx, newer)
	return o, n, errors.Join(err, err2)
}

// builtinDictionary names the dictionaries that the program carries, where a
// command takes any.
const builtinDictionary = "built-in"

// namedDictionary loads the dictionaries that a command line names: a folder,
// built-in, or git:REVISION:FOLDER.
func namedDictionary(ctx context.Context, name string) (*classify.Dictionary, error) {
	fsys, err := namedFolder(ctx, name)
	if err != nil {
		return nil, err
	}
	d, err := classify.LoadDictionary(fsys)
	return d, prefixed(strings.TrimSuffix(name, "/"), err)
}

func namedFolder(ctx context.Context, name string) (fs.FS, error) {
	if name == builtinDictionary {
		return dictionaries.FS, nil
	}
	if rev, ok := strings.CutPrefix(name, "git:"); ok {
		return gitFolder(ctx, rev)
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("reading dictionaries: %w; name a folder, %s, or git:REVISION:FOLDER", err, builtinDictionary)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is no folder; name the folder of the dictionary files", name)
	}
	return os.DirFS(name), nil
}

// maxArchive bounds what is taken from git.
const maxArchive = 64 << 20

// gitFolder is REVISION:FOLDER of the repository in the working directory, as
// git archive packs it. Nothing is checked out.
func gitFolder(ctx context.Context, rev string) (fs.FS, error) {
	if rev == "" || rev[0] == '-' || !strings.Contains(rev, ":") {
		return nil, misusef("%q is no revision and folder; write git:HEAD~1:dictionaries", rev)
	}
	var out, problem bytes.Buffer
	cmd := exec.CommandContext(ctx, "git", "archive", "--format=zip", rev)
	cmd.Stdout, cmd.Stderr = &capped{&out, maxArchive}, &capped{&problem, 1 << 10}
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("asking git for %s: %w: %s", rev, err, oneLine(strings.TrimSpace(problem.String()), 300))
	}
	z, err := zip.NewReader(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		return nil, fmt.Errorf("reading what git packed of %s: %w", rev, err)
	}
	return z, nil
}

// capped takes so many bytes and refuses the rest.
type capped struct {
	w    io.Writer
	left int
}

func (c *capped) Write(p []byte) (int, error) {
	if len(p) > c.left {
		return 0, fmt.Errorf("more than expected")
	}
	c.left -= len(p)
	return c.w.Write(p)
}

// runDictSuggest looks for new wordings.
func runDictSuggest(ctx context.Context, std stdio, args []string) error {
	f := newFlags(std, "dict suggest", "[FILE.jsonl|-]", "data", "dict")
	src := f.postSource()
	category := f.String("category", "", "only wordings that lean to this category `id`")
	least := f.Int("min", 3, "flagged posts that a wording must stand in")
	top := f.Int("top", 30, "most wordings to show")
	asJSON := f.Bool("json", false, "print as JSON")
	c, names, err := f.parseAnywhere(args)
	if err != nil {
		return err
	}
	if *least < 1 || *top < 1 {
		return misusef("-min and -top are at least 1")
	}
	if err := src.arguments(names); err != nil {
		return err
	}
	classifier, err := openClassifier(c)
	if err != nil {
		return err
	}
	if _, known := classifier.Dictionary().Category(*category); *category != "" && !known {
		return misusef("category %q is unknown; it is the name of a dictionary file without .yaml", *category)
	}
	spool, err := os.CreateTemp("", "qingyuan-suggest-")
	if err != nil {
		return fmt.Errorf("making a temporary file: %w", err)
	}
	os.Remove(spool.Name()) // where the system allows, nobody else ever sees it
	defer os.Remove(spool.Name())
	defer spool.Close()
	posts, closePosts, err := src.open(ctx, std, c)
	if err != nil {
		return err
	}
	defer closePosts()
	s, err := classify.Suggest(ctx, classifier, posts, classify.SuggestOptions{Spool: spool, Category: *category, Min: *least, Top: *top})
	if err != nil {
		return err
	}
	if *asJSON {
		return writeJSON(std.out, s)
	}
	return printSuggestions(std.out, s)
}

func printSuggestions(w io.Writer, s classify.Suggestions) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d flagged posts against %d others; besides %d unflagged about the same subjects, and %d that repeat another; dictionary %s\n",
		s.Flagged, s.Unflagged, s.About, s.Repeated, s.Dictionary)
	if s.Judged > 0 {
		fmt.Fprintf(&b, "%d posts came without label and were judged here\n", s.Judged)
	}
	if s.Flagged == 0 || s.Unflagged == 0 {
		b.WriteString("both flagged posts and unflagged ones on other subjects are needed to compare\n")
	}
	var order []string // of categories, by their strongest wording; the general ones last
	for _, x := range s.Wordings {
		if x.Category != "" && !slices.Contains(order, x.Category) {
			order = append(order, x.Category)
		}
	}
	for _, id := range append(order, "") {
		title := "\n" + id + ".yaml, terms:\n"
		if id == "" {
			title = "\nof sellers in general: members for a class in classes.yaml, such as provider, fee or guarantee\n"
		}
		for _, x := range s.Wordings {
			if x.Category == id {
				b.WriteString(title)
				title = ""
				printSuggestion(&b, x)
			}
		}
	}
	if len(s.Wordings) == 0 {
		b.WriteString("no new wording stands out\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func printSuggestion(b *strings.Builder, x classify.Suggestion) {
	fmt.Fprintf(b, "  %s\n", oneLine(x.YAML, 200))
	fmt.Fprintf(b, "      log-odds %+.1f, G %.1f, PMI %.1f, entropy %.1f; %.0f%% %s\n",
		x.LogOdds, x.G, x.PMI, x.Entropy, 100*x.Share, cmp.Or(x.Category, "of one category at most"))
	for _, e := range x.Examples {
		fmt.Fprintf(b, "      %s\n", oneLine(e, 80))
	}
}
