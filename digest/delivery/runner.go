package delivery

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"qingyuan/classify"
	"qingyuan/digest"
	"qingyuan/index"
)

// Options make a Runner.
type Options struct {
	Subscriptions []*Subscription
	Store         index.Store
	Ledger        *Ledger
	SMTP          SMTP
	Categories    []classify.Category
	BaseURL       string // of the triage pages; empty: no links
	Key           []byte // signs the links of mails; at least 16 bytes
	Logger        *slog.Logger
	Now           func() time.Time // nil: the present
	// Lag is how long after a period's end its digest is built, for what is still
	// on its way into the index and for clocks that differ; a minute when 0.
	Lag time.Duration
}

// Retrying: the waits double from the first to the last, until too much time
// has gone by.
const (
	firstWait = time.Minute
	lastWait  = 8 * time.Minute
	giveUp    = 6 * time.Hour
	// maxPeriod is how much of an outage one digest makes up for; what is older is
	// named, and found in the pages.
	maxPeriod = 7 * 24 * time.Hour
	// poll is how often Run looks for what is due.
	poll = 15 * time.Second
)

// Runner builds digests when they are due and sends them. Only one may work on
// a ledger.
type Runner struct {
	opts     Options
	channels map[string]map[string]Channel // by subscription and name
	sending  sync.Mutex                    // one tick at a time
}

// NewRunner makes a Runner; it does nothing until Run or Tick.
func NewRunner(opts Options) (*Runner, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Lag == 0 {
		opts.Lag = time.Minute
	}
	if len(opts.Key) < 16 {
		return nil, errors.New("digests: the key that signs links is shorter than 16 bytes")
	}
	r := &Runner{opts: opts, channels: map[string]map[string]Channel{}}
	for _, s := range opts.Subscriptions {
		r.channels[s.Name] = map[string]Channel{}
		for _, c := range s.Channels {
			chans, err := r.open(c)
			if err != nil {
				return nil, fmt.Errorf("subscription %s (%s): %w", s.Name, s.file, err)
			}
			for _, ch := range chans {
				if _, dup := r.channels[s.Name][ch.Name()]; dup {
					return nil, fmt.Errorf("subscription %s (%s): channel %s is listed twice; give each its own name", s.Name, s.file, ch.Name())
				}
				r.channels[s.Name][ch.Name()] = ch
			}
		}
	}
	return r, nil
}

// open makes the channels of one entry; a feed is read, not sent.
func (r *Runner) open(c ChannelConfig) ([]Channel, error) {
	switch {
	case c.Mail != nil:
		if err := r.opts.SMTP.Check(); err != nil {
			return nil, fmt.Errorf("mail: %w; set mail: in the configuration", err)
		}
		out := make([]Channel, len(c.Mail.To))
		for i, to := range c.Mail.To {
			out[i] = &mailTo{r.opts.SMTP, to}
		}
		return out, nil
	case c.WeCom != nil:
		return []Channel{newRobot(kindWeCom, *c.WeCom, r.opts.Now)}, nil
	case c.DingTalk != nil:
		return []Channel{newRobot(kindDingTalk, *c.DingTalk, r.opts.Now)}, nil
	case c.Feishu != nil:
		return []Channel{newRobot(kindFeishu, *c.Feishu, r.opts.Now)}, nil
	case c.Webhook != nil:
		return []Channel{newWebhook(*c.Webhook, r.opts.Now)}, nil
	}
	return nil, nil
}

