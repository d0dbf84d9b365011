package classify

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"qingyuan/post"
)

// Explanation is a verdict with what a person needs to follow it.
type Explanation struct {
	Post      post.Post `json:"post"`
	Verdict   Verdict   `json:"verdict"`
	Category  Category  `json:"-"`         // of the strongest category; zero when there is none
	Threshold float64   `json:"threshold"` // score at which that category is flagged
	Logit     float64   `json:"logit"`     // sum of the weights
	// Flip lists the fewest reasons without which the verdict would turn: for a
	// flagged post the strongest for it, otherwise the strongest against it.
	// Empty when no reasons can turn it.
	Flip []Reason `json:"flip"`

	names map[string]Name
}

// Explain classifies p and says what carried the verdict. Its only error is
// ErrTooLarge.
func (c *Classifier) Explain(p post.Post) (Explanation, error) {
	v, err := c.Classify(p)
	if err != nil {
		return Explanation{}, err
	}
	x := Explanation{Post: p, Verdict: v, Threshold: 0.5, Flip: []Reason{}, names: c.dict.Names()}
	if len(v.Categories) > 0 {
		if cat, ok := c.dict.Category(v.Categories[0].ID); ok {
			x.Category, x.Threshold = cat, cat.Threshold
		}
	}
	for _, r := range v.Reasons {
		x.Logit += r.Weight
	}
	x.Flip = flip(v, x.Logit, logit(x.Threshold))
	return x, nil
}

// flip takes reasons away, strongest first, until the sum crosses the limit.
func flip(v Verdict, sum, limit float64) []Reason {
	var side []Reason
	for _, r := range v.Reasons {
		if r.ID != "base" && (r.Weight > 0) == v.Flagged {
			side = append(side, r)
		}
	}
	slices.SortStableFunc(side, func(a, b Reason) int {
		if v.Flagged {
			return cmp.Compare(b.Weight, a.Weight)
		}
		return cmp.Compare(a.Weight, b.Weight)
	})
	out := []Reason{}
	for _, r := range side {
		sum -= r.Weight
		out = append(out, r)
		if (sum >= limit) != v.Flagged {
			return out
		}
	}
	return []Reason{}
}

// PrintOptions say how an explanation is shown.
type PrintOptions struct {
	Language string // zh or en; zh when empty
	Color    bool   // ANSI colours
}

// Print writes the explanation for a person.
func (x Explanation) Print(w io.Writer, opts PrintOptions) error {
	p := printer{opts: opts, words: explainWords[0], names: x.names}
	if opts.Language == "en" {
		p.words = explainWords[1]
	}
	p.head(x)
	p.text(x)
	p.reasons(x)
	p.contacts(x.Verdict)
	p.flip(x)
	_, err := io.WriteString(w, p.out.String())
	return err
}

type printer struct {
	opts  PrintOptions
	words map[string]string
	names map[string]Name
	out   strings.Builder
}

var explainWords = [2]map[string]string{
	{"flagged": "命中", "unflagged": "未命中", "score": "得分", "threshold": "阈值", "stance": "立场", "category": "类别", "severity": "严重程度",
		"evasion": "已还原的伪装", "reasons": "理由（对数几率，合计即得分）", "sum": "合计", "contacts": "联系方式及实体", "official": "官方号码",
		"flip": "若没有以下理由，结论会改变", "noflip": "没有单独几条理由能改变结论", "versions": "词典 %s，模型 %s", "none": "无",
		"offer": "招揽", "report": "报道", "warning": "警示", "question": "提问/求助", "legal": "合法机构", "other": "其他", "term": "词条", "rule": "规则", "signal": "信号", "model": "模型",
		"id.context": "概念组合与语境", "id.base": "基础值", "id.ngram": "字串", "low": "低", "medium": "中", "high": "高", "critical": "严重"},
	{"flagged": "FLAGGED", "unflagged": "not flagged", "score": "score", "threshold": "threshold", "stance": "stance", "category": "category", "severity": "severity",
		"evasion": "disguises undone", "reasons": "reasons (log-odds; they sum to the score)", "sum": "sum", "contacts": "contacts and entities", "official": "official number",
		"flip": "without these reasons the verdict would turn", "noflip": "no few reasons alone would turn the verdict", "versions": "dictionary %s, model %s", "none": "none",
		"offer": "offer", "report": "report", "warning": "warning", "question": "question", "legal": "legal", "other": "other", "term": "term", "rule": "rule", "signal": "signal", "model": "model",
		"id.context": "concepts and context", "id.base": "base rate", "id.ngram": "n-grams", "low": "low", "medium": "medium", "high": "high", "critical": "critical"},
}

