package crawler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/html"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"

	"qingyuan/crawler/frontier"
	"qingyuan/crawler/transport"
)

// readAsMember is read under the site's session: it logs in first when that was
// never done, once again when the site no longer knows us, and stops the session
// when the site wants to know whether we are a person.
func (c *Crawler) readAsMember(ctx context.Context, s *Source, l frontier.Lease) (Page, Extraction, error) {
	if s.Session == nil {
		return c.read(ctx, s, l)
	}
	se := c.sessions.of(s)
	read := func(fresh bool) (Page, Extraction, error) {
		pg, ex, err := c.read(ctx, s, l)
		se.noteUse()
		if fresh && err == nil {
			se.settle(ex.Blocked == "" || ex.Wall != WallLogin, c.opts.Wall)
		}
		return pg, ex, err
	}
	fresh, w, down := c.enter(ctx, s, se, time.Time{})
	if down {
		return Page{}, Extraction{Blocked: w.why, Wall: w.kind, down: true}, ctx.Err()
	}
	began := se.now()
	pg, ex, err := read(fresh)
	if err == nil && ex.Blocked != "" && ex.Wall == WallLogin && s.Session.Login != nil && !s.Session.Login.Success.on(pg.Body) {
		se.event("lost", l.URL, ex.Blocked)
		fresh, w, down = c.enter(ctx, s, se, began)
		if down {
			return pg, Extraction{Blocked: w.why, Wall: w.kind, down: true}, ctx.Err()
		}
		if fresh {
			pg, ex, err = read(true)
		}
	}
	if err == nil && ex.Blocked != "" && risky(ex.Wall) {
		se.stop(string(ex.Wall)+" wall: "+ex.Blocked, l.URL)
	}
	return pg, ex, err
}

// enter makes sure that the session is one of a member: it logs in when that was
// never done, or not since lost, which is when a page was asked for that wanted a
// login. fresh tells of a login since; down that nothing may be asked of the
// site, and w why.
func (c *Crawler) enter(ctx context.Context, s *Source, se *session, lost time.Time) (fresh bool, w wall, down bool) {
	if s.Session.Login == nil {
		return false, wall{}, false
	}
	se.login.Lock()
	defer se.login.Unlock()
	due, f := se.loginDue()
	switch {
	case f.LoggedIn.After(lost):
		return !lost.IsZero(), wall{}, false // perhaps another worker was quicker
	case !due && lost.IsZero():
		return false, wall{WallLogin, f.Why}, true
	case !due:
		return false, wall{}, false // what was read says what the page wants
	}
	err := c.login(ctx, s, se)
	var risk *riskError
	switch {
	case ctx.Err() != nil:
		return false, wall{WallLogin, "login interrupted"}, true
	case errors.As(err, &risk):
		se.stop("at login: "+string(risk.wall.kind)+" wall: "+risk.wall.why, s.Session.Login.URL)
		return false, wall{risk.wall.kind, "at login: " + risk.wall.why}, true
	case err != nil:
		return false, wall{WallLogin, se.failed(err, c.opts.Wall)}, true
	}
	se.loggedIn()
	return true, wall{}, false
}

// loginDue reports whether a login may be tried now.
func (se *session) loginDue() (due bool, f SessionStatus) {
	se.mu.Lock()
	defer se.mu.Unlock()
	return !se.now().Before(se.f.Next), se.f.SessionStatus
}

func (se *session) loggedIn() {
	se.mu.Lock()
	defer se.mu.Unlock()
	se.f.LoggedIn, se.f.Why, se.f.URL = se.now(), "", ""
	se.save(true)
	se.audit.write(SessionEvent{Source: se.f.Source, Account: se.f.Account, Event: "login"})
}

// failed puts the next login off, longer each time, and says why.
func (se *session) failed(err error, pause Backoff) string {
	se.mu.Lock()
	defer se.mu.Unlock()
	se.f.Failed++
	se.f.Next = se.now().Add(pause.after(se.f.Failed))
	se.f.Why = "login failed: " + err.Error()
	se.save(true)
	se.audit.write(SessionEvent{Source: se.f.Source, Account: se.f.Account, Event: "login failed", Detail: se.f.Why})
	return se.f.Why
}

// settle notes what the first page after a login brought. When that wanted a
// login again the next one is put off: the page is for others than us.
func (se *session) settle(opened bool, pause Backoff) {
	se.mu.Lock()
	defer se.mu.Unlock()
	if opened {
		se.f.Failed, se.f.Next = 0, time.Time{}
		return
	}
	se.f.Failed++
	se.f.Next = se.now().Add(pause.after(se.f.Failed))
	se.save(false)
}

