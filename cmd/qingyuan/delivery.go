package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"qingyuan/classify"
	frontiersqlite "qingyuan/crawler/frontier/sqlite"
	"qingyuan/digest/delivery"
	"qingyuan/index"
	"qingyuan/strictyaml"
	"qingyuan/triage"
)

// mailConfig is the mail: section: the server through which digests leave.
type mailConfig struct {
	Host         string `yaml:"host"`
	Port         int    `yaml:"port"`
	User         string `yaml:"user"`
	Password     string `yaml:"password"`
	PasswordFile string `yaml:"password_file"`
	TLS          string `yaml:"tls"`
	CAFile       string `yaml:"ca_file"`
	From         string `yaml:"from"`
}

// smtp are the settings for the sender.
func (m mailConfig) smtp() (delivery.SMTP, error) {
	s := delivery.SMTP{Host: m.Host, Port: m.Port, User: m.User, Password: m.Password, TLS: m.TLS, CAFile: m.CAFile, From: m.From}
	if m.PasswordFile != "" {
		data, err := os.ReadFile(m.PasswordFile)
		if err != nil {
			return s, fmt.Errorf("mail: password_file: %w", err)
		}
		s.Password = strings.TrimSpace(string(data))
	}
	return s, nil
}

// checkMail returns what is wrong with the mail: section.
func checkMail(m mailConfig, at func(problem, remedy string, path ...any) strictyaml.Mistake) strictyaml.Mistakes {
	var ms strictyaml.Mistakes
	if m.Host == "" {
		return nil
	}
	if m.Port < 1 || m.Port > 65535 {
		ms = append(ms, at(fmt.Sprintf("%d is no port", m.Port), "use 587 for starttls, 465 for tls", "mail", "port"))
	}
	if !slices.Contains([]string{"starttls", "tls", "none"}, m.TLS) {
		ms = append(ms, at(fmt.Sprintf("%q is unknown", m.TLS), "use starttls, tls or none", "mail", "tls"))
	}
	if m.Password != "" && m.PasswordFile != "" {
		ms = append(ms, at("both password and password_file are given", "keep one of them", "mail", "password"))
	}
	if err := (delivery.SMTP{Host: m.Host, From: m.From, TLS: m.TLS}).Check(); err != nil {
		ms = append(ms, at(err.Error(), "see configs/qingyuan.yaml", "mail"))
	}
	return ms
}

// loadSubscriptions reads the folder of subscriptions; there need not be one.
func loadSubscriptions(c config) ([]*delivery.Subscription, error) {
	if _, err := os.Stat(c.Subscriptions); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	subs, err := delivery.LoadSubscriptions(os.DirFS(c.Subscriptions))
	if err != nil {
		return nil, fmt.Errorf("subscriptions in %s:\n%w", c.Subscriptions, err)
	}
	return subs, nil
}

// sender brings digests to their subscribers.
type sender struct {
	subs   []*delivery.Subscription
	ledger *delivery.Ledger
	*delivery.Runner
}

// openSender reads the subscriptions and opens their ledger; nil when there are
// none.
func openSender(ctx context.Context, c config, store index.Store, categories []classify.Category, logger *slog.Logger) (*sender, error) {
	subs, err := loadSubscriptions(c)
	if err != nil || len(subs) == 0 {
		return nil, err
	}
	smtp, err := c.Mail.smtp()
	if err != nil {
		return nil, err
	}
	key, err := linkKey(filepath.Join(c.Data, "digest.key"))
	if err != nil {
		return nil, err
	}
	ledger, err := delivery.OpenLedger(ctx, filepath.Join(c.Data, "digest.db"))
	if err != nil {
		return nil, err
	}
	r, err := delivery.NewRunner(delivery.Options{Subscriptions: subs, Store: store, Ledger: ledger, SMTP: smtp, Categories: categories, BaseURL: c.base(), Key: key, Logger: logger})
	if err != nil {
		ledger.Close()
		return nil, err
	}
	return &sender{subs, ledger, r}, nil
}

// serveDigests sends digests beside the pages, unless another process on the
// data folder does.
func serveDigests(ctx context.Context, group *errgroup.Group, c config, store index.Store, logger *slog.Logger) (*sender, error) {
	dict, err := classify.LoadDictionary(dictionaryFS(c))
	if err != nil {
		return nil, err
	}
	s, err := openSender(ctx, c, store, dict.Categories, logger)
	if s == nil || err != nil {
		return nil, err
	}
	lock, err := frontiersqlite.LockFile(filepath.Join(c.Data, "digest.lock"))
	if err != nil {
		logger.Warn("digests are not sent from here", "reason", err)
		return s, nil
	}
	group.Go(func() error {
		defer lock.Close()
		return s.Run(ctx)
	})
	return s, nil
}

// withReceivers serves feeds and unsubscriptions beside the digest of a day.
func withReceivers(day http.Handler, s *sender) http.Handler {
	if s == nil {
		return day
	}
	mux := http.NewServeMux()
	mux.Handle("/feed/", s.Handler())
	mux.Handle("/unsubscribe", s.Handler())
	mux.Handle("/", day)
	return mux
}

// health adds messages that fail to what /healthz says.
func (s *sender) health(rest func() map[string]any) func() map[string]any {
	return func() map[string]any {
		answer := rest()
		if failing := s.failing(context.Background()); len(failing) > 0 {
			answer["digests_failing"] = failing
		}
		return answer
	}
}

func (s *sender) close() error {
	if s == nil {
		return nil
	}
	return s.ledger.Close()
}

