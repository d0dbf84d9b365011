package digest

// Brief is a digest for a chat room: what fits into a message, most important
// first, as plain text. Whoever sends it escapes what its service would act
// upon, and cuts lines from the end.
type Brief struct {
	Title string
	Lines []BriefLine
	Link  string // the triage pages; empty without a base URL
	More  string // the words for what was cut, with a link to the rest
}

// BriefLine is one line of a Brief.
type BriefLine struct {
	Text string
	Link string // of the record it speaks of; may be empty
	Head bool   // a heading
}

// Brief returns the digest for a chat room. It fails only for a language that
// has no words.
func (d Digest) Brief() (Brief, error) {
	v, err := d.view()
	if err != nil {
		return Brief{}, err
	}
	b := Brief{Title: v.Heading(), Link: d.BaseURL, More: v.T("more")}
	add := func(text, link string) { b.Lines = append(b.Lines, BriefLine{Text: text, Link: link}) }
	head := func(key string) { b.Lines = append(b.Lines, BriefLine{Text: v.T(key), Head: true}) }
	if e := v.Empty(); e != "" {
		add(e, "")
	}
	total := func(key string, c Change) string { return v.T(key) + " " + number(c.Count) + " (" + v.Diff(c) + ")" }
	add(total("hits", v.Totals.Hits)+v.T("comma")+total("severe", v.Totals.Severe)+v.T("comma")+v.T("new")+" "+number(v.Totals.NewContacts)+
		v.T("comma")+total("posts", v.Totals.Posts), "")
	for _, s := range [...]string{v.Scope(), v.Partial()} {
		if s != "" {
			add(s, "")
		}
	}
	if len(v.Hits.Items) > 0 {
		head("h.hits")
	}
	for _, h := range v.Hits.Items {
		text := h.Title
		if text == "" {
			text = h.Excerpt
		}
		line := "[" + v.Named("severity", h.Severity) + "] " + text + v.T("dash") + h.Reason
		if h.Copies > 0 {
			line += v.T("semicolon") + v.F("copies", h.Copies)
		}
		add(line, v.Link(h.ID))
	}
	if o := v.Ongoing(); o != "" {
		add(o, "")
	}
	if len(v.ByCategory) > 0 {
		head("h.category")
	}
	for _, c := range v.ByCategory {
		add(c.Name+" "+number(c.Count)+" ("+v.Diff(c.Change)+")", "")
	}
	if v.Silenced > 0 {
		add(v.F("note.silenced", v.Silenced), "")
	}
	return b, nil
}
