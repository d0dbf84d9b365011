package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/go-ego/gse"

	"qingyuan/classify"
	"qingyuan/index"
	"qingyuan/index/elastic"
	"qingyuan/strictyaml"
)

// The values of index.backend.
const (
	backendSQLite  = "sqlite"
	backendElastic = "elastic"
)

type indexConfig struct {
	Backend string        `yaml:"backend"` // sqlite or elastic
	Elastic elasticConfig `yaml:"elastic"`
}

type elasticConfig struct {
	URLs         []string `yaml:"urls"`          // one a node
	Prefix       string   `yaml:"prefix"`        // begins the names of all indices
	CAFile       string   `yaml:"ca_file"`       // authority of the server's certificate, PEM
	Fingerprint  string   `yaml:"fingerprint"`   // or its SHA-256
	APIKeyFile   string   `yaml:"api_key_file"`  // the key, encoded
	User         string   `yaml:"user"`          // or a user
	PasswordFile string   `yaml:"password_file"` //
	SpoolMB      int      `yaml:"spool_mb"`      // what may wait on disk while the server is away

	apiKey, password string // of the environment; they win over the files
}

func defaultIndex() indexConfig {
	return indexConfig{Backend: backendSQLite, Elastic: elasticConfig{URLs: []string{"http://127.0.0.1:9200"}, Prefix: elastic.DefaultPrefix, SpoolMB: 1024}}
}

// environment applies QINGYUAN_INDEX_BACKEND, QINGYUAN_ELASTIC_URLS and the like.
func (c *indexConfig) environment() {
	e := &c.Elastic
	for name, field := range map[string]*string{
		"QINGYUAN_INDEX_BACKEND": &c.Backend, "QINGYUAN_ELASTIC_PREFIX": &e.Prefix, "QINGYUAN_ELASTIC_CA_FILE": &e.CAFile,
		"QINGYUAN_ELASTIC_FINGERPRINT": &e.Fingerprint, "QINGYUAN_ELASTIC_API_KEY": &e.apiKey, "QINGYUAN_ELASTIC_API_KEY_FILE": &e.APIKeyFile,
		"QINGYUAN_ELASTIC_USER": &e.User, "QINGYUAN_ELASTIC_PASSWORD": &e.password, "QINGYUAN_ELASTIC_PASSWORD_FILE": &e.PasswordFile,
	} {
		if v, ok := os.LookupEnv(name); ok {
			*field = v
		}
	}
	if v, ok := os.LookupEnv("QINGYUAN_ELASTIC_URLS"); ok {
		e.URLs = strings.Split(v, ",")
	}
}

// check returns what is wrong with the values; secrets are not read for that.
func (c *indexConfig) check(at func(problem, remedy string, path ...any) strictyaml.Mistake) strictyaml.Mistakes {
	var ms strictyaml.Mistakes
	if c.Backend != backendSQLite && c.Backend != backendElastic {
		ms = append(ms, at(fmt.Sprintf("%q is unknown", c.Backend), "use sqlite, elastic", "index", "backend"))
	}
	e := c.Elastic
	if err := elastic.CheckPrefix(e.Prefix); err != nil {
		ms = append(ms, at(err.Error(), "write prefix: qingyuan", "index", "elastic", "prefix"))
	}
	s := elastic.Server{URLs: e.URLs, CAFile: e.CAFile, Fingerprint: e.Fingerprint, User: e.User}
	if e.User != "" {
		s.Password = "…" // that there is one shows when the store is opened
	}
	if err := s.Validate(); err != nil {
		ms = append(ms, at(err.Error(), "see configs/qingyuan.yaml", "index", "elastic"))
	}
	if e.APIKeyFile != "" && e.User != "" {
		ms = append(ms, at("an API key and a user are given", "give one of them", "index", "elastic", "api_key_file"))
	}
	if e.SpoolMB < 1 || e.SpoolMB > 1_000_000 {
		ms = append(ms, at(fmt.Sprintf("%d MB are out of range", e.SpoolMB), "use 1 to 1000000", "index", "elastic", "spool_mb"))
	}
	return ms
}

