package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"qingyuan/configs/sites"
	"qingyuan/crawler"
	"qingyuan/crawler/transport"
)

// siteNewAnswer is the JSON of site new.
type siteNewAnswer struct {
	File   string             `json:"file,omitempty"` // written; "": the config is in Config
	Config string             `json:"config,omitempty"`
	Kit    string             `json:"kit,omitempty"`
	Marks  []string           `json:"marks,omitempty"`
	Report crawler.SiteReport `json:"report"`
	Doubts []crawler.Doubt    `json:"doubts"`
}

// siteNewFlags are the flags of site new.
type siteNewFlags struct {
	*flags
	out, name, page, kits       *string
	threads                     []string
	force, allowPrivate, asJSON *bool
}

func newSiteNewFlags(std stdio) *siteNewFlags {
	f := &siteNewFlags{flags: newFlags(std, "site new", "URL", "lang")}
	f.out = f.String("o", "", "`file` to write (default: NAME.yaml in the folder of sites; - prints it)")
	f.force = f.Bool("force", false, "write over a file that exists")
	f.name = f.String("name", "", "name of the source (default: made of the host)")
	f.page = f.String("page", "", "saved `file` of the page; nothing is fetched then")
	f.Func("thread", "saved `file` of a thread of the site; may be given more than once", func(s string) error { f.threads = append(f.threads, s); return nil })
	f.allowPrivate = f.Bool("allow-private", false, "the site may have a loopback or private address: labs only")
	f.kits = f.String("kits", "", "`folder` of kits (default: the built-in ones)")
	f.asJSON = f.Bool("json", false, "print the result as JSON")
	return f
}

// runSiteNew is qingyuan site new: a first config of a site, tried at once.
func runSiteNew(ctx context.Context, std stdio, args []string) error {
	f := newSiteNewFlags(std)
	c, err := f.parse(args)
	if err != nil {
		return err
	}
	if f.NArg() > 1 || f.NArg() == 0 && *f.page == "" {
		return misusef("name one URL: that of a board, a list of threads, or a feed")
	}
	kits, err := readKits(*f.kits)
	if err != nil {
		return err
	}
	logger := newLogger(std, c)
	crawler.ClearCollyEnv()
	fetcher, err := crawler.NewFetcher(crawler.FetcherOptions{UserAgent: transport.UserAgent(version, c.Crawl.Contact), Logger: logger})
	if err != nil {
		return err
	}
	defer fetcher.Close()
	opts := crawler.DraftOptions{Name: *f.name, Language: c.Language, AllowPrivate: *f.allowPrivate, Kits: kits}
	page, err := f.firstPage(ctx, fetcher, &opts)
	if err != nil {
		return err
	}
	draft, err := crawler.DraftSite(ctx, page, opts)
	if err != nil {
		return err
	}
	file := *f.out
	if file == "" {
		file = filepath.Join(c.Sites, draft.Source.Name+".yaml")
	}
	if file != "-" {
		if err := writeNewFile(file, draft.Config, *f.force); err != nil {
			return err
		}
	}
	return f.report(std, c, draft, file)
}

// firstPage reads or fetches the page, and says in opts how threads are had.
func (f *siteNewFlags) firstPage(ctx context.Context, fetcher *crawler.Fetcher, opts *crawler.DraftOptions) (crawler.Page, error) {
	for _, name := range f.threads {
		pg, err := readUnknownPage(name, "")
		if err != nil {
			return pg, err
		}
		opts.Threads = append(opts.Threads, pg)
	}
	if *f.page != "" {
		return readUnknownPage(*f.page, f.Arg(0))
	}
	src, err := crawler.FirstSource(f.Arg(0), *f.allowPrivate)
	if err != nil {
		return crawler.Page{}, fmt.Errorf("%w\nwrite https://HOST/PATH; for a lab on this machine add -allow-private", err)
	}
	opts.Fetch = fetcher.Fetch
	return fetcher.Fetch(ctx, src, f.Arg(0))
}

func readUnknownPage(name, rawURL string) (crawler.Page, error) {
	raw, err := os.ReadFile(name)
	if err != nil {
		return crawler.Page{}, fmt.Errorf("reading the page: %w", err)
	}
	return crawler.UnknownPage(name, raw, rawURL)
}

// readKits reads the built-in kits, or those of a folder.
func readKits(folder string) ([]crawler.Kit, error) {
	var fsys fs.FS = sites.FS
	if folder != "" {
		fsys = os.DirFS(folder)
	}
	kits, err := crawler.ReadKits(fsys)
	if err != nil {
		return nil, fmt.Errorf("reading kits: %w", prefixed(folder, err))
	}
	if len(kits) == 0 {
		return nil, fmt.Errorf("no file in %s has detect, so there is no kit", folder)
	}
	return kits, nil
}

// writeNewFile writes a file that must not be there, or may be with force.
func writeNewFile(name string, data []byte, force bool) error {
	how := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		how = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	w, err := os.OpenFile(name, how, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists and is left as it is; use -force to write over it, or another name with -o or -name", name)
	}
	if err != nil {
		return fmt.Errorf("writing the config: %w", err)
	}
	_, err = w.Write(data)
	if closeErr := w.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("writing the config: %w", err)
	}
	return nil
}