func (se *session) event(name, url, detail string) {
	se.mu.Lock()
	defer se.mu.Unlock()
	se.audit.write(SessionEvent{Source: se.f.Source, Account: se.f.Account, Event: name, URL: url, Detail: detail})
}

// sessionOpen reports whether anything may be asked of a leased task's site; if
// not, it answers the lease.
func (c *Crawler) sessionOpen(ctx context.Context, s *Source, l frontier.Lease) bool {
	if s.Session == nil {
		return true
	}
	se := c.sessions.of(s)
	why, err := se.stopped(s)
	// A short rest: whatever the operator does is to be seen soon.
	until := c.now().Add(min(time.Minute, c.opts.Wall.Base))
	if due, f := se.loginDue(); why == "" && err == nil && s.Session.Login != nil && f.LoggedIn.IsZero() && !due {
		why, until = f.Why, f.Next
	}
	if err != nil {
		why = err.Error()
	}
	if why == "" {
		return true
	}
	c.budget.giveBack(s.Name)
	reason := "session is stopped: " + why
	if c.once {
		c.giveUpHost(ctx, s, l, 1, reason)
		c.dead(ctx, EventDead, l, 0, reason)
		return false
	}
	c.rest(ctx, l.Host, until, reason)
	c.report("releasing", l, c.acked(ctx, func(ctx context.Context) error { return c.opts.Frontier.Release(ctx, l) }))
	return false
}

// on reports whether a page is one for members.
func (l *LoginSuccess) on(body []byte) bool {
	if l.Text != "" {
		return strings.Contains(string(body), l.Text)
	}
	root, err := parseHTML(body, time.Now().Add(parseTime))
	return err == nil && l.sel != nil && l.sel.MatchFirst(root) != nil
}

// login logs in. Its requests are paced like all others, are not archived, since
// they are made of secrets, and robots.txt is not asked: it speaks of crawling,
// and this page is named by the operator. A *riskError says that the site wants
// to know whether we are a person.
func (c *Crawler) login(ctx context.Context, s *Source, se *session) error {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout+4*max(s.Delay, maxCrawlDelay))
	defer cancel()
	p, err := c.policy(s)
	if err != nil {
		return err
	}
	p.Jar, p.Unrecorded, p.RefuseBinary = se.jar, true, false
	p.RobotsOverride = "session.login of the config of " + s.Name
	trip := newTrip(s.Delay)
	ctx = context.WithValue(transport.WithPolicy(ctx, p), tripKey{}, trip)
	ctx = transport.WithTurn(ctx, c.rt.turn)
	defer c.tellPace(ctx, trip)
	client := &http.Client{Transport: c.rt, CheckRedirect: s.redirectedLogin}
	rule := s.Session.Login
	values, err := rule.values()
	if err != nil {
		return err
	}
	action, charset := rule.URL, s.Charset
	if !rule.Direct {
		pg, err := ask(ctx, client, s, http.MethodGet, rule.URL, "")
		if err != nil {
			return fmt.Errorf("asking for the form: %w", err)
		}
		if action, charset, err = rule.fill(pg, values, charset); err != nil {
			return err
		}
	}
	body, err := encodeForm(values, charset)
	if err != nil {
		return err
	}
	pg, err := ask(ctx, client, s, http.MethodPost, action, body)
	if err != nil {
		return fmt.Errorf("sending the form: %w", err)
	}
	if rule.Success.URL != "" {
		if pg, err = ask(ctx, client, s, http.MethodGet, rule.Success.URL, ""); err != nil {
			return fmt.Errorf("looking whether we are in: %w", err)
		}
	}
	if !rule.Success.on(pg.Body) {
		return fmt.Errorf("%s answers %d and does not show what success names", withoutQuery(pg.URL), pg.Status)
	}
	return nil
}

func withoutQuery(raw string) string {
	raw, _, _ = strings.Cut(raw, "?")
	return raw
}

