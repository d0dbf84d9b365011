package elastic

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"qingyuan/classify"
	"qingyuan/index"
	"qingyuan/post"
)

// maxKeyword bounds one keyword in bytes, as in the embedded store; longer
// values are found by their beginning.
const maxKeyword = 2048

// keyword is a value that is absent when empty, also in a document that is
// updated in part.
type keyword string

// MarshalJSON writes null for an empty value and cuts a long one.
func (k keyword) MarshalJSON() ([]byte, error) {
	if k == "" {
		return []byte("null"), nil
	}
	return json.Marshal(cut(string(k)))
}

// keywords is a list of values without empty ones and twins.
type keywords []string

// MarshalJSON writes null for an empty list.
func (k keywords) MarshalJSON() ([]byte, error) {
	list := make([]string, 0, len(k))
	for _, v := range k {
		if v = cut(v); v != "" {
			list = append(list, v)
		}
	}
	if len(list) == 0 {
		return []byte("null"), nil
	}
	slices.Sort(list)
	return json.Marshal(slices.Compact(list))
}

func cut(s string) string {
	if len(s) <= maxKeyword {
		return s
	}
	s = s[:maxKeyword]
	for i := 0; i < utf8.UTFMax && !utf8.ValidString(s); i++ {
		s = s[:len(s)-1]
	}
	return s
}

// date is a time for Kibana, to the millisecond; null when unknown or before
// or after what people write.
type date time.Time

// MarshalJSON writes RFC 3339 in UTC.
func (d date) MarshalJSON() ([]byte, error) {
	t := time.Time(d).UTC()
	if t.IsZero() || t.Year() < 1 || t.Year() > 9999 {
		return []byte("null"), nil
	}
	return []byte(t.Format(`"2006-01-02T15:04:05.000Z"`)), nil
}

// unknownTime is the number of a time that is not known: it sorts last and
// lies outside of every range.
const unknownTime = -1 << 62