func (p *printer) f(format string, args ...any) { fmt.Fprintf(&p.out, format, args...) }

func (p *printer) paint(code, s string) string {
	if !p.opts.Color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p *printer) head(x Explanation) {
	v := x.Verdict
	word, color := p.words["unflagged"], "32;1"
	if v.Flagged {
		word, color = p.words["flagged"], "31;1"
	}
	p.f("%s  %s %.3f (%s %.2f)  %s %s", p.paint(color, word), p.words["score"], v.Score, p.words["threshold"], x.Threshold, p.words["stance"], p.words[string(v.Stance)])
	if x.Category.ID != "" {
		p.f("  %s %s (%s)", p.words["category"], x.Category.Name.In(p.opts.Language), x.Category.ID)
	}
	if v.Severity != "" {
		p.f("  %s %s", p.words["severity"], p.words[string(v.Severity)])
	}
	p.f("\n\n")
}

// text prints the post with every reason's characters marked.
func (p *printer) text(x Explanation) {
	runes := Text(x.Post)
	mark := make([]int8, len(runes)+1)
	for _, r := range x.Verdict.Reasons {
		for i := r.Start; i < r.End && i < len(mark); i++ {
			if r.Weight > 0 {
				mark[i] = 1
			} else if mark[i] == 0 {
				mark[i] = -1
			}
		}
	}
	colors := map[int8]string{1: "31", -1: "32"}
	for i := 0; i < len(runes); {
		j := i
		for j < len(runes) && mark[j] == mark[i] {
			j++
		}
		s := visible(runes[i:j])
		if c := colors[mark[i]]; c != "" {
			s = p.paint(c, s)
		}
		p.out.WriteString(s)
		i = j
	}
	p.f("\n\n")
	if len(x.Verdict.Evasion) > 0 {
		names := make([]string, len(x.Verdict.Evasion))
		for i, e := range x.Verdict.Evasion {
			names[i] = string(e)
		}
		p.f("%s: %s\n\n", p.words["evasion"], strings.Join(names, ", "))
	}
}

// visible neutralises control and direction characters of crawled text.
func visible(runes []rune) string {
	out := make([]rune, len(runes))
	for i, r := range runes {
		if r != '\n' && (r < ' ' || r >= 0x7f && r < 0xa0) || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			r = '·'
		}
		out[i] = r
	}
	return string(out)
}

func (p *printer) reasons(x Explanation) {
	p.f("%s\n", p.words["reasons"])
	for _, r := range x.Verdict.Reasons {
		p.reason(r)
	}
	p.f("  %+7.2f  = %s\n\n", x.Logit, p.words["sum"])
}

func (p *printer) reason(r Reason) {
	color := "32"
	if r.Weight > 0 {
		color = "31"
	}
	text := []rune(r.Text)
	if len(text) > 30 {
		text = append(text[:30:30], '…')
	}
	p.f("  %s  %s %s", p.paint(color, fmt.Sprintf("%+7.2f", r.Weight)), p.words[string(r.Kind)], r.ID)
	if w, ok := p.words["id."+r.ID]; ok {
		p.f(" (%s)", w)
	} else if n, ok := p.names[r.ID]; ok && n.In(p.opts.Language) != r.ID {
		p.f(" (%s)", n.In(p.opts.Language))
	}
	if r.Category != "" {
		p.f(" [%s]", r.Category)
	}
	if len(text) > 0 {
		p.f("  “%s”", strings.ReplaceAll(visible(text), "\n", "⏎"))
	}
	p.f("\n")
}

func (p *printer) contacts(v Verdict) {
	if len(v.Entities) == 0 {
		return
	}
	p.f("%s\n", p.words["contacts"])
	for _, e := range v.Entities {
		p.f("  %s: %s", e.Type, visible([]rune(e.Value)))
		if e.Raw != e.Value {
			p.f("  ← “%s”", strings.ReplaceAll(visible([]rune(e.Raw)), "\n", "⏎"))
		}
		if e.Official {
			p.f("  (%s)", p.words["official"])
		}
		p.f("\n")
	}
	p.f("\n")
}

func (p *printer) flip(x Explanation) {
	if len(x.Flip) == 0 {
		p.f("%s\n", p.words["noflip"])
	} else {
		p.f("%s\n", p.words["flip"])
		for _, r := range x.Flip {
			p.reason(r)
		}
	}
	model := x.Verdict.Model
	if model == "" {
		model = p.words["none"]
	}
	p.f("\n"+p.words["versions"]+"\n", x.Verdict.Dictionary, model)
}
