package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"qingyuan/accounts"
	"qingyuan/strictyaml"
)

// config is configs/qingyuan.yaml. Defaults come first, the file over them,
// then QINGYUAN_* environment variables, then flags.
type config struct {
	Data          string          `yaml:"data"`         // folder of everything that is kept
	Addr          string          `yaml:"addr"`         // where the triage pages listen, host:port
	Hosts         []string        `yaml:"hosts"`        // names the pages may be asked under besides localhost and loopback
	Language      string          `yaml:"language"`     // zh or en
	Sites         string          `yaml:"sites"`        // folder of site configs
	Dictionaries  string          `yaml:"dictionaries"` // folder; empty: the built-in ones
	Model         string          `yaml:"model"`        // file; empty: the built-in one; none: rules alone
	Crawl         crawlConfig     `yaml:"crawl"`
	Archive       archiveConfig   `yaml:"archive"`
	Index         indexConfig     `yaml:"index"`
	Frontier      frontierConfig  `yaml:"frontier"`
	Browser       browserConfig   `yaml:"browser"`
	Evidence      evidenceConfig  `yaml:"evidence"`
	Subscriptions string          `yaml:"subscriptions"` // folder of subscriptions to digests
	BaseURL       string          `yaml:"base_url"`      // where readers of digests reach the pages; empty: http://addr
	Mail          mailConfig      `yaml:"mail"`
	Accounts      accountsConfig  `yaml:"accounts"`
	Workbench     workbenchConfig `yaml:"workbench"`
	API           apiConfig       `yaml:"api"`
	TLS           tlsConfig       `yaml:"tls"`
	Kibana        kibanaConfig    `yaml:"kibana"`
	Log           logConfig       `yaml:"log"`
}

type crawlConfig struct {
	Workers int    `yaml:"workers"` // pages in work at a time
	Contact string `yaml:"contact"` // address named in the User-Agent, for site owners
	Tries   int    `yaml:"tries"`   // failed tries until a page is given up
}

// tlsConfig makes the pages speak HTTPS themselves.
type tlsConfig struct {
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
}

type logConfig struct {
	Level  string `yaml:"level"`  // debug, info, warn, error
	Format string `yaml:"format"` // text or json
}

func defaultConfig() config {
	return config{
		Data: "./data", Addr: "127.0.0.1:8686", Language: "zh", Sites: "configs/sites",
		Crawl:         crawlConfig{Workers: 8, Tries: 5},
		Archive:       archiveConfig{Enabled: true, MaxFile: 512},
		Index:         defaultIndex(),
		Frontier:      defaultFrontier(),
		Browser:       defaultBrowser(),
		Subscriptions: "configs/subscriptions", Mail: mailConfig{Port: 587, TLS: "starttls"}, Accounts: accountsConfig{Required: "auto", MaskContacts: []accounts.Role{accounts.RoleOperator, accounts.RoleInvestigator}}, API: apiConfig{Rate: 20, Burst: 200},
		Log: logConfig{Level: "info", Format: "text"},
	}
}

// defaultConfigFile is read when -config is not given and it exists.
const defaultConfigFile = "configs/qingyuan.yaml"

// loadConfig reads the file ("" looks for the default one), applies the
// environment, and returns every mistake at once. Relative paths in the file
// count from the working directory.
func loadConfig(file string) (config, error) {
	c := defaultConfig()
	var ms strictyaml.Mistakes
	explicit := file != ""
	if !explicit {
		file = defaultConfigFile
	}
	data, err := os.ReadFile(file)
	switch {
	case err == nil:
		doc, err := strictyaml.Decode(filepath.ToSlash(file), data, &c)
		ms.Add(file, err)
		if doc != nil {
			ms = append(ms, c.check(doc.Mistake)...)
		}
	case explicit || !errors.Is(err, fs.ErrNotExist):
		return c, fmt.Errorf("reading config: %w", err)
	}
	c.environment()
	env := func(problem, remedy string, path ...any) strictyaml.Mistake {
		return strictyaml.Mistake{File: "environment", Problem: problem, Remedy: remedy, Field: fmt.Sprint(path...)}
	}
	if len(ms) == 0 {
		ms = append(ms, c.check(env)...)
	}
	return c, ms.Err()
}

// hosts are the names under which the pages may be asked for.
func (c config) hosts() []string {
	if u, err := url.Parse(c.BaseURL); err == nil && u.Hostname() != "" {
		return append(slices.Clone(c.Hosts), u.Hostname())
	}
	return c.Hosts
}

