package classify_test

import (
	"slices"
	"strings"
	"testing"

	"qingyuan/classify"
	"qingyuan/post"
)

// TestDisguisesInVerdicts runs the table of disguises through the shipped
// dictionaries and model: every example must give a reason at the disguised
// characters and name its disguise. TestTricks checks the same table on the
// matcher alone, with exact spans.
func TestDisguisesInVerdicts(t *testing.T) {
	tests := []struct {
		row, text, covered string // covered: the disguised characters
		want               classify.Evasion
	}{
		{"0", "专业办理停息挂账，需要的来", "停息挂账", ""},
		{"1", "有需要ＰＯＳ机套现的联系", "ＰＯＳ机套现", classify.EvasionFullwidth},
		{"2", "專業辦理債務重組，免費諮詢", "債務重組", classify.EvasionTraditional},
		{"3", "专业停\u200b息\u200d挂\ufeff账", "停\u200b息\u200d挂\ufeff账", classify.EvasionZeroWidth},
		{"4a", "专业停.息*挂-账", "停.息*挂-账", classify.EvasionSeparators},
		{"4b", "专业停、息·挂～账", "停、息·挂～账", classify.EvasionSeparators},
		{"4c", "专业停 息　挂 账", "停 息　挂 账", classify.EvasionSeparators},
		{"4d", "专业停🔥息💰挂✅账", "停🔥息💰挂✅账", classify.EvasionEmoji},
		{"4e", "专业停1息a挂x账", "停1息a挂x账", classify.EvasionFiller},
		{"5a", "详情加薇信了解", "加薇信", classify.EvasionHomophone},
		{"5b", "详情加徽信了解", "加徽信", classify.EvasionLookalike},
		{"5c", "详情加V信了解", "加V信", classify.EvasionInitials},
		{"5d", "详情加❤信了解", "加❤信", classify.EvasionEmoji},
		{"5e", "专业寨务重组", "寨务重组", classify.EvasionHomophone},
		{"6a", "专业亻责务重组", "亻责务重组", classify.EvasionSplit},
		{"6b", "详情加微亻言了解", "加微亻言", classify.EvasionSplit},
		{"7", "专业zhaiwuchongzu，先办后付", "zhaiwuchongzu", classify.EvasionPinyin},
		{"8", "专业zwcz，先办后付", "zwcz", classify.EvasionInitials},
		{"9", "专业债wu重zu，先办后付", "债wu重zu", classify.EvasionPinyin},
		{"10", "详情➕v信了解", "➕v信", classify.EvasionEmoji},
		{"12", "账挂息停的专业团队", "账挂息停", classify.EvasionReversed},
		{"13", "停\n息\n挂\n账\n找我", "停\n息\n挂\n账", classify.EvasionVertical},
		{"14", "徰信俢複，價格優惠", "徰信俢複", classify.EvasionMars},
		{"15a", "想办的加νх", "加νх", classify.EvasionHomoglyph},
		{"15b", "加我wеiхin聊", "wеiхin", classify.EvasionHomoglyph},
		{"16", "专业停̶息̶挂̶账̶", "停̶息̶挂̶账̶", classify.EvasionCombining},
		{"17a", "专业反\ufe00催\ufe01收教程", "反\ufe00催\ufe01收", classify.EvasionZeroWidth},
		{"17b", "专业徵信修\uf966", "徵信修\uf966", classify.EvasionCompat},
		{"17c", "专业停息挂帐", "停息挂帐", classify.EvasionLookalike},
		{"18a", "⿊⼾贷款当天下", "⿊⼾贷款", classify.EvasionCompat},
		{"18b", "⻋抵贷当天下", "⻋抵贷", classify.EvasionCompat},
		{"19", "专业停停息息挂挂账账", "停停息息挂挂账账", classify.EvasionRepeated},
		{"20", "专业&#20572;&#24687;&#x6302;&#x8d26;", "&#20572;&#24687;&#x6302;&#x8d26;", classify.EvasionHTML},
		{"21", "加我uıxıǝʍ聊", "uıxıǝʍ", classify.EvasionUpsideDown},
		{"22", "专业ㄓㄞˋㄨˋ重组", "ㄓㄞˋㄨˋ重组", classify.EvasionBopomofo},
		{"23a", "专业停<!-- a -->息<!--b-->挂账", "停<!-- a -->息<!--b-->挂账", classify.EvasionHTML},
		{"23b", `专业停<span style="display:none">好</span>息挂账`, `停<span style="display:none">好</span>息挂账`, classify.EvasionHidden},
		{"24a", "加我𝒘𝒆𝒊𝒙𝒊𝒏聊", "𝒘𝒆𝒊𝒙𝒊𝒏", classify.EvasionStyled},
		{"24b", "加我ᴡᴇɪxɪɴ聊", "ᴡᴇɪxɪɴ", classify.EvasionStyled},
		{"24c", "加我ⓦⓔⓘⓧⓘⓝ聊", "ⓦⓔⓘⓧⓘⓝ", classify.EvasionStyled},
		// the same disguises on other terms of ours
		{"own 4a", "代.开.病·历，当天拿", "代.开.病·历", classify.EvasionSeparators},
		{"own 5e", "征芯修复，不成功不收费", "征芯修复", classify.EvasionHomophone},
		{"own 7", "quane tuibao 本金拿回", "quane tuibao", classify.EvasionPinyin},
		{"own 9", "花bei套xian秒到", "花bei套xian", classify.EvasionPinyin},
		{"own 12", "保退额全理代", "保退额全", classify.EvasionReversed},
		{"own 13", "代\n理\n退\n保\n找我", "代\n理\n退\n保", classify.EvasionVertical},
		{"own 16", "收̶对̶公̶账̶户̶，高价", "对̶公̶账̶户̶", classify.EvasionCombining},
		{"own 20", "出&#22235;件套 一手", "&#22235;件套", classify.EvasionHTML},
	}
	for _, tt := range tests {
		t.Run(tt.row, func(t *testing.T) {
			v := shippedVerdict(t, post.Post{Text: tt.text, SourceType: "forum"})
			at := len([]rune(tt.text[:strings.Index(tt.text, tt.covered)])) + 1 // a line end stands before the text
			end := at + len([]rune(tt.covered))
			if !slices.ContainsFunc(v.Reasons, func(r classify.Reason) bool {
				return r.Kind != classify.ReasonModel && r.End > r.Start && r.Start < end && r.End > at
			}) {
				t.Errorf("no reason at %q: %+v", tt.covered, v.Reasons)
			}
			if tt.want != "" && !slices.Contains(v.Evasion, tt.want) {
				t.Errorf("evasion %v, want %s", v.Evasion, tt.want)
			}
		})
	}
}