// ask makes one request of a login and looks for walls in its answer.
func ask(ctx context.Context, client *http.Client, s *Source, method, target, body string) (Page, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if err != nil {
		return Page{}, fmt.Errorf("making the request: %w", err)
	}
	if method == http.MethodGet {
		req.Body, req.GetBody, req.ContentLength = nil, nil, 0
	} else {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Referer", s.Session.Login.URL)
		req.Header.Set("Origin", originOf(req.URL))
	}
	resp, err := client.Do(req)
	if err != nil {
		return Page{}, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body) // in memory already, within the transport's limits
	if err != nil {
		return Page{}, fmt.Errorf("reading the answer: %w", err)
	}
	pg := Page{URL: resp.Request.URL.String(), Status: resp.StatusCode, Header: resp.Header, Body: data}
	if w, ok := s.wallOnPage(pg); ok && risky(w.kind) {
		return pg, &riskError{w}
	}
	if pg.Status >= 400 {
		return pg, fmt.Errorf("%s answers %d", withoutQuery(target), pg.Status)
	}
	return pg, nil
}

// redirectedLogin keeps what was typed into a form from being sent on to
// somebody else.
func (s *Source) redirectedLogin(req *http.Request, via []*http.Request) error {
	if req.Method != http.MethodGet && req.Method != http.MethodHead && originOf(req.URL) != originOf(via[0].URL) {
		return fmt.Errorf("the form is sent on to %s; not followed", originOf(req.URL))
	}
	if err := s.redirected(req, via); err != nil {
		return err
	}
	if len(via) >= 5 {
		return errors.New("redirects without end")
	}
	return nil
}

// values are the fields of the config, secrets read.
func (l *LoginRule) values() (url.Values, error) {
	v := url.Values{}
	for name, value := range l.Fields {
		v.Set(name, value)
	}
	for _, name := range slices.Sorted(maps.Keys(l.Secrets)) {
		secret, err := l.Secrets[name].read()
		if err != nil {
			return nil, fmt.Errorf("reading session.login.secrets.%s: %w", name, err)
		}
		v.Set(name, secret)
	}
	return v, nil
}

// fill adds what else the form on the page would send, and says where to.
func (l *LoginRule) fill(pg Page, v url.Values, charset string) (action, charsetOf string, err error) {
	root, err := parseHTML(pg.Body, time.Now().Add(parseTime))
	if err != nil {
		return "", "", fmt.Errorf("reading the login page: %w", err)
	}
	form := l.findForm(root)
	if form == nil {
		return "", "", fmt.Errorf("no form with a password field on %s: name it with form, or say direct: true", withoutQuery(pg.URL))
	}
	if !strings.EqualFold(attr(form, "method"), "post") {
		return "", "", errors.New("the form is sent by GET, which would show the password in logs: say direct: true if the site takes POST")
	}
	base, err := url.Parse(pg.URL)
	if err != nil {
		return "", "", fmt.Errorf("reading the form's address: %w", err)
	}
	to, err := base.Parse(strings.TrimSpace(attr(form, "action")))
	if err != nil {
		return "", "", errors.New("the form's action is no address")
	}
	if want, err := url.Parse(l.URL); err != nil || originOf(to) != originOf(want) {
		return "", "", fmt.Errorf("the form leads to %s, not to %s: nothing was sent", originOf(to), originOf(want))
	}
	inputs(form, func(name, value string) {
		if _, ours := v[name]; !ours {
			v.Set(name, value)
		}
	})
	to.Fragment = ""
	if charset == "" {
		charset = orText(attr(form, "accept-charset"), metaCharset(root))
	}
	return to.String(), charset, nil
}

func (l *LoginRule) findForm(root *html.Node) *html.Node {
	if l.form != nil {
		n := l.form.MatchFirst(root)
		if n == nil || n.Data != "form" {
			return nil
		}
		return n
	}
	for _, form := range formTags.MatchAll(root) {
		if passwordField.MatchFirst(form) != nil {
			return form
		}
	}
	return nil
}

// encodeForm writes the fields in the charset of the page, as a browser does.
func encodeForm(v url.Values, charset string) (string, error) {
	enc := encoding.Encoding(nil)
	if e, err := htmlindex.Get(strings.TrimSpace(charset)); err == nil {
		if name, err := htmlindex.Name(e); err == nil && name != "utf-8" && !strings.HasPrefix(name, "utf-16") {
			enc = e
		}
	}
	if enc == nil {
		return v.Encode(), nil
	}
	out := url.Values{}
	for name, values := range v {
		for _, value := range values {
			b, err := enc.NewEncoder().String(value)
			if err != nil {
				return "", fmt.Errorf("field %s cannot be written in %s", name, charset)
			}
			out.Add(name, b)
		}
	}
	return out.Encode(), nil
}
