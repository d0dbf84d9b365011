package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"qingyuan/crawler"
	"qingyuan/crawler/frontier"
	frontierredis "qingyuan/crawler/frontier/redis"
	frontiersqlite "qingyuan/crawler/frontier/sqlite"
	"qingyuan/strictyaml"
)

// frontierConfig is the frontier part of the config.
type frontierConfig struct {
	Backend string      `yaml:"backend"` // sqlite: a file in the data folder; redis: shared by many workers
	Redis   redisConfig `yaml:"redis"`   // with backend redis
}

// redisConfig says where Redis is.
type redisConfig struct {
	Addrs        []string `yaml:"addrs"`         // host:port; several of a Cluster, or with sentinel of the Sentinels
	Sentinel     string   `yaml:"sentinel"`      // name of the server that the Sentinels watch
	User         string   `yaml:"user"`          // ACL user
	Password     string   `yaml:"password"`      //
	PasswordFile string   `yaml:"password_file"` // file that holds it
	TLS          redisTLS `yaml:"tls"`           //
	DB           int      `yaml:"db"`            // number of the database
	Prefix       string   `yaml:"prefix"`        // begins every key
}

// redisTLS says how the connection is protected.
type redisTLS struct {
	Enabled bool   `yaml:"enabled"`
	CAFile  string `yaml:"ca_file"` // authorities of the server's certificate, PEM; empty: those of the system
}

func defaultFrontier() frontierConfig {
	return frontierConfig{Backend: "sqlite", Redis: redisConfig{Prefix: "qingyuan"}}
}

// maxSecret bounds a file that holds a password.
const maxSecret = 4096

// check returns what is wrong with the values.
func (f *frontierConfig) check(at func(problem, remedy string, path ...any) strictyaml.Mistake) strictyaml.Mistakes {
	var ms strictyaml.Mistakes
	if f.Backend != "sqlite" && f.Backend != "redis" {
		ms = append(ms, at(fmt.Sprintf("%q is unknown", f.Backend), "use sqlite or redis", "frontier", "backend"))
	}
	if f.Backend != "redis" {
		return ms
	}
	r := &f.Redis
	if len(r.Addrs) == 0 {
		ms = append(ms, at("no address of Redis is given", "write frontier.redis.addrs: [127.0.0.1:6379]", "frontier", "redis"))
	}
	for i, a := range r.Addrs {
		if _, _, err := net.SplitHostPort(a); err != nil {
			ms = append(ms, at(fmt.Sprintf("%q is no address", a), "write host:port, such as 127.0.0.1:6379", "frontier", "redis", "addrs", i))
		}
	}
	if r.Password != "" && r.PasswordFile != "" {
		ms = append(ms, at("password and password_file are both given", "leave one out", "frontier", "redis", "password_file"))
	}
	if r.DB < 0 || r.DB > 15 && len(r.Addrs) < 2 || r.DB > 0 && len(r.Addrs) > 1 && r.Sentinel == "" {
		ms = append(ms, at(fmt.Sprintf("database %d is out of range", r.DB), "use 0 to 15; a Cluster has 0 only", "frontier", "redis", "db"))
	}
	if !frontierredis.ValidPrefix(r.Prefix) {
		ms = append(ms, at(fmt.Sprintf("%q begins no key", r.Prefix), "use up to 100 letters, digits and . _ - :", "frontier", "redis", "prefix"))
	}
	return ms
}

// redisOptions are what the config says of Redis, with the files it names.
func redisOptions(c config, logger *slog.Logger) (frontierredis.Options, error) {
	r := c.Frontier.Redis
	o := frontierredis.Options{
		Addrs: r.Addrs, Master: r.Sentinel, User: r.User, Password: r.Password, DB: r.DB, Prefix: r.Prefix, Logger: logger,
		Marker: filepath.Join(c.Data, "frontier-redis.epoch"),
	}
	if r.PasswordFile != "" {
		data, err := os.ReadFile(r.PasswordFile)
		if err != nil {
			return o, fmt.Errorf("frontier.redis.password_file: %w", err)
		}
		if len(data) > maxSecret {
			return o, fmt.Errorf("frontier.redis.password_file: %s has %d bytes; want a password", r.PasswordFile, len(data))
		}
		o.Password = strings.TrimRight(string(data), "\r\n")
	}
	if !r.TLS.Enabled && r.TLS.CAFile == "" {
		return o, nil
	}
	o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if r.TLS.CAFile == "" {
		return o, nil
	}
	pem, err := os.ReadFile(r.TLS.CAFile)
	if err != nil {
		return o, fmt.Errorf("frontier.redis.tls.ca_file: %w", err)
	}
	o.TLS.RootCAs = x509.NewCertPool()
	if !o.TLS.RootCAs.AppendCertsFromPEM(pem) {
		return o, fmt.Errorf("frontier.redis.tls.ca_file: %s holds no certificate in PEM", r.TLS.CAFile)
	}
	return o, nil
}

