package delivery

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/mail"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"qingyuan/digest"
	"qingyuan/index"
	"qingyuan/strictyaml"
)

// Subscription is one file of the subscriptions' folder: who is told what, and
// when.
type Subscription struct {
	Name     string          `yaml:"name"`     // lower-case letters, digits and hyphens; what the ledger knows it by
	Title    string          `yaml:"title"`    // for people
	Query    string          `yaml:"query"`    // narrows the hits; empty: all
	Schedule string          `yaml:"schedule"` // cron: minute, hour, day of month, month, weekday
	TimeZone string          `yaml:"timezone"` // IANA name
	Language string          `yaml:"language"` // zh or en
	Contacts string          `yaml:"contacts"` // masked or full
	Empty    string          `yaml:"empty"`    // say or skip: what becomes of a period without hits
	Top      int             `yaml:"top"`      // hits listed
	Repeat   bool            `yaml:"repeat"`   // list again what was told before
	Channels []ChannelConfig `yaml:"channels"`
	Silences []Silence       `yaml:"silences"`

	file     string
	revision string
	schedule schedule
	location *time.Location
}

// Silence leaves hits out until it ends.
type Silence struct {
	Query  string `yaml:"query"`  // which hits
	Until  string `yaml:"until"`  // last day, 2026-12-01, in the subscription's time zone
	Author string `yaml:"author"` // who wants it
	Reason string `yaml:"reason"` // and why
}

// ChannelConfig is one channel: exactly one kind is set.
type ChannelConfig struct {
	Mail     *MailConfig    `yaml:"mail"`
	WeCom    *RobotConfig   `yaml:"wecom"`
	DingTalk *RobotConfig   `yaml:"dingtalk"`
	Feishu   *RobotConfig   `yaml:"feishu"`
	Webhook  *WebhookConfig `yaml:"webhook"`
	Feed     *FeedConfig    `yaml:"feed"`
}

// MailConfig lists who gets a mail; each gets his own.
type MailConfig struct {
	To []string `yaml:"to"`
}

// RobotConfig is a chat group's robot.
type RobotConfig struct {
	Name string `yaml:"name"` // which group, for the ledger
	// The address that the service shows for the robot; for WeCom and Feishu it
	// is itself the secret.
	URL     string `yaml:"url"`
	URLFile string `yaml:"url_file"`
	// The signing secret of DingTalk and Feishu; without it the robot must be
	// set up by keyword or address.
	Secret     string `yaml:"secret"`
	SecretFile string `yaml:"secret_file"`
	// AllowPrivate permits addresses within the own network, for a gateway.
	AllowPrivate bool `yaml:"allow_private"`
}

// WebhookConfig is any receiver of signed JSON.
type WebhookConfig struct {
	Name         string `yaml:"name"`
	URL          string `yaml:"url"`
	URLFile      string `yaml:"url_file"`
	Secret       string `yaml:"secret"`
	SecretFile   string `yaml:"secret_file"`
	OldSecret    string `yaml:"old_secret"` // signed with as well, while a secret is changed
	AllowPrivate bool   `yaml:"allow_private"`
}

// FeedConfig is an Atom feed at an address that holds the secret.
type FeedConfig struct {
	Secret     string `yaml:"secret"`
	SecretFile string `yaml:"secret_file"`
}

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

// LoadSubscriptions reads every *.yaml of a folder, in order of name. The error
// is strictyaml.Mistakes with everything that is wrong in any of them.
func LoadSubscriptions(fsys fs.FS) ([]*Subscription, error) {
	return strictyaml.Folder(fsys, "subscription", "give each its own name", ReadSubscription, func(s *Subscription) string { return s.Name })
}

