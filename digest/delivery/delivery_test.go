package delivery

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/emersion/go-smtp"

	"qingyuan/classify"
	"qingyuan/digest"
	"qingyuan/index"
	"qingyuan/index/sqlite"
	"qingyuan/post"
)

var start = time.Date(2026, 11, 20, 10, 0, 0, 0, index.China())

// desk is a runner with its parts and a clock that tests move.
type desk struct {
	t      *testing.T
	mu     sync.Mutex
	now    time.Time
	store  *sqlite.Store
	ledger *Ledger
	file   string
	opts   Options
	runner *Runner
}

func newDesk(t *testing.T, smtpAddr string, files ...string) *desk {
	t.Helper()
	d := &desk{t: t, now: start, file: filepath.Join(t.TempDir(), "digest.db")}
	var err error
	if d.store, err = sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "index.db"), Normalize: classify.Normalize, Now: d.clock}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.store.Close() })
	d.opts = Options{Store: d.store, BaseURL: "https://triage.example", Key: []byte("0123456789abcdef"), Now: d.clock}
	if smtpAddr != "" {
		host, port, _ := net.SplitHostPort(smtpAddr)
		n, _ := strconv.Atoi(port)
		d.opts.SMTP = SMTP{Host: host, Port: n, TLS: "none", From: "qingyuan@agency.example"}
	}
	for i, f := range files {
		s, err := ReadSubscription(fmt.Sprintf("s%d.yaml", i), []byte(f))
		if err != nil {
			t.Fatal(err)
		}
		d.opts.Subscriptions = append(d.opts.Subscriptions, s)
	}
	d.open()
	return d
}

// open starts as a process does, on whatever the ledger holds.
func (d *desk) open() {
	d.t.Helper()
	if d.ledger != nil {
		d.ledger.Close()
	}
	var err error
	if d.ledger, err = OpenLedger(d.t.Context(), d.file); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { d.ledger.Close() })
	d.opts.Ledger = d.ledger
	if d.runner, err = NewRunner(d.opts); err != nil {
		d.t.Fatal(err)
	}
	if _, err := d.ledger.recover(d.t.Context(), d.clock()); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) clock() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

// at moves the clock and lets the runner work.
func (d *desk) at(t time.Time) {
	d.t.Helper()
	d.mu.Lock()
	d.now = t
	d.mu.Unlock()
	if err := d.runner.Tick(d.t.Context()); err != nil {
		d.t.Fatalf("at %v: %v", t, err)
	}
}

func (d *desk) hit(key string, at time.Time) {
	d.t.Helper()
	p := post.Post{ID: post.NewID("bbs", key), Source: "bbs", Kind: post.KindPost, URL: "https://bbs.example/" + key, Title: "帖子 " + key + " <script>*[x](http://evil.example)",
		Text: "停息挂账，微信 contact_" + key, FetchedAt: at}
	title := utf8.RuneCountInString(p.Title)
	v := classify.Verdict{Flagged: true, Score: 0.9, Severity: classify.SeverityHigh, Stance: classify.StanceOffer, Categories: []classify.CategoryScore{{ID: "debt_relief_scam", Score: 0.9}},
		Entities: []classify.Entity{{Type: "wechat", Value: "contact_" + key, Raw: "contact_" + key, Start: title + 9, End: title + 9 + len("contact_"+key)}}}
	if err := d.store.Put(d.t.Context(), []index.Record{{Post: p, Verdict: v, IngestedAt: at, Campaign: index.Campaign{ID: p.ID, FirstSeen: at}}}); err != nil {
		d.t.Fatal(err)
	}
}

// inbox is a real mail server.
type inbox struct {
	mu     sync.Mutex
	mails  []*mail.Message
	bodies []string
	refuse error // the next answer
	addr   string
}

func (b *inbox) NewSession(*smtp.Conn) (smtp.Session, error) { return &session{b: b}, nil }

type session struct{ b *inbox }