// openFrontier opens the frontier that a crawl works on. name is the file in
// the data folder when the backend is SQLite; any but the default one is this
// process's own affair, and never in Redis. adopted is for
// frontierredis.Options.
func openFrontier(ctx context.Context, c config, name string, logger *slog.Logger, adopted func()) (frontier.Frontier, error) {
	if c.Frontier.Backend != "redis" || name != "" {
		if name == "" {
			name = defaultFrontierFile
		}
		f, err := frontiersqlite.Open(ctx, filepath.Join(c.Data, name), frontiersqlite.Options{Logger: logger, Exclusive: true, Gather: gatherLeases})
		if err != nil {
			return nil, fmt.Errorf("opening the frontier in %s: %w", c.Data, err)
		}
		return f, nil
	}
	o, err := redisOptions(c, logger)
	if err != nil {
		return nil, err
	}
	o.Adopted = adopted
	f, err := frontierredis.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	return f, nil
}

const defaultFrontierFile = "frontier.db"

// readFrontier opens the frontier beside a running crawl, to look things up.
func readFrontier(ctx context.Context, c config, name string, logger *slog.Logger) (frontier.Frontier, error) {
	if c.Frontier.Backend == "redis" && name == defaultFrontierFile {
		if err := os.MkdirAll(c.Data, 0o700); err != nil {
			return nil, fmt.Errorf("making the data folder: %w", err)
		}
		return openFrontier(ctx, c, "", logger, nil)
	}
	path := filepath.Join(c.Data, name)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no frontier in %s: nothing was crawled there yet, or -data names another folder", c.Data)
	}
	db, err := frontiersqlite.Open(ctx, path, frontiersqlite.Options{})
	if err != nil {
		return nil, err
	}
	return db, nil
}

// share makes the crawl one of many workers when its frontier is in Redis.
func share(f frontier.Frontier, o *crawler.Options) {
	if db, ok := f.(*frontierredis.DB); ok {
		o.Shared, o.Together, o.Budget = true, db.Together, db.Budget
	}
}

// seedAgain adds the seeds of the sources, after the frontier was begun anew by
// another process, until it succeeds.
func (p *pipeline) seedAgain(ctx context.Context, sources []*crawler.Source, logger *slog.Logger) {
	for ctx.Err() == nil {
		err := p.crawler.SetSources(ctx, sources)
		if err == nil {
			return
		}
		logger.Error("the seeds could not be added to the new frontier; trying again", "err", err)
		select {
		case <-time.After(5 * time.Second):
		case <-ctx.Done():
		}
	}
}

// frontierProblem tells what is wrong with a shared frontier; nil when all is
// well or there is none.
func frontierProblem(f frontier.Frontier) map[string]any {
	db, ok := f.(*frontierredis.DB)
	if !ok {
		return nil
	}
	since, err := db.Problem()
	if err == nil {
		return nil
	}
	return map[string]any{"problem": err.Error(), "since": since.In(shanghai()).Format(time.RFC3339)}
}

// runCrawlAnew is qingyuan crawl anew: begins the frontier in Redis anew after
// it was lost or damaged.
func runCrawlAnew(ctx context.Context, std stdio, args []string) error {
	f := newFlags(std, "crawl anew", "", "data", "lang")
	c, err := f.parse(args)
	if err != nil {
		return err
	}
	if f.NArg() > 0 {
		return misusef("crawl anew takes no arguments, there is %q", f.Arg(0))
	}
	if c.Frontier.Backend != "redis" {
		return misusef("crawl anew is for a frontier in Redis; this one is a file: delete %s to begin anew", filepath.Join(c.Data, defaultFrontierFile))
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return fmt.Errorf("making the data folder: %w", err)
	}
	o, err := redisOptions(c, newLogger(std, c))
	if err != nil {
		return err
	}
	if err := frontierredis.BeginAnew(ctx, o); err != nil {
		return err
	}
	if c.Language == "en" {
		_, err = fmt.Fprintln(std.out, "The frontier is begun anew. Workers that run go on with it by themselves; start the others again.")
	} else {
		_, err = fmt.Fprintln(std.out, "抓取队列已重新开始。正在运行的工作进程会自行继续；其余的请重新启动。")
	}
	return err
}

// frontierEnvironment applies QINGYUAN_FRONTIER and the like.
func (c *config) frontierEnvironment() {
	r := &c.Frontier.Redis
	for name, field := range map[string]*string{
		"QINGYUAN_FRONTIER": &c.Frontier.Backend, "QINGYUAN_REDIS_USER": &r.User, "QINGYUAN_REDIS_PASSWORD": &r.Password,
		"QINGYUAN_REDIS_PASSWORD_FILE": &r.PasswordFile, "QINGYUAN_REDIS_PREFIX": &r.Prefix, "QINGYUAN_REDIS_SENTINEL": &r.Sentinel,
		"QINGYUAN_REDIS_CA_FILE": &r.TLS.CAFile,
	} {
		if v, ok := os.LookupEnv(name); ok {
			*field = v
		}
	}
	if _, ok := os.LookupEnv("QINGYUAN_REDIS_PASSWORD"); ok {
		if _, file := os.LookupEnv("QINGYUAN_REDIS_PASSWORD_FILE"); !file {
			r.PasswordFile = "" // the environment wins
		}
	}
	if v, ok := os.LookupEnv("QINGYUAN_REDIS_ADDRS"); ok {
		r.Addrs = strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })
	}
	if v, err := strconv.Atoi(os.Getenv("QINGYUAN_REDIS_DB")); err == nil {
		r.DB = v
	}
}
