package triage

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestSubscriptionsPage(t *testing.T) {
	var tried []string
	subs := &Subscriptions{
		List: func(context.Context) ([]Subscription, error) {
			return []Subscription{{Name: "desk", Title: `反诈日报<script>alert(1)</script>`, File: "desk.yaml", Schedule: "0 9 * * *", TimeZone: "Asia/Shanghai", Next: clock, Last: clock, LastHits: 12, Query: "severity:high", Silences: 1,
				Channels: []SubscriptionChannel{{Name: "mail:duty@agency.example", State: "sent", At: clock}, {Name: "wecom:room", State: "given_up", At: clock, Tries: 30, Error: `<img src=x onerror=alert(1)>`},
					{Name: "webhook:soc", State: "waiting", At: clock, Tries: 2, NextTry: clock, Error: "refused", Again: true}, {Name: "feed", Feed: true}}}}, nil
		},
		Preview: func(_ context.Context, name string) (string, error) {
			if name != "desk" {
				return "", errors.New("none")
			}
			return "<p>digest</p>", nil
		},
		Test: func(_ context.Context, name, channel string) error {
			tried = append(tried, name+" "+channel)
			if channel == "wecom:room" {
				return errors.New("code 45009 <b>")
			}
			return nil
		},
	}
	server := newServer(t, openStore(t), func(o *Options) { o.Subscriptions, o.Language = subs, "en" })
	doc := document(t, ask(server, "GET", "/subscriptions", nil), 200)
	if doc.Find("script:not([src])").Length() != 0 || doc.Find("img").Length() != 0 {
		t.Error("markup of a subscription is markup of the page")
	}
	if got := doc.Find("tbody tr").Length(); got != 4 || doc.Find("form[action='/subscriptions/desk/test']").Length() != 3 {
		t.Errorf("%d channels", got)
	}
	w := ask(server, "GET", "/subscriptions/desk/preview", nil)
	if w.Code != 200 || !strings.Contains(w.Header().Get("Content-Security-Policy"), "sandbox") || !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("preview: %d %v", w.Code, w.Header())
	}
	if w := ask(server, "GET", "/subscriptions/nobody/preview", nil); w.Code != http.StatusNotFound {
		t.Errorf("preview of nothing: %d", w.Code)
	}
	doc = document(t, ask(server, "POST", "/subscriptions/desk/test", url.Values{"channel": {"mail:duty@agency.example"}}), 200)
	if !strings.Contains(doc.Find(".alert.good").Text(), "took the test message") {
		t.Errorf("a test that went well says %q", doc.Find(".alert").Text())
	}
	doc = document(t, ask(server, "POST", "/subscriptions/desk/test", url.Values{"channel": {"wecom:room"}}), http.StatusBadGateway)
	if !strings.Contains(doc.Find(".alert.bad").Text(), "45009 <b>") {
		t.Errorf("a test that failed says %q", doc.Find(".alert").Text())
	}
	if len(tried) != 2 {
		t.Errorf("tried %q", tried)
	}
	if w := ask(newServer(t, openStore(t), nil), "GET", "/subscriptions", nil); w.Code != http.StatusNotFound {
		t.Errorf("without subscriptions the page answers %d", w.Code)
	}
}