func (s *session) Reset()                               {}
func (s *session) Logout() error                        { return nil }
func (s *session) Mail(string, *smtp.MailOptions) error { return nil }
func (s *session) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if s.b.refuse != nil {
		return s.b.refuse
	}
	m, err := mail.ReadMessage(strings.NewReader(string(raw)))
	if err != nil {
		return err
	}
	s.b.mails, s.b.bodies = append(s.b.mails, m), append(s.b.bodies, string(raw))
	return nil
}

func newInbox(t *testing.T) *inbox {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &inbox{addr: l.Addr().String()}
	s := smtp.NewServer(b)
	s.Domain = "mx.example"
	go s.Serve(l) //nolint:errcheck // ends with Close
	t.Cleanup(func() { s.Close() })
	return b
}

func (b *inbox) set(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuse = err
}

func (b *inbox) headers(name string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, m := range b.mails {
		out = append(out, m.Header.Get(name))
	}
	return out
}

const byMail = `
name: desk
title: 反诈日报
schedule: "0 9 * * *"
channels:
  - mail: {to: [duty@agency.example]}
`

func TestDigestGoesOutOncePerPeriod(t *testing.T) {
	in := newInbox(t)
	d := newDesk(t, in.addr, byMail)
	d.at(start)
	d.hit("one", start.Add(time.Hour))
	nine := time.Date(2026, 11, 21, 9, 0, 0, 0, index.China())
	d.at(nine.Add(30 * time.Second)) // what entered the index at nine may not be found yet
	if n := len(in.headers("Subject")); n != 0 {
		t.Fatalf("%d mails before the lag is over", n)
	}
	for range 3 {
		d.at(nine.Add(2 * time.Minute))
	}
	ids := in.headers("Message-Id")
	if len(ids) != 1 || !strings.HasPrefix(ids[0], "<digest.desk.") || !strings.HasSuffix(ids[0], "@agency.example>") {
		t.Fatalf("mails %q, want one with an id of its own", ids)
	}
	m := in.mails[0]
	if m.Header.Get("List-Unsubscribe-Post") != "List-Unsubscribe=One-Click" || !strings.HasPrefix(m.Header.Get("List-Unsubscribe"), "<https://triage.example/digest/unsubscribe?") {
		t.Errorf("unsubscription: %q %q", m.Header.Get("List-Unsubscribe"), m.Header.Get("List-Unsubscribe-Post"))
	}
	if strings.Contains(in.bodies[0], "contact_one") || !strings.Contains(in.bodies[0], "multipart/alternative") {
		t.Error("the mail shows a contact in full, or has one part only")
	}
	// The next day brings nothing new: the digest says so.
	d.at(nine.Add(24*time.Hour + 2*time.Minute))
	if n := len(in.headers("Subject")); n != 2 {
		t.Errorf("%d mails after two days, want 2", n)
	}
}

func TestMissedPeriodsComeAsOne(t *testing.T) {
	in := newInbox(t)
	d := newDesk(t, in.addr, byMail)
	d.at(start)
	d.hit("old", start.Add(30*time.Hour))
	d.open() // the machine was off for three days
	d.at(start.Add(72 * time.Hour))
	got := in.headers("Subject")
	if len(got) != 1 {
		t.Fatalf("%d mails, want one", len(got))
	}
	subject, err := new(mimeDecoder).DecodeHeader(got[0])
	if err != nil || !strings.Contains(subject, "补发 3 期") {
		t.Errorf("subject %q (%v) does not say that it makes up for 3 periods", subject, err)
	}
	runs, err := d.ledger.Runs(t.Context(), "desk", 10)
	if err != nil || len(runs) != 1 || runs[0].Hits != 1 || runs[0].Missed != 2 {
		t.Errorf("runs %+v (%v)", runs, err)
	}
	// After a month away only the last week is told.
	d.at(start.Add(40 * 24 * time.Hour))
	runs, _ = d.ledger.Runs(t.Context(), "desk", 1)
	if length := runs[0].End.Sub(runs[0].Start); length != maxPeriod {
		t.Errorf("the digest after a month covers %v, want %v", length, maxPeriod)
	}
}

