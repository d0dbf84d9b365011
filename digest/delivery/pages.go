package delivery

import (
	"crypto/subtle"
	"encoding/xml"
	"fmt"
	"html"
	"net/http"
	"time"
)

// feedEntries is how many digests a feed holds.
const feedEntries = 30

func escape(s string) string { return html.EscapeString(s) }

// Handler serves what receivers ask for without logging in: feeds under
// /feed/{subscription}/{secret} and /unsubscribe, to be mounted at /digest.
func (r *Runner) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /feed/{sub}/{secret}", r.getFeed)
	mux.HandleFunc("GET /unsubscribe", r.getUnsubscribe)
	mux.HandleFunc("POST /unsubscribe", r.postUnsubscribe)
	return mux
}

type atomFeed struct {
	XMLName xml.Name    `xml:"http://www.w3.org/2005/Atom feed"`
	ID      string      `xml:"id"`
	Title   string      `xml:"title"`
	Updated string      `xml:"updated"`
	Author  atomAuthor  `xml:"author"`
	Entries []atomEntry `xml:"entry"`
}

type atomAuthor struct {
	Name string `xml:"name"`
}

type atomEntry struct {
	ID      string      `xml:"id"`
	Title   string      `xml:"title"`
	Updated string      `xml:"updated"`
	Content atomContent `xml:"content"`
}

type atomContent struct {
	Type string `xml:"type,attr"`
	Body string `xml:",chardata"`
}

// getFeed answers a feed to whoever knows its secret; nobody learns whether
// there is one.
func (r *Runner) getFeed(w http.ResponseWriter, req *http.Request) {
	s := r.find(req.PathValue("sub"))
	if s == nil || !s.hasFeed(req.PathValue("secret")) {
		http.NotFound(w, req)
		return
	}
	runs, err := r.opts.Ledger.Runs(req.Context(), s.Name, feedEntries)
	if err != nil {
		r.opts.Logger.Error("reading digests for a feed", "subscription", s.Name, "error", err)
		http.Error(w, "the digests cannot be read now", http.StatusInternalServerError)
		return
	}
	title := s.Title
	if title == "" {
		title = s.Name
	}
	f := atomFeed{ID: "tag:qingyuan.invalid,2026:digest/" + s.Name, Title: title, Updated: time.Unix(0, 0).UTC().Format(time.RFC3339), Author: atomAuthor{"清源 Qingyuan"}}
	for i, run := range runs {
		if i == 0 {
			f.Updated = run.Created.UTC().Format(time.RFC3339)
		}
		if run.HTML == "" {
			continue // skipped: nothing happened
		}
		f.Entries = append(f.Entries, atomEntry{ID: fmt.Sprintf("%s/%d", f.ID, run.End.Unix()), Title: run.Subject,
			Updated: run.Created.UTC().Format(time.RFC3339), Content: atomContent{"html", run.HTML}})
	}
	w.Header().Set("Content-Type", "application/atom+xml; charset=utf-8")
	w.Header().Set("Cache-Control", "private, max-age=300")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	out, err := xml.MarshalIndent(f, "", " ")
	if err != nil {
		http.Error(w, "the digests cannot be written", http.StatusInternalServerError)
		return
	}
	fmt.Fprintf(w, "%s%s\n", xml.Header, out)
}

func (s *Subscription) hasFeed(secret string) bool {
	ok := false
	for _, c := range s.Channels {
		if c.Feed != nil && subtle.ConstantTimeCompare([]byte(c.Feed.Secret), []byte(secret)) == 1 {
			ok = true
		}
	}
	return ok
}

// unsubscribing reads a signed link.
func (r *Runner) unsubscribing(req *http.Request) (sub, to string, ok bool) {
	q := req.URL.Query()
	sub, to = q.Get("sub"), q.Get("to")
	return sub, to, to != "" && subtle.ConstantTimeCompare([]byte(q.Get("sign")), []byte(r.unsubscribeSign(sub, to))) == 1
}

const plainPage = `<!DOCTYPE html><html lang="zh-CN"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>%s</title>
<body style="font:16px/1.6 sans-serif;max-width:32em;margin:3em auto;padding:0 1em"><p>%s</p>%s</body></html>`

func page(w http.ResponseWriter, status int, title, text, more string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	fmt.Fprintf(w, plainPage, escape(title), escape(text), more)
}

// getUnsubscribe only asks: mail scanners follow every link.
func (r *Runner) getUnsubscribe(w http.ResponseWriter, req *http.Request) {
	sub, to, ok := r.unsubscribing(req)
	if !ok {
		page(w, http.StatusForbidden, "退订 / Unsubscribe", "链接无效。 / This link is not valid.", "")
		return
	}
	page(w, http.StatusOK, "退订 / Unsubscribe", fmt.Sprintf("%s 将不再收到订阅“%s”。 / %s will no longer get “%s”.", to, sub, to, sub),
		`<form method="post"><button type="submit">退订 / Unsubscribe</button></form>`)
}

// postUnsubscribe is the one click of RFC 8058, which brings neither cookie nor
// token: the signature in the link is the permission.
func (r *Runner) postUnsubscribe(w http.ResponseWriter, req *http.Request) {
	sub, to, ok := r.unsubscribing(req)
	if !ok {
		page(w, http.StatusForbidden, "退订 / Unsubscribe", "链接无效。 / This link is not valid.", "")
		return
	}
	if err := r.opts.Ledger.Unsubscribe(req.Context(), sub, to, r.opts.Now()); err != nil {
		r.opts.Logger.Error("noting an unsubscription", "subscription", sub, "error", err)
		page(w, http.StatusInternalServerError, "退订 / Unsubscribe", "暂时无法退订，请稍后再试。 / This does not work now; please try again later.", "")
		return
	}
	r.opts.Logger.Info("an address unsubscribed", "subscription", sub)
	page(w, http.StatusOK, "退订 / Unsubscribe", "已退订。 / Done.", "")
}