// ReadSubscription reads one file; file names it in mistakes.
func ReadSubscription(file string, data []byte) (*Subscription, error) {
	sum := sha256.Sum256(data)
	s := &Subscription{TimeZone: "Asia/Shanghai", Language: "zh", Contacts: "masked", Empty: "say", Top: digest.DefaultTop,
		file: path.Base(file), revision: hex.EncodeToString(sum[:6])}
	var ms strictyaml.Mistakes
	doc, err := strictyaml.Decode(file, data, s)
	ms.Add(file, err)
	if doc != nil {
		c := checker{s: s, doc: doc}
		c.run()
		ms = append(ms, c.mistakes...)
	}
	if err := ms.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

// checker collects what is wrong with a subscription.
type checker struct {
	s        *Subscription
	doc      *strictyaml.Document
	mistakes strictyaml.Mistakes
}

func (c *checker) add(problem, remedy string, path ...any) {
	c.mistakes = append(c.mistakes, c.doc.Mistake(problem, remedy, path...))
}

func (c *checker) run() {
	s := c.s
	if !nameForm.MatchString(s.Name) {
		c.add(fmt.Sprintf("%q is no name", s.Name), "use up to 64 lower-case letters, digits and hyphens", "name")
	}
	for _, f := range [...]struct {
		field, value string
		allowed      []string
	}{{"language", s.Language, []string{"zh", "en"}}, {"contacts", s.Contacts, []string{"masked", "full"}}, {"empty", s.Empty, []string{"say", "skip"}}} {
		if !slices.Contains(f.allowed, f.value) {
			c.add(fmt.Sprintf("%q is unknown", f.value), "use "+strings.Join(f.allowed, " or "), f.field)
		}
	}
	if s.Top < 1 || s.Top > digest.MaxTop {
		c.add(fmt.Sprintf("%d hits cannot be listed", s.Top), fmt.Sprintf("use 1 to %d", digest.MaxTop), "top")
	}
	var err error
	if s.location, err = time.LoadLocation(s.TimeZone); err != nil || s.TimeZone == "Local" {
		s.location = time.UTC
		c.add(fmt.Sprintf("there is no time zone %q", s.TimeZone), "use an IANA name such as Asia/Shanghai", "timezone")
	}
	if s.schedule, err = parseSchedule(s.Schedule, s.location); err != nil {
		c.add(err.Error(), `write minute, hour, day, month and weekday, such as "0 9 * * *" for nine each morning`, "schedule")
	}
	c.query(s.Query, "query")
	for i, q := range s.Silences {
		c.silence(q, i)
	}
	if len(s.Channels) == 0 {
		c.add("nobody is told", "list at least one channel", "channels")
	}
	for i := range s.Channels {
		c.channel(&s.Channels[i], i)
	}
}

func (c *checker) query(q string, path ...any) {
	if _, err := index.Parse(q, time.Now()); err != nil {
		c.add(err.Error(), "try it with qingyuan search", path...)
	}
}

func (c *checker) silence(q Silence, i int) {
	if strings.TrimSpace(q.Query) == "" {
		c.add("a silence without a query would silence everything", "say which hits", "silences", i, "query")
	}
	c.query(q.Query, "silences", i, "query")
	if _, err := time.ParseInLocation(time.DateOnly, q.Until, c.s.location); err != nil {
		c.add(fmt.Sprintf("%q is no day", q.Until), "write the last day, such as 2026-12-01; a silence must end", "silences", i, "until")
	}
	if q.Author == "" || q.Reason == "" {
		c.add("nobody answers for this silence", "write author: and reason:", "silences", i)
	}
}

func (c *checker) channel(ch *ChannelConfig, i int) {
	kinds := 0
	for _, set := range [...]bool{ch.Mail != nil, ch.WeCom != nil, ch.DingTalk != nil, ch.Feishu != nil, ch.Webhook != nil, ch.Feed != nil} {
		if set {
			kinds++
		}
	}
	if kinds != 1 {
		c.add(fmt.Sprintf("a channel has exactly one kind, this one %d", kinds), "use one of mail, wecom, dingtalk, feishu, webhook, feed", "channels", i)
		return
	}
	switch {
	case ch.Mail != nil:
		if len(ch.Mail.To) == 0 {
			c.add("nobody gets this mail", "list addresses under to:", "channels", i, "mail")
		}
		for j, to := range ch.Mail.To {
			if a, err := mail.ParseAddress(to); err != nil || a.Address != to {
				c.add(fmt.Sprintf("%q is no mail address", to), "write it bare, such as duty@agency.example", "channels", i, "mail", "to", j)
			}
		}
	case ch.WeCom != nil:
		c.robot(ch.WeCom, i, "wecom")
	case ch.DingTalk != nil:
		c.robot(ch.DingTalk, i, "dingtalk")
	case ch.Feishu != nil:
		c.robot(ch.Feishu, i, "feishu")
	case ch.Webhook != nil:
		w := ch.Webhook
		c.secret(&w.URL, w.URLFile, "url", "channels", i, "webhook")
		c.secret(&w.Secret, w.SecretFile, "secret", "channels", i, "webhook")
		c.address(w.URL, "channels", i, "webhook")
		if w.Secret == "" {
			c.add("a webhook without a secret cannot be told from a forgery", "write secret_file:", "channels", i, "webhook")
		}
		c.needName(w.Name, "channels", i, "webhook")
	case ch.Feed != nil:
		c.secret(&ch.Feed.Secret, ch.Feed.SecretFile, "secret", "channels", i, "feed")
		if len(ch.Feed.Secret) < 16 {
			c.add("the feed's address could be guessed", "write a secret of at least 16 characters, with secret_file:", "channels", i, "feed")
		}
	}
}

func (c *checker) robot(r *RobotConfig, i int, kind string) {
	c.secret(&r.URL, r.URLFile, "url", "channels", i, kind)
	c.secret(&r.Secret, r.SecretFile, "secret", "channels", i, kind)
	c.address(r.URL, "channels", i, kind)
	c.needName(r.Name, "channels", i, kind)
}

func (c *checker) needName(name string, path ...any) {
	if !nameForm.MatchString(name) {
		c.add(fmt.Sprintf("%q is no name for a channel", name), "say which group or receiver it is, in lower-case letters, digits and hyphens", append(path, "name")...)
	}
}

// secret reads a value from its file when one is given.
func (c *checker) secret(value *string, file, field string, path ...any) {
	if file == "" {
		return
	}
	if *value != "" {
		c.add(fmt.Sprintf("both %s and %[1]s_file are given", field), "keep one of them", append(path, field)...)
		return
	}
	data, err := os.ReadFile(file)
	if err != nil {
		c.add(fmt.Sprintf("the file cannot be read: %v", err), "check its path and that this user may read it", append(path, field+"_file")...)
		return
	}
	if *value = strings.TrimSpace(string(data)); *value == "" {
		c.add(fmt.Sprintf("%s is empty", file), "put the value into it", append(path, field+"_file")...)
	}
}

// address checks a receiver's address without ever showing it: it may hold the
// secret.
func (c *checker) address(address string, path ...any) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.Fragment != "" {
		c.add("url is no http(s) address", "copy it from the service's settings", append(path, "url")...)
	}
}

// Due returns the end of the first period after last.
func (s *Subscription) Due(last time.Time) time.Time { return s.schedule.next(last) }

// Location is where its times count.
func (s *Subscription) Location() *time.Location { return s.location }

// File is the name of the file it was read from.
func (s *Subscription) File() string { return s.file }

// InForce is how many of its silences hold at a moment.
func (s *Subscription) InForce(at time.Time) int { return len(s.silent(at)) }

// silent returns the queries silenced at a moment.
func (s *Subscription) silent(at time.Time) []string {
	var out []string
	for _, q := range s.Silences {
		last, err := time.ParseInLocation(time.DateOnly, q.Until, s.location)
		if err == nil && at.Before(last.AddDate(0, 0, 1)) {
			out = append(out, q.Query)
		}
	}
	return out
}
