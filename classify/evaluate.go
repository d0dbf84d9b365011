package classify

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Count is a confusion of one yes/no question.
type Count struct {
	TP int `json:"tp"`
	FP int `json:"fp"`
	FN int `json:"fn"`
	TN int `json:"tn"`
}

// Precision is TP/(TP+FP); 1 when nothing was claimed.
func (c Count) Precision() float64 { return ratio(c.TP, c.TP+c.FP) }

// Recall is TP/(TP+FN); 1 when there was nothing to find.
func (c Count) Recall() float64 { return ratio(c.TP, c.TP+c.FN) }

// F1 is the harmonic mean of precision and recall.
func (c Count) F1() float64 { return ratio(2*c.TP, 2*c.TP+c.FP+c.FN) }

// FalsePositiveRate is FP/(FP+TN); 0 when there were no negatives.
func (c Count) FalsePositiveRate() float64 {
	if c.FP+c.TN == 0 {
		return 0
	}
	return float64(c.FP) / float64(c.FP+c.TN)
}

func ratio(a, b int) float64 {
	if b == 0 {
		return 1
	}
	return float64(a) / float64(b)
}

func (c *Count) add(want, got bool) {
	switch {
	case want && got:
		c.TP++
	case want:
		c.FN++
	case got:
		c.FP++
	default:
		c.TN++
	}
}

// MarshalJSON adds the derived figures to the counts.
func (c Count) MarshalJSON() ([]byte, error) {
	type plain Count
	return json.Marshal(struct {
		plain
		Precision float64 `json:"precision"`
		Recall    float64 `json:"recall"`
		F1        float64 `json:"f1"`
		FPR       float64 `json:"false_positive_rate"`
	}{plain(c), c.Precision(), c.Recall(), c.F1(), c.FalsePositiveRate()})
}

// Bin is one row of the reliability table.
type Bin struct {
	From  float64 `json:"from"` // score, inclusive
	To    float64 `json:"to"`   // exclusive, but for the last
	Texts int     `json:"texts"`
	Score float64 `json:"mean_score"`
	Rate  float64 `json:"flagged_rate"` // share of texts that are truly offers
}

// WrongVerdict is a text on which verdict and label differ.
type WrongVerdict struct {
	Label   Labelled `json:"label"`
	Verdict Verdict  `json:"verdict"`
}

// Evaluation compares verdicts with labels.
type Evaluation struct {
	Texts      int              `json:"texts"`
	Flag       Count            `json:"flag"`
	Categories map[string]Count `json:"categories"` // of flagged texts, by the first category
	Stances    map[string]Count `json:"stances"`
	Evasions   map[string]Count `json:"evasions"` // recall on offers with this disguise; "plain" has none
	Benign     map[string]Count `json:"benign"`   // false positives by the label's stance
	Contacts   Count            `json:"contacts"` // on offers
	MacroF1    float64          `json:"macro_f1"` // over categories
	Brier      float64          `json:"brier"`    // mean squared error of the score
	Bins       []Bin            `json:"calibration"`
	Wrong      []WrongVerdict   `json:"wrong"` // worst first
	Dictionary string           `json:"dictionary"`
	Model      string           `json:"model,omitempty"`
}

// ReadLabelled reads labelled texts, one JSON object a line. A line that does
// not parse is an error that names its number.
func ReadLabelled(name string, r io.Reader) ([]Labelled, error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 8<<20)
	var out []Labelled
	for line := 1; sc.Scan(); line++ {
		if len(strings.TrimSpace(sc.Text())) == 0 {
			continue
		}
		var l Labelled
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, line, err)
		}
		if !slices.Contains(Stances[:], l.Stance) {
			return nil, fmt.Errorf("%s:%d: stance %q is unknown; use offer, report, warning, question, legal or other", name, line, l.Stance)
		}
		if l.ID == "" {
			l.ID = fmt.Sprintf("%s:%d", name, line)
		}
		out = append(out, l)
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return out, nil
}