// elasticOptions reads the secrets and makes the options of the store.
func elasticOptions(c config) (elastic.Options, error) {
	e := c.Index.Elastic
	key, err := secret(e.apiKey, e.APIKeyFile)
	if err != nil {
		return elastic.Options{}, fmt.Errorf("index.elastic.api_key_file: %w", err)
	}
	password, err := secret(e.password, e.PasswordFile)
	if err != nil {
		return elastic.Options{}, fmt.Errorf("index.elastic.password_file: %w", err)
	}
	cut := sync.OnceValues(loadWords)
	return elastic.Options{
		Server: elastic.Server{URLs: e.URLs, CAFile: e.CAFile, Fingerprint: e.Fingerprint, APIKey: key, User: e.User, Password: password},
		Prefix: e.Prefix, Spool: filepath.Join(c.Data, "spool"), SpoolBytes: int64(e.SpoolMB) << 20, Normalize: classify.Normalize,
		Words:  func(text string) []string { return words(cut, classify.Normalize(text)) },
		Logger: newLogger(stdio{err: os.Stderr}, c),
	}, nil
}

// secret is the value, or what stands in the file.
func secret(value, file string) (string, error) {
	if value != "" || file == "" {
		return value, nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading a secret: %w", err)
	}
	if value = strings.TrimSpace(string(raw)); value == "" {
		return "", fmt.Errorf("%s is empty", file)
	}
	return value, nil
}

func openElastic(ctx context.Context, c config) (index.Store, error) {
	opts, err := elasticOptions(c)
	if err != nil {
		return nil, err
	}
	return elastic.Open(ctx, opts)
}

// loadWords loads gse's dictionary without the rarest words.
func loadWords() (*gse.Segmenter, error) {
	s := gse.Segmenter{SkipLog: true, NotLoadHMM: true}
	s.MinTokenFreq = 20
	if err := s.LoadDictEmbed("zh_s"); err != nil {
		return nil, fmt.Errorf("loading the segmentation dictionary: %w", err)
	}
	return &s, nil
}

// words cuts a text into words of two characters and more, for significant
// terms; searches do not depend on it.
func words(load func() (*gse.Segmenter, error), text string) []string {
	s, err := load()
	if err != nil {
		return nil
	}
	var out []string
	for _, w := range s.Cut(text) {
		w = strings.ToLower(strings.TrimSpace(w))
		if runes := []rune(w); len(runes) > 1 && len(runes) <= 32 && (unicode.IsLetter(runes[0]) || unicode.IsDigit(runes[0])) {
			out = append(out, w)
		}
	}
	return out
}

// runSetup makes what the index needs on its server.
func runSetup(ctx context.Context, std stdio, args []string) error {
	f := newFlags(std, "setup", "", "data", "lang")
	c, err := f.parse(args)
	if err != nil {
		return err
	}
	if f.NArg() > 0 {
		return misusef("setup takes no arguments")
	}
	say := func(en, zh string) {
		if c.Language == "zh" {
			en = zh
		}
		fmt.Fprintln(std.out, en)
	}
	if c.Index.Backend == backendElastic {
		opts, err := elasticOptions(c)
		if err != nil {
			return err
		}
		if err := elastic.Setup(ctx, opts, say); err != nil {
			return err
		}
		if c.Kibana.URL != "" {
			n, err := importKibana(ctx, c)
			if err != nil {
				return fmt.Errorf("importing into Kibana at %s: %w", c.Kibana.URL, err)
			}
			say(fmt.Sprintf("Kibana: %d objects imported", n), fmt.Sprintf("Kibana：已导入 %d 个对象", n))
		}
	} else {
		store, err := openStore(ctx, c)
		if err != nil {
			return err
		}
		if err := store.Close(); err != nil {
			return err
		}
	}
	say("the index is ready", "索引已就绪")
	return nil
}

