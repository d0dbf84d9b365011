package indextest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"qingyuan/classify"
	"qingyuan/index"
	"qingyuan/post"
)

// Normalize is the normalisation that a store under test must be opened with:
// it takes the dots and blanks out between characters and turns 債務 into 债务,
// as a small stand-in for the classifier's.
func Normalize(text string) string {
	return strings.NewReplacer(".", "", "·", "", " ", "", "債", "债", "務", "务", "帳", "账", "薇", "微").Replace(text)
}

// The vocabulary that generated posts are put together from.
var (
	subjects = []string{"停息挂账", "停.息.挂.账", "債務优化", "信用卡逾期", "网贷协商", "个性化分期", "征信修复", "全额退保", "代开流水",
		"花呗套现", "背债名额", "收四件套", "反催收话术", "AB贷", "POS机", "逾期铲单", "债务重组", "法务协商"}
	phrases = []string{"专业办理", "包过不成功不收费", "银行发布风险提示", "法院已经立案", "求助各位大佬", "昨天被骗了三千", "加V信", "加v：",
		"联系微信", "扫码进群", "一手渠道", "内部通道", "不上征信", "下款快", "哪位朋友做过", "警方通报", "先做后付", "全国可办", "Ｖ信同号", "➕薇"}
	tails     = []string{"！", "。", "，", " ", "\n", "🐧", "❤️", "", "——", "…", "👉"}
	sources   = []string{"demo-tieba", "demo-weibo", "demo-58", "demo-news", "demo-blog"}
	types     = []string{"forum", "social", "classified", "news", "blog"}
	regions   = []string{"", "广东", "上海", "河南"}
	authors   = []string{"债小白", "上岸顾问Leo", "银行合规部", "Ｌｅｏ", ""}
	catalogue = []string{"debt_relief_scam", "credit_repair", "cashout", "insurance_surrender_agency", "fake_documents"}
	evasions  = []classify.Evasion{classify.EvasionSeparators, classify.EvasionTraditional, classify.EvasionHomophone}
)

// base is the time around which generated posts lie.
var base = time.Date(2026, 11, 20, 8, 0, 0, 0, time.FixedZone("CST", 8*60*60))

// Now is the clock of a store under test: the machine's, set ahead by years
// while it lies before the generated posts, so that their times can be believed.
func Now() time.Time {
	now := time.Now()
	for now.Before(base.AddDate(0, 0, 2)) {
		now = now.AddDate(1, 0, 0)
	}
	return now
}

// Posts generates n records, the same for the same seed: short Chinese posts,
// offers and others, some disguised, with fictitious contacts.
func Posts(n int, seed uint64) []index.Record {
	rnd := rand.New(rand.NewPCG(seed, 7))
	recs := make([]index.Record, n)
	for i := range recs {
		recs[i] = Post(rnd, i)
	}
	return recs
}

// Post generates the i-th record.
func Post(rnd *rand.Rand, i int) index.Record {
	pick := func(list []string) string { return list[rnd.IntN(len(list))] }
	src := rnd.IntN(len(sources))
	contact := fmt.Sprintf("abc%04d", rnd.IntN(3000))
	phone := fmt.Sprintf("1380000%04d", rnd.IntN(3000))
	var text strings.Builder
	for range 2 + rnd.IntN(6) {
		text.WriteString(pick(subjects) + pick(tails) + pick(phrases) + pick(tails))
	}
	at := base.Add(-time.Duration(rnd.IntN(20*24*60)) * time.Minute)
	r := index.Record{
		Post: post.Post{
			ID: post.NewID(sources[src], fmt.Sprint(i)), Source: sources[src], SourceType: types[src], Kind: post.KindPost,
			URL: fmt.Sprintf("https://bbs.site%d.example/t/%d", src, i), Title: pick(subjects) + pick(tails) + pick(phrases),
			Text: text.String(), Author: post.Author{ID: fmt.Sprintf("u%d", rnd.IntN(200)), Name: pick(authors)}, FetchedAt: at, Region: pick(regions),
		},
		Verdict:    classify.Verdict{Stance: classify.Stances[rnd.IntN(len(classify.Stances))], Score: float64(rnd.IntN(101)) / 100},
		IngestedAt: at.Add(time.Duration(1+rnd.IntN(3*24*60)) * time.Minute),
	}
	if rnd.IntN(4) > 0 {
		r.Post.PublishedAt = at.Add(-time.Duration(rnd.IntN(5000)) * time.Minute)
	}
	if rnd.IntN(5) == 0 {
		r.Post.Kind, r.Post.ThreadURL = post.KindComment, fmt.Sprintf("https://bbs.site%d.example/t/%d", src, i/10)
	}
	judge(rnd, &r, contact, phone)
	return r
}

// judge fills in a verdict of the right shape.
func judge(rnd *rand.Rand, r *index.Record, contact, phone string) {
	v := &r.Verdict
	for _, c := range catalogue[:rnd.IntN(3)] {
		v.Categories = append(v.Categories, classify.CategoryScore{ID: c, Score: v.Score})
	}
	v.Evasion = append(v.Evasion, evasions[:rnd.IntN(3)]...)
	if v.Stance == classify.StanceOffer {
		v.Flagged, v.Severity = true, [...]classify.Severity{classify.SeverityLow, classify.SeverityMedium, classify.SeverityHigh, classify.SeverityCritical}[rnd.IntN(4)]
		r.Post.Text += "加V:" + strings.ToUpper(contact)
		v.Entities = append(v.Entities, classify.Entity{Type: "wechat", Value: contact, Raw: strings.ToUpper(contact)})
		if rnd.IntN(2) == 0 {
			r.Post.Text += " 电话" + phone
			v.Entities = append(v.Entities, classify.Entity{Type: "phone", Value: phone, Raw: phone})
		}
		r.Campaign = index.Campaign{ID: fmt.Sprintf("c%d", rnd.IntN(50)), Size: 3}
		v.Reasons = append(v.Reasons, classify.Reason{Kind: classify.ReasonTerm, ID: "term.offer", Category: catalogue[0], Text: "停息挂账", Weight: 1.5})
	}
}
