package campaign

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"qingyuan/classify"
	"qingyuan/dictionaries"
	"qingyuan/post"
)

var day = time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)

func judge(t testing.TB) func(id, text string, at time.Time) Member {
	t.Helper()
	c, err := classify.Load(dictionaries.FS, nil)
	if err != nil {
		t.Fatal(err)
	}
	return func(id, text string, at time.Time) Member {
		p := post.Post{ID: id, Source: "bbs", Kind: post.KindPost, URL: "https://bbs.example/" + id, Text: text, FetchedAt: at}
		v, err := c.Classify(p)
		if err != nil {
			t.Fatal(err)
		}
		v.Flagged = true // what is grouped is not the subject of these tests
		return Member{Post: p, Verdict: v}
	}
}

// shelf is an index that finds what was put.
type shelf struct {
	mu      sync.Mutex
	members map[string]Member
	fail    error
}

func (s *shelf) put(ms ...Member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range ms {
		s.members[m.Post.ID] = m
	}
}

func (s *shelf) find() Find {
	return Find{
		Near: func(_ context.Context, keys []string, limit int, known func(string) bool) ([]Member, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			var out []Member
			n := 0
			for _, m := range s.members {
				if common(keys, Of(m.Post, m.Verdict).Keys) && n < limit {
					if n++; !known(m.Post.ID) {
						out = append(out, m)
					}
				}
			}
			return out, s.fail
		},
		Get: func(_ context.Context, id string) (Member, bool, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			m, ok := s.members[id]
			return m, ok, s.fail
		},
	}
}

func common(a, b []string) bool {
	for _, x := range a {
		for _, y := range b {
			if x == y {
				return true
			}
		}
	}
	return false
}

// adverts are ours; no two are versions of one.
var adverts = []string{
	"网贷逾期被爆通讯录？停息挂账最长六十期，先看征信再报价，不成功不收费，微信 hz_anxin88",
	"专业代理全额退保，重疾分红都能退，上海本地律师团队操作，退成再付，加V tuibao6677",
	"假流水制作，工资流水对公流水银行App可查，秒出电子版，扣扣 884213377",
	"背债人招募，无需负债，只要年满二十二周岁征信空白，下款分三成，电报 @beizhai_guiyang",
	"花呗白条秒到，九五折，二十四小时在线，懂的来，微 huabei_9527",
	"逾期铲单，征信花了也能修，七个工作日更新，全国可做，电话 13700001111",
	"收四件套，对公账户高价，U盾齐全当天结算，有意者飞机联系 @sjt_shou",
	"反催收课程上线，教你让催收不敢打电话，话术模板一套九十九，进群私信",
}

func TestCopiesMeetAndOthersDoNot(t *testing.T) {
	judge := judge(t)
	edits := map[string]func(string) string{
		"another contact": func(s string) string {
			for _, old := range []string{"hz_anxin88", "tuibao6677", "884213377", "@beizhai_guiyang", "huabei_9527", "13700001111", "@sjt_shou"} {
				s = strings.ReplaceAll(s, old, map[bool]string{true: "@xin_lianxi01", false: "13911112222"}[old[0] == '@'])
			}
			return s
		},
		"emoji and marks": func(s string) string { return "🔥🔥[呲牙]" + strings.ReplaceAll(s, "，", "❗ ") + "💰" },
		"traditional": func(s string) string {
			return strings.NewReplacer("债", "債", "单", "單", "账", "賬", "团队", "團隊").Replace(s)
		},
		"words put before": func(s string) string { return "老铁们看过来 " + s },
		"a tenth changed": func(s string) string {
			in := []rune(s)
			for i := 7; i < len(in); i += 13 {
				in[i] = '的'
			}
			return string(in)
		},
	}
	for i, text := range adverts {
		original := Of(judge("a", text, day).Post, judge("a", text, day).Verdict)
		for name, edit := range edits {
			m := judge("b", edit(text), day)
			if s := Of(m.Post, m.Verdict); s.Similarity(original) < MinSimilarity || !common(s.Keys, original.Keys) {
				t.Errorf("advert %d, %s: similarity %.2f, common key %v", i, name, s.Similarity(original), common(s.Keys, original.Keys))
			}
		}
		for j, other := range adverts {
			m := judge("c", other, day)
			if got := Of(m.Post, m.Verdict).Similarity(original); i != j && got >= minFounder {
				t.Errorf("adverts %d and %d are %.2f alike", i, j, got)
			}
		}
	}
}

