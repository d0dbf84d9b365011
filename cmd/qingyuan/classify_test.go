package main

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"qingyuan/classify"
	"qingyuan/post"
)

func TestClassifyStreamAnswersEveryLineInOrder(t *testing.T) {
	in := strings.Join([]string{
		`{"id":"a","title":"","text":"专业办理停息挂账，加微信 lvan_8866，先办后付","source_type":"forum"}`,
		`not json`,
		`{"id":"b","text":"今天天气不错"}`,
		``,
		`{"id":"c","text":5}`,
		`{"id":"big","text":"` + strings.Repeat("字", post.MaxText/3+10) + `"}`,
		`{"id":"d","text":"\ud800 lone surrogate \u0000"}`,
		`{"id":"e","text":"last line without a break"}`,
	}, "\n")
	out := mustRun(t, in, "classify", "-jsonl", "-workers", "3")
	var got []classifyOutput
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		var o classifyOutput
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		got = append(got, o)
	}
	if len(got) != 7 {
		t.Fatalf("%d answers, want 7:\n%s", len(got), out)
	}
	want := []struct {
		id    string
		line  int
		error string
	}{{"a", 0, ""}, {"", 2, "not a JSON object"}, {"b", 0, ""}, {"", 5, "not a JSON object"}, {"big", 6, "larger than 1 MiB"}, {"d", 0, ""}, {"e", 0, ""}}
	for i, w := range want {
		if got[i].ID != w.id || got[i].Line != w.line || (w.error == "") != (got[i].Error == "") || !strings.Contains(got[i].Error, w.error) {
			t.Errorf("answer %d: %+v, want id %q line %d error %q", i, got[i], w.id, w.line, w.error)
		}
	}
	if got[0].Verdict == nil || !got[0].Flagged || got[0].Stance != classify.StanceOffer {
		t.Errorf("the advert is not flagged: %+v", got[0].Verdict)
	}
	if got[2].Verdict == nil || got[2].Flagged {
		t.Errorf("the weather is flagged: %+v", got[2].Verdict)
	}
}

func TestClassifyText(t *testing.T) {
	out := mustRun(t, "", "classify", "花呗套现，秒到，加V lvan8866")
	var v classify.Verdict
	if err := json.Unmarshal([]byte(out), &v); err != nil || v.Dictionary == "" || len(v.Reasons) == 0 {
		t.Errorf("no whole verdict: %v\n%s", err, out)
	}
}

func TestExplainSpeaksBothLanguagesAndKeepsTheTerminalSafe(t *testing.T) {
	text := "专业办理停息挂账 加微信 lvan_8866 \x1b[31m\u202e"
	for lang, want := range map[string]string{"zh": "理由", "en": "reasons"} {
		out := mustRun(t, text, "explain", "-lang", lang, "-color", "never")
		if !strings.Contains(out, want) || !utf8.ValidString(out) {
			t.Errorf("%s: no %q in\n%s", lang, want, out)
		}
		if strings.ContainsAny(out, "\x1b\u202e") {
			t.Errorf("%s: control characters of the text reach the terminal", lang)
		}
	}
}

func TestEvalPrintsFigures(t *testing.T) {
	out := mustRun(t, "", "eval", "../../testdata/labelled/dev.jsonl")
	for _, want := range []string{"precision", "categories (macro F1", "false positives by benign stance", "recall by disguise", "calibration"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}