// report tells what the config reads and what to check by eye. It is an error
// that it reads nothing.
func (f *siteNewFlags) report(std stdio, c config, draft crawler.Draft, file string) error {
	var told strings.Builder
	var pages []crawler.Page
	for _, pg := range draft.Pages {
		canonical, _, err := draft.Source.Canonical(pg.URL)
		if err != nil {
			continue
		}
		if _, ok := draft.Source.Rule(canonical); ok { // not the front page, from which only boards were taken
			pg.URL = canonical
			pages = append(pages, pg)
		}
	}
	report, err := crawler.TestSite(&told, draft.Source, pages)
	if err != nil {
		return err
	}
	answer := siteNewAnswer{File: file, Kit: draft.Kit, Marks: draft.Marks, Report: report, Doubts: append([]crawler.Doubt{}, draft.Doubts...)}
	if file == "-" {
		answer.File, answer.Config = "", string(draft.Config)
	}
	if *f.asJSON {
		enc := json.NewEncoder(std.out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		err = enc.Encode(answer)
	} else {
		_, err = fmt.Fprint(std.out, answer.text(c.Language, told.String()))
	}
	if err != nil {
		return err
	}
	found := report.Posts
	for _, p := range report.Pages {
		found += len(p.Previews)
	}
	if found == 0 {
		return errors.New(siteWord(c.Language, "nothing"))
	}
	return nil
}

// text is the answer for a person.
func (a siteNewAnswer) text(lang, told string) string {
	var b strings.Builder
	if a.Kit != "" {
		fmt.Fprintf(&b, siteWord(lang, "kit")+"\n", a.Kit)
		for _, m := range a.Marks {
			fmt.Fprintf(&b, "  %s\n", plainLine(m))
		}
	} else {
		b.WriteString(siteWord(lang, "no_kit") + "\n")
	}
	if a.File != "" {
		fmt.Fprintf(&b, siteWord(lang, "written")+"\n", a.File)
	} else {
		b.WriteString("\n" + a.Config)
	}
	b.WriteString("\n" + told)
	if len(a.Doubts) > 0 {
		b.WriteString("\n" + siteWord(lang, "doubts") + "\n")
	}
	for _, d := range a.Doubts {
		line := siteWord(lang, "doubt."+string(d.Code))
		if d.Detail != "" {
			line += ": " + plainLine(d.Detail)
		}
		fmt.Fprintf(&b, "  ? %s\n", line)
	}
	if a.File != "" {
		fmt.Fprintf(&b, "\n"+siteWord(lang, "next")+"\n", a.File)
	}
	return b.String()
}

// plainLine makes one line of what a page or an error said.
func plainLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }), " ")
}

// siteWord is a sentence of site new and site check in a language.
func siteWord(lang, key string) string {
	w, ok := siteWords[key]
	if !ok {
		return key
	}
	if lang == "en" {
		return w[1]
	}
	return w[0]
}

// siteWords are the sentences, Chinese and English.
var siteWords = map[string][2]string{
	"kit":     {"识别为套件 %s，依据：", "this is the kit %s, by:"},
	"no_kit":  {"没有套件与页面相符，选择器由页面结构推测。", "no kit fits the page; the selectors are guessed from its structure."},
	"written": {"已写入 %s", "written to %s"},
	"doubts":  {"请人工核对：", "check by eye:"},
	"next":    {"下一步：核对 %[1]s，然后运行 qingyuan check 和 qingyuan site check %[1]s", "next: look through %[1]s, then run qingyuan check and qingyuan site check %[1]s"},
	"nothing": {"这份配置还读不到任何帖子，见上文", "the config does not read a post yet; see above"},

	"refused": {"站点配置的修改未被采用，原配置继续使用；错误 %d 处：%s", "edit of the sites refused, the sites before go on; mistakes: %d: %s"},

	"state.ok":      {"正常", "ok   "},
	"state.drift":   {"漂移", "drift"},
	"state.skipped": {"跳过", "skip "},
	"checked":       {"：%d 页，%d 条", ": %d pages, %d posts"},
	"drifted":       {"%[2]d 个站点中有 %[1]d 个低于预期", "%d of %d sites yield less than expected"},

	"doubt.no_kit":     {"选择器为推测，逐项看一遍", "the selectors are guesses; look at each"},
	"doubt.other_kit":  {"另一套件也几乎相符", "another kit fits nearly as well"},
	"doubt.no_thread":  {"没有看到任何帖子页：帖子页的规则未经验证", "no page of a thread was seen: its rule is not tried"},
	"doubt.one_thread": {"看到的页面都没有回复：回复的规则未经验证", "only pages without replies were seen: how replies look is not known"},
	"doubt.fetch":      {"页面抓取失败", "a page could not be had"},
	"doubt.nothing":    {"此页读不到帖子，也没有列表行", "neither posts nor rows are read from"},
	"doubt.key":        {"帖子没有自己的编号，按页内位置编号：前面的帖子被删后编号会变", "posts have no id of their own and are numbered by place: a deletion before them changes it"},
	"doubt.paging":     {"没有看到下一页的链接", "no link to a next page was seen"},
	"doubt.seed":       {"起点只有一个帖子，不会发现新帖：请把版块列表写入 seeds", "the only seed is a thread, from which no new ones are found: put a board into seeds"},
	"doubt.script":     {"页面几乎没有文字，可能由脚本生成", "the page has hardly any text; it may be drawn by script"},
	"doubt.feed":       {"站点还提供订阅源", "the site offers a feed as well"},
	"doubt.warning":    {"读取时的警告", "warned while reading"},
}