func TestShortTextsAreEqualOrNot(t *testing.T) {
	judge := judge(t)
	for _, c := range []struct {
		a, b string
		like bool
	}{
		{"加微 hz_anxin88", "➕薇 hz_anxin88！！", true},
		{"加微 hz_anxin88", "加微 hz_anxin89", false},
		{"秒到，懂的来", "秒到 懂的来 🔥", true},
		{"秒到，懂的来", "秒到，别来", false},
		{"秒到，懂的来", adverts[4], false},
		{"。。。", "！！！", false},
		{"", "", false},
	} {
		x, y := judge("a", c.a, day), judge("b", c.b, day)
		s, u := Of(x.Post, x.Verdict), Of(y.Post, y.Verdict)
		if got := s.Similarity(u) == 1; got != c.like || got != common(s.Keys, u.Keys) {
			t.Errorf("%q and %q: alike %v (keys %v, %v), want %v", c.a, c.b, got, s.Keys, u.Keys, c.like)
		}
	}
}

func TestSimilarityOfLongTexts(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	long := func(n int) []rune {
		out := make([]rune, n)
		for i := range out {
			out[i] = rune(0x4e00 + rnd.IntN(3000))
		}
		return out
	}
	member := func(text []rune) Sketch { return Of(post.Post{Text: string(text)}, classify.Verdict{}) }
	a := long(6000)
	half := append(append([]rune{}, a[:3000]...), long(3000)...)
	if got := member(a).Similarity(member(a)); got != 1 {
		t.Errorf("a long text is %.2f like itself", got)
	}
	// Half of each text in common: a third of all bigrams.
	if got := member(a).Similarity(member(half)); got < 0.25 || got > 0.42 {
		t.Errorf("texts with half in common are %.2f alike, want about 0.33", got)
	}
	if got := member(a).Similarity(member(long(6000))); got > 0.05 {
		t.Errorf("texts with nothing in common are %.2f alike", got)
	}
	if got := member(a).Similarity(member(a[:200])); got > 0.1 {
		t.Errorf("a text and a thirtieth of it are %.2f alike", got)
	}
}

func TestAssignFindsTheEarliestCampaign(t *testing.T) {
	judge := judge(t)
	index := &shelf{members: map[string]Member{}}
	assign := func(g *Grouper, ms ...Member) []Member {
		t.Helper()
		if err := g.Assign(t.Context(), ms); err != nil {
			t.Fatal(err)
		}
		index.put(ms...)
		return ms
	}
	g := NewGrouper(index.find())
	first := assign(g, judge("p1", adverts[0], day), judge("p2", adverts[0]+"！", day), judge("p3", adverts[1], day))
	for i, want := range []string{"p1", "p1", "p3"} {
		if first[i].Group.ID != want || !first[i].Group.FirstSeen.Equal(day) {
			t.Errorf("%s is in %+v, want %s", first[i].Post.ID, first[i].Group, want)
		}
	}
	// A new process remembers nothing but the index.
	g = NewGrouper(index.find())
	later := assign(g, judge("p4", "转发："+adverts[0], day.Add(time.Hour)))
	if later[0].Group != first[0].Group {
		t.Errorf("a copy seen later is in %+v, want %+v", later[0].Group, first[0].Group)
	}
	// Seen again: the founder stays the founder, since when it was first seen.
	again := assign(NewGrouper(index.find()), judge("p1", adverts[0], day.Add(24*time.Hour)))
	if again[0].Group != first[0].Group {
		t.Errorf("the founder seen again is in %+v, want %+v", again[0].Group, first[0].Group)
	}
	// Two campaigns founded at once become one when the later is seen again.
	twin := judge("p5", adverts[2], day.Add(time.Minute))
	twin.Group = Group{"p5", twin.Post.FetchedAt}
	early := judge("p6", adverts[2], day)
	early.Group = Group{"p6", day}
	index.put(twin, early)
	if got := assign(NewGrouper(index.find()), twin)[0].Group; got.ID != "p6" {
		t.Errorf("the later twin stays in %+v", got)
	}
	harmless := judge("p7", adverts[0], day)
	harmless.Verdict.Flagged = false
	if got := assign(g, harmless)[0].Group; got != (Group{}) {
		t.Errorf("a post that is not flagged is in %+v", got)
	}
}