func TestFailuresAreRetriedThenGivenUpWithAnAlarm(t *testing.T) {
	in := newInbox(t)
	var bodies []string
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		bodies = append(bodies, string(raw))
	}))
	t.Cleanup(hook.Close)
	d := newDesk(t, in.addr, byMail+`  - webhook: {name: soc, url: "`+hook.URL+`", secret: abc, allow_private: true}
`)
	d.at(start)
	in.set(&smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "try later"})
	due := time.Date(2026, 11, 21, 9, 2, 0, 0, index.China())
	d.at(due)
	state := func(channel string) Delivery {
		t.Helper()
		all, err := d.ledger.Recent(t.Context(), "desk", 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range all {
			if x.Channel == channel {
				return x
			}
		}
		t.Fatalf("no delivery to %s", channel)
		return Delivery{}
	}
	if got := state("mail:duty@agency.example"); got.State != StateWaiting || got.Tries != 1 || !strings.Contains(got.Error, "451") {
		t.Fatalf("after one try: %+v", got)
	}
	if state("webhook:soc").State != StateSent || len(bodies) != 1 {
		t.Fatal("the channel that works waits for the one that does not")
	}
	d.at(due.Add(30 * time.Second))
	if got := state("mail:duty@agency.example").Tries; got != 1 {
		t.Errorf("%d tries within the wait", got)
	}
	// Comes right in the end: the same mail, once.
	in.set(nil)
	d.at(due.Add(2 * time.Minute))
	if got := state("mail:duty@agency.example"); got.State != StateSent || got.Tries != 2 || len(in.mails) != 1 {
		t.Errorf("after the server recovered: %+v, %d mails", got, len(in.mails))
	}
	// The next one is refused for hours.
	in.set(&smtp.SMTPError{Code: 451, Message: "try later"})
	next := due.Add(24 * time.Hour)
	for m := range 7 * 60 {
		d.at(next.Add(time.Duration(m) * time.Minute))
	}
	got := state("mail:duty@agency.example")
	if got.State != StateGivenUp || got.Tries < 20 || got.Tries > 60 {
		t.Errorf("after seven hours: %s after %d tries", got.State, got.Tries)
	}
	if len(bodies) != 3 || !strings.Contains(bodies[2], "not delivered") || strings.Contains(bodies[2], "secret") {
		t.Errorf("webhook got %d messages, want two digests and an alarm", len(bodies))
	}
	// Refused for good: no second try.
	in.set(&smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"})
	d.at(due.Add(48 * time.Hour))
	if got := state("mail:duty@agency.example"); got.State != StateGivenUp || got.Tries != 1 {
		t.Errorf("after a refusal for good: %s after %d tries", got.State, got.Tries)
	}
}

func TestUnsubscribing(t *testing.T) {
	in := newInbox(t)
	d := newDesk(t, in.addr, byMail)
	d.at(start)
	link := d.runner.unsubscribeLink("desk", "duty@agency.example")
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, query string) int {
		w := httptest.NewRecorder()
		d.runner.Handler().ServeHTTP(w, httptest.NewRequest(method, "/unsubscribe?"+query, strings.NewReader("List-Unsubscribe=One-Click")))
		return w.Code
	}
	forged := u.Query()
	forged.Set("to", "boss@agency.example")
	if got := ask("POST", forged.Encode()); got != http.StatusForbidden {
		t.Errorf("a forged link is answered %d", got)
	}
	if got := ask("GET", u.RawQuery); got != 200 {
		t.Errorf("looking is answered %d", got)
	}
	due := time.Date(2026, 11, 21, 9, 2, 0, 0, index.China())
	d.at(due)
	if len(in.mails) != 1 {
		t.Fatal("looking at the page unsubscribed, as every mail scanner would")
	}
	if got := ask("POST", u.RawQuery); got != 200 {
		t.Errorf("one click is answered %d", got)
	}
	d.at(due.Add(24 * time.Hour))
	if len(in.mails) != 1 {
		t.Error("a mail came after unsubscribing")
	}
	if back, err := d.ledger.Resubscribe(t.Context(), "desk", "DUTY@agency.example"); !back || err != nil {
		t.Errorf("resubscribing: %v %v", back, err)
	}
	d.at(due.Add(48 * time.Hour))
	if len(in.mails) != 2 {
		t.Error("no mail came after resubscribing")
	}
}

