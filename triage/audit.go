package triage

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"qingyuan/index"
)

// Bounds of the audit page.
const (
	auditPage   = 100
	auditScan   = 5000             // rows looked at for one filtered page
	verifyFresh = time.Minute      // how long a verification is shown before it is made again
	verifyTime  = 10 * time.Second // how long a verification may take on a page's way
)

// auditActions are the actions that stores and this package write.
var auditActions = [...]string{"status", "assign", "tag", "untag", "comment", "export", "reveal", "dictionary_publish", "dictionary_rollback", "dictionary_failed"}

// verification is the trail's last check.
type verification struct {
	At      time.Time
	State   string // "ok", "altered" or "unknown"
	Problem string
}

type auditView struct {
	Rows     []index.AuditRow
	Actor    string
	Action   string
	Record   string
	Actions  []choice
	Next     string
	First    string
	Verified verification
	Verify   string
}

func (s *Server) getAudit(w http.ResponseWriter, r *http.Request) {
	lang := s.lang(r)
	q := r.URL.Query()
	v := auditView{Actor: strings.TrimSpace(q.Get("actor")), Action: q.Get("action"), Record: strings.TrimSpace(q.Get("record")), Verify: "/audit?verify=1"}
	for _, a := range auditActions {
		v.Actions = append(v.Actions, choice{Value: a, Name: label(lang, "action", a), Active: a == v.Action})
	}
	before, _ := strconv.ParseInt(q.Get("before"), 10, 64) // absent or odd: from the newest
	before = max(before, 0)
	next, err := s.auditRows(r.Context(), &v, before, auditPage)
	if err != nil {
		s.storeProblem(w, r, err)
		return
	}
	filters := url.Values{}
	for key, value := range map[string]string{"actor": v.Actor, "action": v.Action, "record": v.Record} {
		if value != "" {
			filters.Set(key, value)
		}
	}
	if before > 0 {
		v.First = "/audit?" + filters.Encode()
	}
	if next > 0 {
		filters.Set("before", strconv.FormatInt(next, 10))
		v.Next = "/audit?" + filters.Encode()
	}
	v.Verified = s.verify(r.Context(), q.Get("verify") != "")
	s.render(w, r, http.StatusOK, "audit", text(lang, "nav.audit"), v)
}

// auditRows reads up to limit rows that pass the filters, and returns where to
// go on, 0 at the end. There may be fewer and more to come: it looks at
// auditScan rows.
func (s *Server) auditRows(ctx context.Context, v *auditView, before int64, limit int) (int64, error) {
	for scanned := 0; scanned < auditScan; {
		rows, err := s.store.Audit(ctx, v.Record, before, limit+1)
		if err != nil {
			return 0, err
		}
		more := len(rows) > limit
		rows = rows[:min(len(rows), limit)]
		for _, row := range rows {
			scanned++
			before = row.Seq
			if v.Actor != "" && row.Actor != v.Actor || v.Action != "" && row.Action != v.Action {
				continue
			}
			if v.Rows = append(v.Rows, row); len(v.Rows) == limit {
				if !more && row.Seq == rows[len(rows)-1].Seq {
					return 0, nil
				}
				return before, nil
			}
		}
		if !more {
			return 0, nil
		}
	}
	return before, nil
}

// verify returns the trail's state, checked anew when asked for or when the
// last check is old.
func (s *Server) verify(ctx context.Context, now bool) verification {
	s.mu.Lock()
	last := s.verified
	s.mu.Unlock()
	if age := s.now().Sub(last.At); !now && !last.At.IsZero() && age >= 0 && age < verifyFresh {
		return last
	}
	ctx, cancel := context.WithTimeout(ctx, verifyTime)
	defer cancel()
	v := verification{At: s.now(), State: "ok"}
	var altered *index.AuditError
	switch err := s.store.VerifyAudit(ctx); {
	case errors.As(err, &altered):
		v.State, v.Problem = "altered", altered.Error()
		s.log.Error("the audit trail was altered", "err", err)
	case err != nil:
		v.State = "unknown"
		s.log.Warn("verifying the audit trail", "err", err)
	}
	s.mu.Lock()
	s.verified = v
	s.mu.Unlock()
	return v
}

type helpView struct {
	Fields   []helpField
	Examples []choice
	Keys     []keyHelp
	Evasions []choice
}

type helpField struct {
	Name, Label, Help string
	Values            []string
}

type keyHelp struct{ Key, Text string }

func (s *Server) getHelp(w http.ResponseWriter, r *http.Request) {
	lang := s.lang(r)
	var v helpView
	for _, f := range index.Fields() {
		h := helpField{Name: f.Name, Label: fieldLabel(lang, f.Name), Help: f.Help, Values: f.Values}
		if lang == "en" {
			h.Help = cmp.Or(f.HelpEn, text(lang, "kind."+kindNames[f.Kind]))
		}
		switch f.Name {
		case index.FacetCategory:
			h.Values = s.order
		case index.FacetEvasion:
			h.Values = evasionIDs()
		case index.FacetReason:
			h.Values = dismissReasons[:]
		}
		v.Fields = append(v.Fields, h)
	}
	for _, e := range [...]struct{ query, key string }{
		{"停息挂账 代办", "example.both"}, {`"加微信"`, "example.phrase"}, {"flagged:true score>=0.8", "example.fields"},
		{"status:(new OR reviewing) -source:news", "example.group"}, {"ingested:7d", "example.age"}, {"published:[2026-11-01 TO 2026-11-07]", "example.range"},
		{"contact:13800138000", "example.contact"}, {`NOT wechat:""`, "example.has"}, {`assignee:"" severity:(high OR critical)`, "example.nobody"},
	} {
		v.Examples = append(v.Examples, choice{Value: e.query, Name: text(lang, e.key), Href: queryHref(e.query)})
	}
	for _, k := range [...]string{"j", "k", "Enter", "c", "r", "x", "u", "Space", "/", "?", "Esc"} {
		v.Keys = append(v.Keys, keyHelp{k, text(lang, "key."+k)})
	}
	for _, id := range evasionIDs() {
		v.Evasions = append(v.Evasions, choice{Value: id, Name: label(lang, "evasion", id), Href: text(lang, "evasion_help."+id)})
	}
	s.render(w, r, http.StatusOK, "help", text(lang, "nav.help"), v)
}

var kindNames = map[index.FieldKind]string{index.KindText: "text", index.KindKeyword: "keyword", index.KindEnum: "enum",
	index.KindEntity: "entity", index.KindNumber: "number", index.KindTime: "time"}