// runIndex is qingyuan index status and qingyuan index redo.
func runIndex(ctx context.Context, std stdio, args []string) error {
	if len(args) == 0 || args[0] != "status" && args[0] != "redo" {
		return misusef("write index status or index redo")
	}
	f := newFlags(std, "index "+args[0], "", "data", "lang")
	asJSON := f.Bool("json", false, "print JSON")
	c, err := f.parse(args[1:])
	if err != nil {
		return err
	}
	if c.Index.Backend != backendElastic {
		return misusef("index.backend is %s: it has no server that could be away or refuse records", c.Index.Backend)
	}
	opts, err := elasticOptions(c)
	if err != nil {
		return err
	}
	store, err := elastic.Open(ctx, opts)
	if err != nil {
		return err
	}
	defer store.Close()
	if args[0] == "redo" {
		return indexRedo(ctx, std, c, store)
	}
	return indexStatus(std, c, store, *asJSON)
}

func indexRedo(ctx context.Context, std stdio, c config, store *elastic.Store) error {
	taken, err := store.Redo(ctx)
	left := store.Stats().Refused
	format := "%d taken, %d still refused\n"
	if c.Language == "zh" {
		format = "已收下 %d 条，仍被拒绝 %d 条\n"
	}
	fmt.Fprintf(std.out, format, taken, left)
	return err
}

func indexStatus(std stdio, c config, store *elastic.Store, asJSON bool) error {
	st := store.Stats()
	refused, err := store.Refused()
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(std.out).Encode(map[string]any{"index": st, "refused": refused})
	}
	format := "state: %s\nwaiting in the spool: %d batches, %.1f of %d MB\nrefused by the server: %d\n"
	if c.Language == "zh" {
		format = "状态：%s\n磁盘上等待写入：%d 批，%.1f / %d MB\n被服务器拒绝：%d 条\n"
	}
	fmt.Fprintf(std.out, format, indexState(st, c.Language), st.SpoolEntries, float64(st.SpoolBytes)/(1<<20), st.SpoolLimit>>20, st.Refused)
	for _, r := range refused {
		fmt.Fprintf(std.out, "  %s  %s  %s  %s\n", r.At.In(shanghai()).Format(time.DateTime), r.RecordID, r.URL, printable(r.Reason))
	}
	return nil
}

// indexStates are the states in Chinese and English.
var indexStates = map[elastic.State][2]string{
	elastic.StateOK:       {"正常", "ok"},
	elastic.StateAway:     {"索引服务器没有应答，新记录先存在磁盘上", "the index server does not answer; new records wait on disk"},
	elastic.StateDiskFull: {"索引服务器磁盘已满，新记录先存在磁盘上；请在服务器上腾出空间", "the index server's disk is full; new records wait on disk; free space there"},
	elastic.StateRefused:  {"索引服务器拒绝访问，请检查密钥、用户、权限或证书", "the index server refuses; check key, user, rights or certificate"},
	elastic.StateNotSetUp: {"索引尚未初始化或版本不符，请运行 qingyuan setup", "the index is not set up or of another version; run: qingyuan setup"},
}

func indexState(st elastic.Stats, lang string) string {
	n := 1
	if lang == "zh" {
		n = 0
	}
	text := indexStates[st.State][n]
	if st.Problem != "" {
		text += ": " + st.Problem
	}
	return text
}

// indexStats tells how a store with a server does; false for the embedded one.
func indexStats(stores ...index.Store) (elastic.Stats, bool) {
	for _, s := range stores {
		if e, ok := s.(*elastic.Store); ok && e != nil {
			return e.Stats(), true
		}
	}
	return elastic.Stats{}, false
}

// indexHealth adds to what /healthz says how the index does: that of the crawl
// in this process, whose records may wait, else that of the pages.
func indexHealth(rest func() map[string]any, watch *crawlWatch, pages index.Store) func() map[string]any {
	return func() map[string]any {
		answer := rest()
		stores := []index.Store{pages}
		if watch != nil && watch.index != nil {
			stores = []index.Store{watch.index}
		}
		if st, ok := indexStats(stores...); ok {
			answer["index"] = st
		}
		return answer
	}
}

// withIndexProblem adds what is wrong with the index to a problem for the overview.
func withIndexProblem(problem string, store index.Store) string {
	st, ok := indexStats(store)
	if !ok || st.State == elastic.StateOK {
		return problem
	}
	text := fmt.Sprintf("%s (%d waiting)", indexState(st, "en"), st.SpoolEntries)
	if problem != "" {
		text = problem + " · " + text
	}
	return text
}