func TestPreviewAndTestNoteNothing(t *testing.T) {
	in := newInbox(t)
	d := newDesk(t, in.addr, byMail)
	d.at(start)
	d.hit("now", start.Add(time.Minute))
	d.at(start.Add(2 * time.Minute))
	m, err := d.runner.Preview(t.Context(), "desk")
	if err != nil || !strings.Contains(m.Text, "命中") || !strings.Contains(m.Subject, "反诈日报") {
		t.Fatalf("preview %q %v", m.Subject, err)
	}
	if _, err := d.runner.Test(t.Context(), "desk", "mail:duty@agency.example"); err != nil || len(in.mails) != 1 {
		t.Fatalf("test: %v, %d mails", err, len(in.mails))
	}
	if subject, _ := new(mimeDecoder).DecodeHeader(in.headers("Subject")[0]); !strings.Contains(subject, "测试") {
		t.Errorf("subject %q is not marked", subject)
	}
	runs, _ := d.ledger.Runs(t.Context(), "desk", 5)
	sent, _ := d.ledger.Recent(t.Context(), "desk", 5)
	if len(runs)+len(sent) != 0 {
		t.Errorf("%d runs and %d deliveries are noted", len(runs), len(sent))
	}
	if _, err := d.runner.Test(t.Context(), "desk", "mail:other@agency.example"); err == nil {
		t.Error("a channel that is not there is tried")
	}
}

func TestFeed(t *testing.T) {
	d := newDesk(t, "", `
name: feed
title: 摘要 <b>
schedule: "0 * * * *"
empty: skip
channels: [{feed: {secret: "0123456789abcdef0123"}}]
`)
	d.at(start)
	d.hit("f1", start.Add(time.Minute))
	d.at(start.Add(62 * time.Minute))
	d.at(start.Add(122 * time.Minute)) // an empty hour
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		d.runner.Handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w
	}
	for _, path := range []string{"/feed/feed/wrong-secret-000000", "/feed/other/0123456789abcdef0123", "/feed/feed/"} {
		if got := get(path).Code; got != http.StatusNotFound {
			t.Errorf("%s is answered %d", path, got)
		}
	}
	w := get("/feed/feed/0123456789abcdef0123")
	if n := strings.Count(w.Body.String(), "<entry>"); w.Code != 200 || n != 1 || strings.Contains(w.Body.String(), "<b>") || strings.Contains(w.Body.String(), "<script>") {
		t.Errorf("%d with %d entries:\n%.600s", w.Code, n, w.Body)
	}
	if again := get("/feed/feed/0123456789abcdef0123"); again.Body.String() != w.Body.String() {
		t.Error("the feed changes though nothing happened")
	}
}