func micros(t time.Time) int64 {
	if t.IsZero() {
		return unknownTime
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == unknownTime {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// document is a record as Elasticsearch keeps it. Everything that filters,
// facets or Lens need is flat. It holds every field in every update, since an
// absent one would stay as it was; only what belongs to triage is apart.
type document struct {
	Timestamp date            `json:"@timestamp"`
	Message   string          `json:"message"`
	ECS       ecsSelf         `json:"ecs"`
	Event     ecsEvent        `json:"event"`
	URL       ecsURL          `json:"url"`
	User      ecsUser         `json:"user"`
	Rule      ecsRule         `json:"rule"`
	Threat    ecsThreat       `json:"threat"`
	Related   ecsRelated      `json:"related"`
	Observer  ecsObserver     `json:"observer"`
	Qingyuan  qingyuanSection `json:"qingyuan"`
}

type ecsSelf struct {
	Version string `json:"version"`
}

type ecsEvent struct {
	ID        keyword  `json:"id"`
	Kind      string   `json:"kind"`
	Category  keywords `json:"category"`
	Type      keywords `json:"type"`
	Action    string   `json:"action"`
	Module    string   `json:"module"`
	Dataset   string   `json:"dataset"`
	Provider  keyword  `json:"provider"`
	Reason    keyword  `json:"reason"`
	Hash      keyword  `json:"hash"`
	Created   date     `json:"created"`
	Ingested  date     `json:"ingested"`
	RiskScore float64  `json:"risk_score"`
	Severity  int      `json:"severity"`
}

type ecsURL struct {
	Full   keyword `json:"full"`
	Domain keyword `json:"domain"`
	Path   keyword `json:"path"`
	Scheme keyword `json:"scheme"`
}

type ecsUser struct {
	ID     keyword `json:"id"`
	Name   keyword `json:"name"`
	Domain keyword `json:"domain"`
}

type ecsRule struct {
	ID       keywords `json:"id"`
	Category keywords `json:"category"`
	Ruleset  string   `json:"ruleset"`
	Version  keyword  `json:"version"`
}

type ecsThreat struct {
	Framework keyword `json:"framework"`
	Technique struct {
		ID keywords `json:"id"`
	} `json:"technique"`
	Group struct {
		ID keyword `json:"id"`
	} `json:"group"`
}

type ecsRelated struct {
	User  keywords `json:"user"`
	Hosts keywords `json:"hosts"`
	Hash  keywords `json:"hash"`
}

type ecsObserver struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Product string `json:"product"`
}

// qingyuanSection is what the common schema has no name for.
type qingyuanSection struct {
	SchemaVersion int      `json:"schema_version"`
	Title         string   `json:"title"`
	Words         keywords `json:"words"`
	Tokens        tokens   `json:"tokens"`
	Source        keyword  `json:"source"`
	SourceType    keyword  `json:"source_type"`
	Kind          keyword  `json:"kind"`
	URL           keyword  `json:"url"`
	ThreadURL     keyword  `json:"thread_url"`
	Address       keywords `json:"address"` // both of them, for url:
	Host          keywords `json:"host"`    // reversed, with a dot at the end
	Author        keywords `json:"author"`
	Region        keyword  `json:"region"`
	Flagged       bool     `json:"flagged"`
	Score         float64  `json:"score"`
	Severity      keyword  `json:"severity"`
	Stance        keyword  `json:"stance"`
	Category      keywords `json:"category"`
	Evasion       keywords `json:"evasion"`
	Entity        keywords `json:"entity"` // type:value
	EntityType    keywords `json:"entity_type"`
	Contact       keywords `json:"contact"` // values of index.ContactTypes
	Near          keywords `json:"near"`    // index.NearKeys
	Campaign      struct {
		ID keyword `json:"id"`
	} `json:"campaign"`
	Dictionary keyword `json:"dictionary"`
	Model      keyword `json:"model"`
	Archive    struct {
		File     keyword `json:"file"`
		RecordID keyword `json:"record_id"`
		SHA256   keyword `json:"sha256"`
	} `json:"archive"`
	seenFields
	Record string      `json:"record"` // JSON of kept
	Triage *triageDoc  `json:"triage,omitempty"`
	Outbox *outboxJSON `json:"outbox,omitempty"`
}

// seenFields are what a sighting alone changes.
type seenFields struct {
	Day       keyword  `json:"day"`
	Revisions int      `json:"revisions"`
	FetchedAt date     `json:"fetched_at"`
	FirstSeen date     `json:"first_seen"`
	LastSeen  date     `json:"last_seen"`
	DeletedAt date     `json:"deleted_at"`
	Micros    instants `json:"micros"`
	State     string   `json:"state"` // JSON of state
}

// instants are exact times, in microseconds.
type instants struct {
	Published int64 `json:"published"`
	FirstSeen int64 `json:"first_seen"`
	LastSeen  int64 `json:"last_seen"`
	Ingested  int64 `json:"ingested"`
	Fetched   int64 `json:"fetched"`
	Deleted   int64 `json:"deleted"`
}

// tokens are index.Tokens of the published and, where it differs, of the
// normalised text.
type tokens struct {
	Title  string `json:"title"`
	Body   string `json:"body"`
	NTitle string `json:"ntitle"`
	NBody  string `json:"nbody"`
}

// triageDoc is index.Triage as it is kept.
type triageDoc struct {
	Status       keyword  `json:"status"`
	Assignee     keyword  `json:"assignee"`
	Tags         keywords `json:"tags"`
	Reason       keyword  `json:"reason"`
	CommentCount int      `json:"comment_count"`
	Version      int64    `json:"version"`
	UpdatedAt    date     `json:"updated_at"`
	UpdatedBy    keyword  `json:"updated_by"`
	Micros       int64    `json:"micros"`
}

// kept is the part of a record that Put replaces, without its texts, which
// stand in the document as they are.
type kept struct {
	Post     post.Post        `json:"post"`
	Verdict  classify.Verdict `json:"verdict"`
	Campaign index.Campaign   `json:"campaign,omitzero"`
}

// severityNumber orders severities for charts.
var severityNumber = map[classify.Severity]int{classify.SeverityLow: 1, classify.SeverityMedium: 2, classify.SeverityHigh: 3, classify.SeverityCritical: 4}

// document makes the document of a record in a state.
func (s *Store) document(r index.Record, st state) (document, error) {
	p, v := r.Post, r.Verdict
	small := p
	small.Title, small.Text = "", ""
	r.Campaign.Size = 0 // counted when it is read
	record, err := json.Marshal(kept{Post: small, Verdict: v, Campaign: r.Campaign})
	if err != nil {
		return document{}, fmt.Errorf("%w: %w", index.ErrInvalid, err)
	}
	seen, err := s.seen(r, st)
	if err != nil {
		return document{}, err
	}
	d := document{Timestamp: date(p.PublishedAt), Message: p.Text, ECS: ecsSelf{ecsVersion}, Observer: ecsObserver{"qingyuan", "crawler", "qingyuan"}}
	if p.PublishedAt.IsZero() {
		d.Timestamp = date(fromMicros(st.First))
	}
	q := &d.Qingyuan
	q.seenFields, q.Record, q.SchemaVersion, q.Title = seen, string(record), SchemaVersion, p.Title
	q.Tokens = s.tokens(p)
	if s.opts.Words != nil {
		q.Words = s.opts.Words(p.FullText())
	}
	q.Source, q.SourceType, q.Kind = keyword(p.Source), keyword(index.FieldValue("source_type", p.SourceType)), keyword(p.Kind)
	q.URL, q.ThreadURL, q.Region = keyword(p.URL), keyword(p.ThreadURL), keyword(p.Region)
	q.Author = keywords{index.FieldValue("author", p.Author.Name), index.FieldValue("author", p.Author.ID)}
	q.Flagged, q.Score, q.Severity, q.Stance = v.Flagged, v.Score+0, keyword(v.Severity), keyword(v.Stance)
	q.Campaign.ID, q.Near = keyword(r.Campaign.ID), index.NearKeys(r)
	q.Dictionary, q.Model = keyword(v.Dictionary), keyword(v.Model)
	q.Archive.File, q.Archive.RecordID, q.Archive.SHA256 = keyword(p.Archive.File), keyword(p.Archive.RecordID), keyword(p.Archive.SHA256)
	d.addresses(p)
	d.judgement(v)
	d.ecs(r, st)
	return d, nil
}

// seen makes what a sighting alone changes.
func (s *Store) seen(r index.Record, st state) (seenFields, error) {
	raw, err := json.Marshal(st)
	if err != nil {
		return seenFields{}, err
	}
	first, last, deleted := fromMicros(st.First), fromMicros(st.Seen), fromMicros(st.Deleted)
	return seenFields{
		Day: keyword(fromMicros(st.Ingested).In(s.opts.Location).Format(time.DateOnly)), Revisions: st.Revisions, State: string(raw),
		FetchedAt: date(r.Post.FetchedAt), FirstSeen: date(first), LastSeen: date(last), DeletedAt: date(deleted),
		Micros: instants{micros(r.Post.PublishedAt), st.First, st.Seen, st.Ingested, st.Fetched, st.Deleted},
	}, nil
}

func (s *Store) tokens(p post.Post) tokens {
	t := tokens{index.Tokens(p.Title), index.Tokens(p.Text), index.Tokens(s.normalized(p.Title)), index.Tokens(s.normalized(p.Text))}
	if t.NTitle == t.Title {
		t.NTitle = ""
	}
	if t.NBody == t.Body {
		t.NBody = ""
	}
	return t
}

func (d *document) addresses(p post.Post) {
	q := &d.Qingyuan
	for _, u := range [...]string{p.URL, p.ThreadURL} {
		q.Address = append(q.Address, u)
		if parsed, err := url.Parse(u); err == nil {
			q.Host = append(q.Host, reverseHost(parsed.Hostname()))
		}
	}
	d.URL.Full = keyword(p.URL)
	if parsed, err := url.Parse(p.URL); err == nil {
		d.URL.Domain, d.URL.Path, d.URL.Scheme = keyword(strings.ToLower(parsed.Hostname())), keyword(parsed.Path), keyword(parsed.Scheme)
	}
}

func (d *document) judgement(v classify.Verdict) {
	q := &d.Qingyuan
	for _, c := range v.Categories {
		q.Category = append(q.Category, index.FieldValue("category", c.ID))
	}
	for _, e := range v.Evasion {
		q.Evasion = append(q.Evasion, index.FieldValue("evasion", string(e)))
	}
	for _, e := range v.Entities {
		value := index.FieldValue("contact", e.Value)
		q.EntityType = append(q.EntityType, e.Type)
		if value == "" {
			continue
		}
		q.Entity = append(q.Entity, e.Type+":"+value)
		if slices.Contains(index.ContactTypes[:], e.Type) {
			q.Contact = append(q.Contact, value)
		}
	}
	for _, r := range v.Reasons {
		d.Rule.ID = append(d.Rule.ID, r.ID)
		d.Rule.Category = append(d.Rule.Category, r.Category)
	}
}

// ecs fills in the common schema from what is set already.
func (d *document) ecs(r index.Record, st state) {
	p, v, q := r.Post, r.Verdict, &d.Qingyuan
	d.Event = ecsEvent{ID: keyword(docID(p.ID)), Kind: "event", Category: keywords{"web"}, Type: keywords{"info"}, Action: "collected",
		Module: "qingyuan", Dataset: "qingyuan.post", Provider: keyword(p.Source), Hash: keyword(st.Hash),
		Created: date(fromMicros(st.First)), Ingested: date(fromMicros(st.Ingested)), RiskScore: v.Score * 100, Severity: severityNumber[v.Severity]}
	if v.Flagged {
		d.Event.Kind, d.Event.Category, d.Event.Type, d.Event.Action = "alert", keywords{"threat"}, keywords{"indicator"}, "flagged"
		d.Threat.Framework = "qingyuan"
		d.Threat.Technique.ID = q.Category
		d.Threat.Group.ID = q.Campaign.ID
	}
	d.Event.Reason = keyword(reasonLine(v))
	d.User = ecsUser{keyword(p.Author.ID), keyword(p.Author.Name), keyword(p.Source)}
	d.Rule.Ruleset, d.Rule.Version = "qingyuan", keyword(v.Dictionary)
	d.Related = ecsRelated{User: append(keywords{p.Author.ID, p.Author.Name}, q.Contact...), Hosts: keywords{string(d.URL.Domain)},
		Hash: keywords{st.Hash, p.Archive.SHA256}}
}

// reasonLine says in one line why a post was flagged or not.
func reasonLine(v classify.Verdict) string {
	var ids, texts []string
	for _, c := range v.Categories {
		ids = append(ids, c.ID)
	}
	for _, r := range v.Reasons {
		if r.Weight > 0 && r.Text != "" && len(texts) < 5 && !slices.Contains(texts, r.Text) {
			texts = append(texts, r.Text)
		}
	}
	return fmt.Sprintf("%s %s %s: %s", v.Stance, strings.Join(ids, ","), strconv.FormatFloat(v.Score, 'f', 2, 64), strings.Join(texts, " · "))
}

// reverseHost turns bbs.example.com into com.example.bbs. so that a domain
// and all below it share a beginning.
func reverseHost(host string) string {
	if host == "" {
		return ""
	}
	parts := strings.Split(strings.TrimSuffix(strings.ToLower(host), "."), ".")
	slices.Reverse(parts)
	return strings.Join(parts, ".") + "."
}