// linkKey reads the key that signs links in mails, or makes it.
func linkKey(file string) ([]byte, error) {
	key, err := os.ReadFile(file)
	if err == nil && len(key) >= 16 {
		return key, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the key of digests: %w", err)
	}
	if err == nil {
		return nil, fmt.Errorf("%s is too short to be the key of digests; restore it, or delete it and links in sent mails end", file)
	}
	key = make([]byte, 32)
	rand.Read(key) //nolint:errcheck // it never fails
	if err := os.WriteFile(file, key, 0o600); err != nil {
		return nil, fmt.Errorf("keeping the key of digests: %w", err)
	}
	return key, nil
}

// pages shows the subscriptions; nil when there are none.
func (s *sender) pages() *triage.Subscriptions {
	if s == nil {
		return nil
	}
	return &triage.Subscriptions{
		List: s.list,
		Preview: func(ctx context.Context, name string) (string, error) {
			m, err := s.Preview(ctx, name)
			return m.HTML, err
		},
		Test: func(ctx context.Context, name, channel string) error {
			_, err := s.Test(ctx, name, channel)
			return err
		},
	}
}

func (s *sender) list(ctx context.Context) ([]triage.Subscription, error) {
	now := time.Now()
	out := make([]triage.Subscription, 0, len(s.subs))
	for _, sub := range s.subs {
		v := triage.Subscription{Name: sub.Name, Title: sub.Title, File: sub.File(), Schedule: sub.Schedule, TimeZone: sub.TimeZone, Next: sub.Due(now),
			Query: sub.Query, Language: sub.Language, FullContacts: sub.Contacts == "full", Silences: sub.InForce(now)}
		runs, err := s.ledger.Runs(ctx, sub.Name, 1)
		if err != nil {
			return nil, err
		}
		if len(runs) > 0 {
			v.Last, v.LastHits = runs[0].End, runs[0].Hits
		}
		recent, err := s.ledger.Recent(ctx, sub.Name, 200)
		if err != nil {
			return nil, err
		}
		names := s.Channels(sub.Name)
		slices.Sort(names)
		for _, name := range names {
			v.Channels = append(v.Channels, channelView(name, recent))
		}
		for _, c := range sub.Channels {
			if c.Feed != nil {
				v.Channels = append(v.Channels, triage.SubscriptionChannel{Name: "feed", Feed: true})
			}
		}
		out = append(out, v)
	}
	return out, nil
}

// channelView tells of the newest message to a channel; recent is newest first.
func channelView(name string, recent []delivery.Delivery) triage.SubscriptionChannel {
	v := triage.SubscriptionChannel{Name: name}
	for _, d := range recent {
		if d.Channel != name {
			continue
		}
		v.State, v.At, v.Tries, v.Error, v.Again = string(d.State), d.Updated, d.Tries, d.Error, d.Again
		if d.State == delivery.StateWaiting && d.Tries > 0 {
			v.NextTry = d.NextTry
		}
		return v
	}
	return v
}

// failing is for /healthz: messages given up since yesterday, and those that
// are being tried again.
func (s *sender) failing(ctx context.Context) []string {
	if s == nil {
		return nil
	}
	all, err := s.ledger.Failing(ctx, time.Now().Add(-24*time.Hour))
	if err != nil {
		return []string{"the ledger of digests cannot be read: " + err.Error()}
	}
	out := make([]string, len(all))
	for i, d := range all {
		out[i] = fmt.Sprintf("%s to %s: %s after %d tries: %s", d.Subscription, d.Channel, d.State, d.Tries, d.Error)
	}
	return out
}

// runSubscriptions is digest list, preview and test.
func runSubscriptions(ctx context.Context, std stdio, act string, args []string) error {
	f := newFlags(std, "digest "+act, map[string]string{"list": "", "preview": "NAME", "test": "NAME CHANNEL"}[act], "data", "lang", "dict")
	c, err := f.parse(args)
	if err != nil {
		return err
	}
	if want := map[string]int{"list": 0, "preview": 1, "test": 2}[act]; f.NArg() != want {
		return misusef("digest %s takes %d arguments; see digest %[1]s -h", act, want)
	}
	dict, err := classify.LoadDictionary(dictionaryFS(c))
	if err != nil {
		return err
	}
	store, err := openExisting(ctx, c)
	if err != nil {
		return err
	}
	defer store.Close()
	s, err := openSender(ctx, c, store, dict.Categories, newLogger(std, c))
	if err != nil {
		return err
	}
	if s == nil {
		return fmt.Errorf("there are no subscriptions in %s; configs/subscriptions/README.md shows how to write one", c.Subscriptions)
	}
	defer s.close()
	switch act {
	case "preview":
		m, err := s.Preview(ctx, f.Arg(0))
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(std.out, "%s\n\n%s", m.Subject, m.Text)
		return err
	case "test":
		receipt, err := s.Test(ctx, f.Arg(0), f.Arg(1))
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(std.out, "%s took the test message %s\n", f.Arg(1), receipt)
		return err
	}
	subs, err := s.list(ctx)
	if err != nil {
		return err
	}
	for _, v := range subs {
		fmt.Fprintf(std.out, "%s  %q %s  next %s\n", v.Name, v.Schedule, v.TimeZone, v.Next.Format(time.RFC3339))
		for _, ch := range v.Channels {
			fmt.Fprintf(std.out, "    %-40s %s %s\n", ch.Name, ch.State, printable(ch.Error))
		}
	}
	return nil
}