// Run works until ctx ends. What was being sent then is finished first, within
// the time a receiver is given.
func (r *Runner) Run(ctx context.Context) error {
	n, err := r.opts.Ledger.recover(context.WithoutCancel(ctx), r.opts.Now())
	if err != nil {
		return fmt.Errorf("looking for digests that were being sent: %w", err)
	}
	if n > 0 {
		r.opts.Logger.Warn("digests were being sent when the process ended; they go out again, marked as possibly sent before", "messages", n)
	}
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		if err := r.Tick(ctx); err != nil && ctx.Err() == nil {
			r.opts.Logger.Error("digests: this round failed; the next one tries again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Tick freezes what is due and sends what waits, once.
func (r *Runner) Tick(ctx context.Context) error {
	r.sending.Lock()
	defer r.sending.Unlock()
	var errs []error
	for _, s := range r.opts.Subscriptions {
		if err := r.plan(ctx, s); err != nil {
			errs = append(errs, fmt.Errorf("subscription %s: %w", s.Name, err))
		}
	}
	return errors.Join(append(errs, r.send(ctx))...)
}

// plan freezes the digest of a subscription if its period is over.
func (r *Runner) plan(ctx context.Context, s *Subscription) error {
	now := r.opts.Now()
	last, err := r.opts.Ledger.position(ctx, s.Name)
	if err != nil {
		return err
	}
	if last.IsZero() {
		return r.opts.Ledger.begin(ctx, s.Name, now)
	}
	ready := now.Add(-r.opts.Lag)
	end, periods := s.lastDue(last, ready)
	if periods == 0 {
		return nil
	}
	d, err := r.build(ctx, s, last, end)
	if err != nil {
		return err
	}
	run := Run{Subscription: s.Name, Start: d.From, End: end, Missed: periods - 1, Revision: s.revision, Hits: d.Totals.Hits.Count, Created: now}
	messages, err := r.messages(ctx, s, d, &run)
	if err != nil {
		return err
	}
	if err := r.opts.Ledger.freeze(ctx, run, messages, d.Campaigns); err != nil {
		return fmt.Errorf("freezing the digest: %w", err)
	}
	r.opts.Logger.Info("digest is ready", "subscription", s.Name, "from", d.From, "to", d.To, "hits", run.Hits, "messages", len(messages), "missed", run.Missed)
	return nil
}

// lastDue is the end of the newest period that is over, and how many have
// ended since last.
func (s *Subscription) lastDue(last, ready time.Time) (end time.Time, periods int) {
	for next := s.Due(last); !next.After(ready); next = s.Due(next) {
		end = next
		if periods++; periods == 100_000 {
			break // a schedule by the minute after months: the next round goes on
		}
	}
	return end, periods
}

func (r *Runner) build(ctx context.Context, s *Subscription, from, to time.Time) (digest.Digest, error) {
	if to.Sub(from) > maxPeriod {
		from = to.Add(-maxPeriod)
	}
	var told map[string]digest.Told
	if !s.Repeat {
		var err error
		if told, err = r.opts.Ledger.told(ctx, s.Name); err != nil {
			return digest.Digest{}, fmt.Errorf("reading what was told: %w", err)
		}
	}
	return digest.Build(ctx, r.opts.Store, digest.Options{From: from, To: to, Location: s.location, Language: s.Language, Categories: r.opts.Categories,
		BaseURL: r.opts.BaseURL, Query: s.Query, Silences: s.silent(to), Now: r.opts.Now(), ShowContacts: s.Contacts == "full", Top: s.Top, Told: told})
}

// messages renders a digest for every channel of its subscription.
func (r *Runner) messages(ctx context.Context, s *Subscription, d digest.Digest, run *Run) (map[string]Message, error) {
	m, brief, err := render(s, d, run.Missed)
	if err != nil {
		return nil, err
	}
	run.Subject, run.HTML = m.Subject, m.HTML
	out := map[string]Message{}
	if s.Empty == "skip" && run.Hits == 0 {
		run.HTML = ""
		return out, nil
	}
	for name, ch := range r.channels[s.Name] {
		one := m
		one.ID, one.At = r.messageID(s.Name, name, run.End), run.Created
		switch ch := ch.(type) {
		case *mailTo:
			gone, err := r.opts.Ledger.Unsubscribed(ctx, s.Name, ch.to)
			if err != nil {
				return nil, err
			}
			if gone {
				continue
			}
			one.JSON, one.Unsubscribe = "", r.unsubscribeLink(s.Name, ch.to)
		case *robot:
			one.Text, one.HTML, one.JSON = robotText(ch.kind, brief), "", ""
		case *webhook:
			one.Text, one.HTML = "", ""
		}
		out[name] = one
	}
	return out, nil
}

// render makes the texts that the channels share.
func render(s *Subscription, d digest.Digest, missed int) (Message, digest.Brief, error) {
	var m Message
	brief, err := d.Brief()
	if err != nil {
		return m, brief, err
	}
	if s.Title != "" {
		brief.Title = s.Title + " · " + brief.Title
	}
	if missed > 0 {
		late := map[string]string{"zh": "【补发 %d 期】", "en": "[late, %d periods] "}[s.Language]
		brief.Title = fmt.Sprintf(late, missed+1) + brief.Title
	}
	m.Subject = brief.Title
	var text, html strings.Builder
	if err := errors.Join(d.Text(&text), d.HTML(&html)); err != nil {
		return m, brief, err
	}
	doc, err := json.Marshal(struct {
		Subscription string        `json:"subscription"`
		Missed       int           `json:"missed"`
		Digest       digest.Digest `json:"digest"`
	}{s.Name, missed, d})
	if err != nil {
		return m, brief, err
	}
	m.Text, m.HTML, m.JSON = text.String(), html.String(), string(doc)
	return m, brief, nil
}

// messageID is the same for every try, and tells neither receiver nor secret.
func (r *Runner) messageID(sub, channel string, end time.Time) string {
	h := hmac.New(sha256.New, r.opts.Key)
	fmt.Fprintf(h, "message\x00%s\x00%s", sub, channel)
	host := "qingyuan.invalid"
	if _, domain, ok := strings.Cut(r.opts.SMTP.From, "@"); ok {
		host = strings.TrimSuffix(domain, ">")
	}
	return fmt.Sprintf("digest.%s.%d.%s@%s", sub, end.Unix(), hex.EncodeToString(h.Sum(nil)[:6]), host)
}

// unsubscribeLink is where one click ends a subscription for an address.
func (r *Runner) unsubscribeLink(sub, address string) string {
	if r.opts.BaseURL == "" {
		return ""
	}
	return r.opts.BaseURL + "/digest/unsubscribe?" + url.Values{"sub": {sub}, "to": {address}, "sign": {r.unsubscribeSign(sub, address)}}.Encode()
}

func (r *Runner) unsubscribeSign(sub, address string) string {
	h := hmac.New(sha256.New, r.opts.Key)
	fmt.Fprintf(h, "unsubscribe\x00%s\x00%s", sub, strings.ToLower(address))
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// send sends what waits and may be sent now.
func (r *Runner) send(ctx context.Context) error {
	open, err := r.opts.Ledger.open(ctx, r.opts.Now())
	if err != nil {
		return fmt.Errorf("looking for messages to send: %w", err)
	}
	var errs []error
	for _, d := range open {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := r.deliver(ctx, d); err != nil {
			errs = append(errs, fmt.Errorf("noting what became of a message to %s: %w", d.Channel, err))
		}
	}
	return errors.Join(errs...)
}

// deliver sends one message and notes what became of it. Its error is the
// ledger's.
func (r *Runner) deliver(ctx context.Context, d Delivery) error {
	ch, ok := r.channels[d.Subscription][d.Channel]
	if m, isMail := ch.(*mailTo); isMail {
		gone, err := r.opts.Ledger.Unsubscribed(ctx, d.Subscription, m.to)
		if err != nil {
			return err
		}
		ok = !gone
	}
	d.Updated = r.opts.Now()
	if !ok {
		_, err := r.opts.Ledger.mark(ctx, d, StateWaiting, StateDropped)
		return err
	}
	// Noted before it is sent: who is killed in between finds it as possibly sent.
	if won, err := r.opts.Ledger.mark(ctx, d, StateWaiting, StateSending); err != nil || !won {
		return err
	}
	// A message under way is finished: to break it off would leave in doubt
	// whether it arrived.
	sendCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*sendTimeout)
	receipt, err := ch.Send(sendCtx, d.Message)
	cancel()
	ctx = context.WithoutCancel(ctx)
	d.Tries++
	d.Updated = r.opts.Now()
	if err == nil {
		d.Receipt, d.Error = receipt, ""
		_, err := r.opts.Ledger.mark(ctx, d, StateSending, StateSent)
		return err
	}
	return r.failed(ctx, d, err)
}

// failed notes a try that failed: it is tried again, or given up.
func (r *Runner) failed(ctx context.Context, d Delivery, cause error) error {
	d.Error = cause.Error()
	wait := min(firstWait<<min(d.Tries-1, 10), lastWait)
	var fast *TooFastError
	if errors.As(cause, &fast) && fast.Wait > wait {
		wait = fast.Wait
	}
	d.NextTry = d.Updated.Add(wait)
	if !errors.Is(cause, ErrPermanent) && d.NextTry.Sub(d.Created) <= giveUp {
		r.opts.Logger.Warn("a digest could not be sent and is tried again", "subscription", d.Subscription, "channel", d.Channel, "tries", d.Tries, "again", d.NextTry, "error", cause)
		_, err := r.opts.Ledger.mark(ctx, d, StateSending, StateWaiting)
		return err
	}
	if _, err := r.opts.Ledger.mark(ctx, d, StateSending, StateGivenUp); err != nil {
		return err
	}
	r.opts.Logger.Error("a digest could not be sent and is given up", "subscription", d.Subscription, "channel", d.Channel, "tries", d.Tries, "error", cause)
	r.alarm(ctx, d)
	return nil
}

// alarm tells the other channels of a subscription that one was given up; they
// answer for each other, and the log and the pages say it in any case.
func (r *Runner) alarm(ctx context.Context, d Delivery) {
	for name, ch := range r.channels[d.Subscription] {
		if name == d.Channel {
			continue
		}
		m := Message{ID: "alarm." + d.Message.ID, At: d.Updated, Subject: "清源：摘要未能送达 / digest not delivered",
			Text: fmt.Sprintf("订阅 %s 的摘要（截至 %s）未能送达 %s：%s\nThe digest of %s up to %s could not be delivered to %s.",
				d.Subscription, d.End.Format(time.RFC3339), plain(d.Channel), plain(cutBytes(d.Error, 500)), d.Subscription, d.End.Format(time.RFC3339), plain(d.Channel))}
		m.HTML = "<pre>" + escape(m.Text) + "</pre>"
		doc, err := json.Marshal(map[string]any{"alarm": "digest not delivered", "subscription": d.Subscription, "channel": d.Channel, "error": d.Error})
		if err == nil {
			m.JSON = string(doc)
		}
		sendCtx, cancel := context.WithTimeout(ctx, sendTimeout)
		_, err = ch.Send(sendCtx, m)
		cancel()
		if err == nil {
			return
		}
		r.opts.Logger.Warn("the alarm could not be sent either", "channel", name, "error", err)
	}
}

// Preview renders the digest that a subscription would get if its period ended
// now, without sending or noting anything.
func (r *Runner) Preview(ctx context.Context, name string) (Message, error) {
	s := r.find(name)
	if s == nil {
		return Message{}, fmt.Errorf("there is no subscription %q", name)
	}
	now := r.opts.Now()
	// A whole period up to now, or more when the last digest is older.
	next := s.Due(now)
	from := now.Add(-min(s.Due(next).Sub(next), maxPeriod))
	if last, err := r.opts.Ledger.position(ctx, name); err == nil && !last.IsZero() && last.Before(from) {
		from = last
	}
	d, err := r.build(ctx, s, from, now)
	if err != nil {
		return Message{}, err
	}
	m, _, err := render(s, d, 0)
	m.At = now
	return m, err
}

// Test sends a preview, marked as a test, to one channel and returns what it
// answered; nothing is noted.
func (r *Runner) Test(ctx context.Context, name, channel string) (string, error) {
	ch, ok := r.channels[name][channel]
	if !ok {
		return "", fmt.Errorf("subscription %q has no channel %q that messages are sent to", name, channel)
	}
	m, err := r.Preview(ctx, name)
	if err != nil {
		return "", err
	}
	m.Test = true
	m.Subject = "【测试 / test】" + m.Subject
	m.ID = r.messageID(name, channel+"\x00test", m.At)
	if rb, ok := ch.(*robot); ok {
		m.Text = robotText(rb.kind, digest.Brief{Title: m.Subject, Lines: []digest.BriefLine{{Text: "通道可用 / this channel works"}}})
	}
	return ch.Send(ctx, m)
}

// Channels lists the names of a subscription's channels that messages are
// sent to.
func (r *Runner) Channels(name string) []string {
	var out []string
	for ch := range r.channels[name] {
		out = append(out, ch)
	}
	return out
}

func (r *Runner) find(name string) *Subscription {
	for _, s := range r.opts.Subscriptions {
		if s.Name == name {
			return s
		}
	}
	return nil
}