func TestCampaignsDoNotDriftAway(t *testing.T) {
	judge := judge(t)
	index := &shelf{members: map[string]Member{}}
	g := NewGrouper(index.find())
	words := []rune("每一步只换掉前面的几个字然后继续往下走直到谁也认不出原来写的是什么东西为止还要再多写一些才够长")
	text := append([]rune{}, words...)
	rnd := rand.New(rand.NewPCG(3, 4))
	var last Member
	for step := range 40 {
		for range 3 {
			text[rnd.IntN(len(text))] = rune(0x4e00 + rnd.IntN(3000))
		}
		ms := []Member{judge(fmt.Sprintf("s%02d", step), string(text), day.Add(time.Duration(step)*time.Minute))}
		if err := g.Assign(t.Context(), ms); err != nil {
			t.Fatal(err)
		}
		index.put(ms...)
		last = ms[0]
	}
	founder := index.members[last.Group.ID]
	if got := Of(founder.Post, founder.Verdict).Similarity(Of(last.Post, last.Verdict)); got < minFounder {
		t.Errorf("a campaign holds a post that is %.2f like its founder", got)
	}
	if last.Group.ID == "s00" {
		t.Error("after 40 small changes the post is still in the first campaign")
	}
}

func TestManyAtOnceFoundOneCampaign(t *testing.T) {
	judge := judge(t)
	index := &shelf{members: map[string]Member{}}
	g := NewGrouper(index.find())
	groups := make([]string, 64)
	var wg sync.WaitGroup
	for i := range groups {
		m := judge(fmt.Sprintf("m%02d", i), adverts[i%2]+strings.Repeat("！", i%5), day.Add(time.Duration(i)))
		wg.Go(func() {
			ms := []Member{m}
			if err := g.Assign(t.Context(), ms); err != nil {
				t.Error(err)
			}
			groups[i] = ms[0].Group.ID
		})
	}
	wg.Wait()
	founders := map[string]bool{}
	for _, id := range groups {
		founders[id] = true
	}
	// Whoever comes first founds; an earlier one that comes later founds its own,
	// into which the others move when they are seen again.
	for i := range groups {
		ms := []Member{judge(fmt.Sprintf("m%02d", i), adverts[i%2], day.Add(time.Duration(i)))}
		if err := g.Assign(t.Context(), ms); err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("m%02d", i%2); ms[0].Group.ID != want {
			t.Errorf("m%02d is in %s, want %s (first round: %v)", i, ms[0].Group.ID, want, founders)
		}
	}
}

func TestAssignTellsOfTheIndex(t *testing.T) {
	index := &shelf{members: map[string]Member{}, fail: context.DeadlineExceeded}
	err := NewGrouper(index.find()).Assign(t.Context(), []Member{judge(t)("p1", adverts[0], day)})
	if err == nil || !strings.Contains(err.Error(), "p1") {
		t.Errorf("got %v, want an error that names the post", err)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	g := NewGrouper((&shelf{members: map[string]Member{}}).find())
	for i := range 3 * maxRecent {
		g.remember(entry{id: fmt.Sprint(i), sketch: Sketch{Keys: []string{fmt.Sprint(i % 7), "k" + fmt.Sprint(i)}}})
	}
	if len(g.byID) != maxRecent || len(g.byKey) != maxRecent+7 {
		t.Errorf("%d posts and %d keys are remembered, want %d and %d", len(g.byID), len(g.byKey), maxRecent, maxRecent+7)
	}
}

func FuzzOf(f *testing.F) {
	for _, a := range adverts {
		f.Add(a, 3, 9)
	}
	f.Add("[[[]]][呲", -1, 1<<30)
	f.Fuzz(func(t *testing.T, text string, start, end int) {
		v := classify.Verdict{Entities: []classify.Entity{{Type: classify.EntityWechat, Value: "x", Start: start, End: end}, {Type: classify.EntityQQ, Start: end, End: start}}}
		s := Of(post.Post{Text: text}, v)
		if len(s.Keys) > bands || len(s.grams) > maxGrams {
			t.Fatalf("%d keys, %d grams", len(s.Keys), len(s.grams))
		}
		if got := s.Similarity(s); got != 1 && len(s.Keys) > 0 {
			t.Fatalf("%q is %v like itself", text, got)
		}
	})
}

func BenchmarkOf(b *testing.B) {
	m := judge(b)("a", adverts[0], day)
	for b.Loop() {
		Of(m.Post, m.Verdict)
	}
}