func TestRobotsSignAndReadTheAnswer(t *testing.T) {
	type request struct {
		query url.Values
		body  map[string]any
	}
	var got []request
	answer := `{"errcode":0,"errmsg":"ok","code":0}`
	robots := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		got = append(got, request{r.URL.Query(), body})
		io.WriteString(w, answer)
	}))
	t.Cleanup(robots.Close)
	config := RobotConfig{Name: "g", URL: robots.URL + "/send?access_token=tok", Secret: "SECabc", AllowPrivate: true}
	m := Message{Subject: "摘要", Text: "内容"}
	for _, kind := range []string{kindWeCom, kindDingTalk, kindFeishu} {
		if _, err := newRobot(kind, config, func() time.Time { return start }).Send(t.Context(), m); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
	}
	if wecom := got[0].body["markdown"].(map[string]any)["content"]; wecom != "内容" {
		t.Errorf("wecom got %v", wecom)
	}
	// By the services' own description, written out here once more.
	ms := strconv.FormatInt(start.UnixMilli(), 10)
	h := hmac.New(sha256.New, []byte("SECabc"))
	io.WriteString(h, ms+"\nSECabc")
	if q := got[1].query; q.Get("sign") != base64.StdEncoding.EncodeToString(h.Sum(nil)) || q.Get("timestamp") != ms || q.Get("access_token") != "tok" {
		t.Errorf("dingtalk was asked with %v", q)
	}
	s := strconv.FormatInt(start.Unix(), 10)
	h = hmac.New(sha256.New, []byte(s+"\nSECabc"))
	if b := got[2].body; b["sign"] != base64.StdEncoding.EncodeToString(h.Sum(nil)) || b["timestamp"] != s {
		t.Errorf("feishu got %v", b)
	}
	for name, c := range map[string]struct {
		kind, answer string
		fast         bool
	}{
		"wecom too fast":   {kindWeCom, `{"errcode":45009,"errmsg":"api freq out of limit"}`, true},
		"feishu too fast":  {kindFeishu, `{"code":11232,"msg":"frequency limited"}`, true},
		"dingtalk refused": {kindDingTalk, `{"errcode":310000,"errmsg":"sign not match"}`, false},
		"feishu refused":   {kindFeishu, `{"code":19021,"msg":"sign match fail"}`, false},
		"no code":          {kindWeCom, `{}`, false},
		"no json":          {kindWeCom, `<html>`, false},
	} {
		answer = c.answer
		_, err := newRobot(c.kind, config, time.Now).Send(t.Context(), m)
		var fast *TooFastError
		if err == nil || errors.As(err, &fast) != c.fast || strings.Contains(err.Error(), "tok") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSignaturesStayAsTheyAre pins what the three algorithms gave when they
// were worked out by another program.
func TestSignaturesStayAsTheyAre(t *testing.T) {
	for name, c := range map[string]struct{ got, want string }{
		"dingtalk": {signDingTalk("SEC0001", "1577262236757"), "UPKelA5tXDtHKCyCrxejnFTa9HgomWvEsKxIeii6ba4="},
		"feishu":   {signFeishu("demo", "1599360473"), "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8="},
		"webhook":  {signWebhook("whsec", "msg_1", "1700000000", []byte(`{"a":1}`)), "v1,xNlSYJ77uI+sVM7nyJPA2eQWtUBZhiURjpbI/2q392I="},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", name, c.got, c.want)
		}
	}
}

func TestRobotTextIsHarmlessAndFits(t *testing.T) {
	b := digest.Brief{Title: "标题", Link: "https://triage.example", More: "其余 %d 行见研判页面"}
	for i := range 400 {
		b.Lines = append(b.Lines, digest.BriefLine{Text: fmt.Sprintf("第 %d 行 <@all> [点我](http://evil.example) **粗** @所有人 <font color=red>", i), Link: "https://triage.example/post/1"})
	}
	for kind, limit := range map[string]int{kindWeCom: maxWeCom, kindDingTalk: maxDingTalk, kindFeishu: maxFeishu} {
		text := robotText(kind, b)
		if len(text) > limit || !utf8.ValidString(text) || !strings.Contains(text, "行见研判页面") {
			t.Errorf("%s: %d bytes of %d, valid %v", kind, len(text), limit, utf8.ValidString(text))
		}
		for _, bad := range []string{"<", ">", "](http://evil", "@"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s: %q is left in the text", kind, bad)
			}
		}
	}
	if got := cutBytes("中文字", 7); got != "中…" && got != "…" || len(got) > 7 {
		t.Errorf("cut to %q", got)
	}
}

