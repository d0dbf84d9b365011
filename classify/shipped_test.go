package classify_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"qingyuan/classify"
	"qingyuan/dictionaries"
	"qingyuan/post"
)

var shippedClassifier = sync.OnceValues(func() (*classify.Classifier, error) {
	data, err := dictionaries.FS.ReadFile("model.qym")
	if err != nil {
		return nil, err
	}
	m, err := classify.ReadModel(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return classify.Load(dictionaries.FS, m)
})

func shippedVerdict(t *testing.T, p post.Post) classify.Verdict {
	t.Helper()
	c, err := shippedClassifier()
	if err != nil {
		t.Fatal(err)
	}
	v, err := c.Classify(p)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Flagged is category evidence times stance (DESIGN §3); a greeting has none.
func TestNothingIsNoOffer(t *testing.T) {
	for _, text := range []string{"x", "x1", "你好", "。", "1", "哈哈"} {
		for _, kind := range []string{"", "forum", "social", "classified", "qa", "a b"} {
			if v := shippedVerdict(t, post.Post{Text: text, SourceType: kind}); v.Flagged {
				t.Errorf("%q on %q is flagged: %.2f, %v", text, kind, v.Score, v.Categories)
			}
		}
	}
}

// Many at a time give what one gives; run with -race.
func TestConcurrentVerdictsAreThoseOfOne(t *testing.T) {
	text := func(i int) post.Post {
		return post.Post{Text: fmt.Sprint("停息挂账代办 加V:abc", i, strings.Repeat(" 征信修复", i))}
	}
	want := make([]string, 20)
	for i := range want {
		want[i] = fmt.Sprintf("%+v", shippedVerdict(t, text(i)))
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range want {
				c, _ := shippedClassifier()
				if v, err := c.Classify(text(i)); err != nil || fmt.Sprintf("%+v", v) != want[i] {
					t.Errorf("text %d is judged otherwise beside others (%v)", i, err)
				}
			}
		})
	}
	wg.Wait()
}

// The ad is found however much is written after it.
func TestPaddingDoesNotHideAnAd(t *testing.T) {
	ad := "停息挂账代办，信用卡逾期协商分期，加微信 abc12345 咨询\n"
	for _, pad := range []string{"今天天气很好，我们去公园散步。", "法院判决，警方提醒，谨防诈骗。", "\u200b", "\n"} {
		if v := shippedVerdict(t, post.Post{Text: ad + strings.Repeat(pad, 3000)}); !v.Flagged {
			t.Errorf("padded by %q the ad is not flagged: %.2f, %s", pad, v.Score, v.Stance)
		}
	}
}

// A text without a letter is nothing: no stance, no category.
func TestNoContentIsOther(t *testing.T) {
	for _, text := range []string{"", "\n\n", "......", "（（（", "\xff\xfe"} {
		v := shippedVerdict(t, post.Post{Text: text})
		if v.Flagged || v.Stance != classify.StanceOther || len(v.Categories) != 0 {
			t.Errorf("%q: flagged %v, stance %s, categories %v", text, v.Flagged, v.Stance, v.Categories)
		}
	}
}