// base is where readers reach the pages.
func (c config) base() string {
	switch {
	case c.BaseURL != "":
		return c.BaseURL
	case c.TLS.CertFile != "":
		return "https://" + c.Addr
	}
	return "http://" + c.Addr
}

// environment applies QINGYUAN_DATA and the like.
func (c *config) environment() {
	for name, field := range map[string]*string{
		"QINGYUAN_DATA": &c.Data, "QINGYUAN_ADDR": &c.Addr, "QINGYUAN_LANGUAGE": &c.Language, "QINGYUAN_SITES": &c.Sites,
		"QINGYUAN_DICTIONARIES": &c.Dictionaries, "QINGYUAN_MODEL": &c.Model, "QINGYUAN_LOG_LEVEL": &c.Log.Level,
	} {
		if v, ok := os.LookupEnv(name); ok {
			*field = v
		}
	}
	c.frontierEnvironment()
	c.Index.environment()
}

// check returns what is wrong with the values.
func (c *config) check(at func(problem, remedy string, path ...any) strictyaml.Mistake) strictyaml.Mistakes {
	ms := c.Frontier.check(at)
	oneOf := func(value string, path []any, allowed ...string) {
		for _, a := range allowed {
			if value == a {
				return
			}
		}
		ms = append(ms, at(fmt.Sprintf("%q is unknown", value), "use "+strings.Join(allowed, ", "), path...))
	}
	ms = append(ms, c.Index.check(at)...)
	ms = append(ms, c.Kibana.check(at)...)
	oneOf(c.Language, []any{"language"}, "zh", "en")
	oneOf(c.Log.Level, []any{"log", "level"}, "debug", "info", "warn", "error")
	oneOf(c.Log.Format, []any{"log", "format"}, "text", "json")
	if c.Data == "" {
		ms = append(ms, at("no data folder is given", "write data: ./data", "data"))
	}
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		ms = append(ms, at(fmt.Sprintf("%q is no address to listen on", c.Addr), "write host:port, such as 127.0.0.1:8686", "addr"))
	}
	if u, err := url.Parse(c.BaseURL); c.BaseURL != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "") {
		ms = append(ms, at(fmt.Sprintf("%q is no address of pages", c.BaseURL), "write https://triage.example", "base_url"))
	}
	c.BaseURL = strings.TrimRight(c.BaseURL, "/")
	ms = append(ms, checkMail(c.Mail, at)...)
	oneOf(c.Accounts.Required, []any{"accounts", "required"}, "auto", "on", "off")
	ms = append(ms, checkAccounts(c.Accounts, at)...)
	if c.Workbench.FourEyes && c.Accounts.Required == "off" {
		ms = append(ms, at("without accounts nobody can approve what another has changed", "write accounts: {required: on}, or four_eyes: false", "workbench", "four_eyes"))
	}
	ms = append(ms, checkAPI(c.API, at)...)
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		ms = append(ms, at("a certificate and its key belong together", "give both cert_file and key_file, or neither", "tls"))
	}
	if c.Crawl.Workers < 1 || c.Crawl.Workers > 256 {
		ms = append(ms, at(fmt.Sprintf("%d workers are out of range", c.Crawl.Workers), "use 1 to 256", "crawl", "workers"))
	}
	if c.Crawl.Tries < 1 || c.Crawl.Tries > 100 {
		ms = append(ms, at(fmt.Sprintf("%d tries are out of range", c.Crawl.Tries), "use 1 to 100", "crawl", "tries"))
	}
	if c.Archive.MaxFile < 1 || c.Archive.MaxFile > 100_000 {
		ms = append(ms, at(fmt.Sprintf("%d MB are out of range", c.Archive.MaxFile), "use 1 to 100000", "archive", "max_file_mb"))
	}
	if c.Archive.KeepDays < 0 || c.Archive.KeepDays > 36_500 {
		ms = append(ms, at(fmt.Sprintf("%d days are out of range", c.Archive.KeepDays), "use 1 to 36500, or 0 to keep everything", "archive", "keep_days"))
	}
	ms = append(ms, c.Browser.check(at)...)
	if c.Evidence.Screenshot && !c.Archive.Enabled {
		ms = append(ms, at("screenshots are kept in the archive, which is off", "set archive.enabled: true, or leave evidence out", "evidence", "screenshot"))
	}
	return ms
}