func TestWebhooksReachOnlyTheInternet(t *testing.T) {
	reached := false
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	t.Cleanup(inside.Close)
	elsewhere := httptest.NewServer(http.RedirectHandler(inside.URL, http.StatusTemporaryRedirect))
	t.Cleanup(elsewhere.Close)
	for _, c := range []WebhookConfig{{Name: "a", URL: inside.URL, Secret: "s"}, {Name: "b", URL: strings.Replace(inside.URL, "127.0.0.1", "localhost", 1), Secret: "s"},
		{Name: "c", URL: elsewhere.URL, Secret: "s", AllowPrivate: true}} {
		if _, err := newWebhook(c, time.Now).Send(t.Context(), Message{ID: "1", JSON: "{}"}); err == nil || !errors.Is(err, ErrPermanent) {
			t.Errorf("%s: %v, want a refusal for good", c.URL, err)
		}
	}
	if reached {
		t.Error("the own network was reached")
	}
	for addr, want := range map[string]bool{"8.8.8.8": true, "10.1.2.3": false, "100.64.0.1": false, "169.254.169.254": false, "::1": false, "::ffff:10.0.0.1": false,
		"64:ff9b::a00:1": false, "fd00::1": false, "0.0.0.0": false, "0.1.2.3": false, "224.0.0.1": false, "2001:4860:4860::8888": true} {
		if got := public(netipMust(addr)); got != want {
			t.Errorf("%s is public: %v", addr, got)
		}
	}
}

func TestMistakesInSubscriptions(t *testing.T) {
	_, err := ReadSubscription("bad.yaml", []byte(`
name: Bad Name
schedule: "61 * * * *"
timezone: Mars/Olympus
language: fr
contacts: some
empty: maybe
top: 900
query: "statu:new"
surprise: 1
silences: [{query: "", until: soon}]
channels:
  - {}
  - mail: {to: ["Duty <duty@agency.example>"]}
  - webhook: {name: x, url: "ftp://x"}
  - feed: {secret: short}
  - wecom: {name: g, url_file: /nowhere}
`))
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"name", "schedule", "timezone", "language", "contacts", "empty", "top", "query", "surprise", "silences[0].query", "silences[0].until",
		"channels[0]", "channels[1].mail.to[0]", "channels[2].webhook", "channels[3].feed", "channels[4].wecom.url_file"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing is said of %s:\n%v", want, err)
		}
	}
	for _, spec := range []string{"@every 1h", "0 0 30 2 *", "* * *", ""} {
		if _, err := parseSchedule(spec, time.UTC); err == nil {
			t.Errorf("schedule %q is accepted", spec)
		}
	}
}

func TestSchedulesInTimeZones(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	s, err := parseSchedule("30 2 * * *", berlin)
	if err != nil {
		t.Fatal(err)
	}
	// In the night of 2027-03-28 half past two does not come: the digest of that
	// day must come all the same, once.
	at := time.Date(2027, 3, 27, 12, 0, 0, 0, berlin)
	days := map[string]int{}
	for range 4 {
		at = s.next(at)
		days[at.Format(time.DateOnly)]++
	}
	for _, day := range []string{"2027-03-28", "2027-03-29", "2027-03-30"} {
		if days[day] != 1 {
			t.Errorf("%d digests on %s: %v", days[day], day, days)
		}
	}
}

func TestSilencesEnd(t *testing.T) {
	s, err := ReadSubscription("s.yaml", []byte(byMail+`silences: [{query: "source:bbs", until: 2026-11-21, author: mei, reason: 已移送}]
`))
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[time.Time]int{time.Date(2026, 11, 21, 23, 59, 0, 0, index.China()): 1, time.Date(2026, 11, 22, 0, 0, 0, 0, index.China()): 0} {
		if got := len(s.silent(at)); got != want {
			t.Errorf("at %v %d silences hold, want %d", at, got, want)
		}
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	d := newDesk(t, "", `
name: feed
schedule: "0 * * * *"
channels: [{feed: {secret: "0123456789abcdef0123"}}]
`)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- d.runner.Run(ctx) }()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

type mimeDecoder = mime.WordDecoder

func netipMust(s string) netip.Addr { return netip.MustParseAddr(s) }