// Evaluate classifies texts and compares.
func Evaluate(c *Classifier, texts []Labelled) (Evaluation, error) {
	e := Evaluation{Categories: map[string]Count{}, Stances: map[string]Count{}, Evasions: map[string]Count{}, Benign: map[string]Count{}}
	type scored struct {
		score float64
		flag  bool
	}
	var all []scored
	for _, l := range texts {
		v, err := c.Classify(l.Post())
		if err != nil {
			return Evaluation{}, fmt.Errorf("text %s: %w", l.ID, err)
		}
		e.Dictionary, e.Model = v.Dictionary, v.Model
		e.Texts++
		e.add(l, v)
		all = append(all, scored{v.Score, l.Flagged})
		if v.Flagged != l.Flagged {
			e.Wrong = append(e.Wrong, WrongVerdict{l, v})
		}
	}
	slices.SortStableFunc(e.Wrong, func(x, y WrongVerdict) int {
		return cmp.Compare(math.Abs(y.Verdict.Score-0.5), math.Abs(x.Verdict.Score-0.5))
	})
	bins := make([]Bin, 10)
	for _, s := range all {
		b := &bins[min(int(s.score*10), 9)]
		b.Texts++
		b.Score += s.score
		want := 0.0
		if s.flag {
			want = 1
		}
		b.Rate += want
		e.Brier += (s.score - want) * (s.score - want) / float64(len(all))
	}
	for i := range bins {
		bins[i].From, bins[i].To = float64(i)/10, float64(i+1)/10
		if n := float64(bins[i].Texts); n > 0 {
			bins[i].Score /= n
			bins[i].Rate /= n
		}
	}
	e.Bins = bins
	for _, c := range e.Categories {
		e.MacroF1 += c.F1() / float64(len(e.Categories))
	}
	return e, nil
}

func (e *Evaluation) add(l Labelled, v Verdict) {
	e.Flag.add(l.Flagged, v.Flagged)
	for _, s := range Stances {
		bump(e.Stances, string(s), l.Stance == s, v.Stance == s)
	}
	got := ""
	if v.Flagged {
		got = v.Categories[0].ID
	}
	want := ""
	if l.Flagged {
		want = l.Category
	}
	for _, id := range slices.Compact([]string{want, got}) {
		if id != "" {
			bump(e.Categories, id, id == want, id == got)
		}
	}
	if !l.Flagged {
		bump(e.Benign, string(l.Stance), false, v.Flagged)
		return
	}
	if len(l.Evasion) == 0 {
		bump(e.Evasions, "plain", true, v.Flagged)
	} else {
		bump(e.Evasions, "disguised", true, v.Flagged)
	}
	for _, name := range l.Evasion {
		bump(e.Evasions, string(name), true, v.Flagged)
	}
	e.addContacts(l, v)
}

func (e *Evaluation) addContacts(l Labelled, v Verdict) {
	found := map[Contact]bool{}
	for _, x := range v.Entities {
		if IsContact(x.Type) && !x.Official {
			found[Contact{x.Type, x.Value}] = true
		}
	}
	for _, want := range l.Contacts {
		want = want.canonical()
		e.Contacts.add(true, found[want])
		delete(found, want)
	}
	e.Contacts.FP += len(found)
}

// canonical writes a labelled contact as Entity.Value does: in lower case, links
// without scheme and www, names without the @ and numbers without the + that
// stand before them. Two ways to write the same contact compare equal.
func (c Contact) canonical() Contact {
	v := strings.ToLower(strings.TrimSpace(c.Value))
	switch c.Type {
	case EntityURL:
		for _, head := range []string{"https://", "http://", "www."} {
			v = strings.TrimPrefix(v, head)
		}
		v = strings.TrimSuffix(v, "/")
	case EntityTelegram, EntityWeibo, EntityDouyin, EntityXiaohongshu:
		v = strings.TrimPrefix(v, "@")
	case EntityWhatsApp:
		v = strings.ReplaceAll(strings.TrimPrefix(v, "+"), " ", "")
	}
	return Contact{c.Type, v}
}

func bump(m map[string]Count, key string, want, got bool) {
	c := m[key]
	c.add(want, got)
	m[key] = c
}