// TestDisguisedDigitsInVerdicts is row 11 of the same table: a phone number in
// six disguises.
func TestDisguisedDigitsInVerdicts(t *testing.T) {
	for row, text := range map[string]string{
		"11a": "联系①③⑧⓪⓪①③⑧⓪⓪⓪", "11b": "联系1️⃣3️⃣8️⃣0️⃣0️⃣1️⃣3️⃣8️⃣0️⃣0️⃣0️⃣", "11c": "联系一三八零零一三八零零零",
		"11d": "联系壹叁捌零零壹叁捌零零零", "11e": "联系138-0013_8000", "11f": "联系幺三八洞洞幺三八洞洞洞",
	} {
		v := shippedVerdict(t, post.Post{Text: text, SourceType: "forum"})
		if len(v.Entities) != 1 || v.Entities[0].Type != classify.EntityPhone || v.Entities[0].Value != "13800138000" {
			t.Errorf("%s %s: entities %+v", row, text, v.Entities)
		}
	}
}

// TestNoDisguiseWhereNoneIs has the rows F1 to F4, which must not fire, and
// more of their kind.
func TestNoDisguiseWhereNoneIs(t *testing.T) {
	for row, text := range map[string]string{
		"F1": "今年参加微信息化培训的同学请签到", "F3": "手续费另加，微信支付按0.1%收取", "F4": "订单编号 20240615，请查收",
		"own 1": "增加维护人员两名，负责征信息录入", "own 2": "运单号 SF1380013800012，已签收", "own 3": "会议改到 2024-06-15 15:30，参加微课的同学提前十分钟进来",
	} {
		v := shippedVerdict(t, post.Post{Text: text, SourceType: "forum"})
		if v.Flagged || len(v.Evasion) > 0 || slices.ContainsFunc(v.Entities, func(e classify.Entity) bool { return classify.IsContact(e.Type) }) {
			t.Errorf("%s %s: flagged %v, evasion %v, entities %+v", row, text, v.Flagged, v.Evasion, v.Entities)
		}
		for _, r := range v.Reasons {
			if r.Kind == classify.ReasonTerm || strings.HasPrefix(r.ID, "offer-contact") {
				t.Errorf("%s %s: %s fires at %q", row, text, r.ID, r.Text)
			}
		}
	}
	for _, text := range []string{"警方提醒：所谓停息挂账多为骗局，切勿轻信", "银行提示：声称能做征信修复的都是诈骗，请通过官方渠道办理"} { // F2
		if v := shippedVerdict(t, post.Post{Text: text, SourceType: "forum"}); v.Flagged || v.Stance != classify.StanceWarning {
			t.Errorf("%s: flagged %v, stance %s", text, v.Flagged, v.Stance)
		}
	}
}
