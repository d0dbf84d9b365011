package classify

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// trickLexicon is the lexicon of the evasion table.
var trickLexicon = []pattern{
	{"停息挂账", 1, 0}, {"加微信", 2, patternContact}, {"债务重组", 3, 0}, {"反催收", 4, 0}, {"征信修复", 5, 0},
	{"加vx", 6, patternContact}, {"vx", 7, patternContact}, {"weixin", 8, patternContact}, {"pos机套现", 9, 0},
	{"黑户贷款", 10, 0}, {"车抵贷", 11, 0}, {"zwcz", 3, patternInitials},
}

func mustMatcher(t testing.TB, ps []pattern) *matcher {
	t.Helper()
	m, err := buildMatcher(ps)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func scanAll(m *matcher, text string) (*normalized, []hit) {
	var n normalized
	var sc matchScratch
	var hits []hit
	normalize(text, &n)
	m.scan(&n, &sc, nil, func(h hit) { hits = append(hits, h) })
	return &n, hits
}

func TestTricks(t *testing.T) {
	m := mustMatcher(t, trickLexicon)
	tests := []struct {
		row, text, term, covered string
		want                     []Evasion
	}{
		{"0", "专业办理停息挂账，需要的来", "停息挂账", "停息挂账", nil},
		{"1", "有需要ＰＯＳ机套现的联系", "pos机套现", "ＰＯＳ机套现", []Evasion{EvasionFullwidth}},
		{"2", "專業辦理債務重組，免費諮詢", "债务重组", "債務重組", []Evasion{EvasionTraditional}},
		{"3", "专业停\u200b息\u200d挂\ufeff账", "停息挂账", "停\u200b息\u200d挂\ufeff账", []Evasion{EvasionZeroWidth}},
		{"4a", "专业停.息*挂-账", "停息挂账", "停.息*挂-账", []Evasion{EvasionSeparators}},
		{"4b", "专业停、息·挂～账", "停息挂账", "停、息·挂～账", []Evasion{EvasionSeparators}},
		{"4c", "专业停 息　挂 账", "停息挂账", "停 息　挂 账", []Evasion{EvasionSeparators}},
		{"4d", "专业停🔥息💰挂✅账", "停息挂账", "停🔥息💰挂✅账", []Evasion{EvasionEmoji}},
		{"4e", "专业停1息a挂x账", "停息挂账", "停1息a挂x账", []Evasion{EvasionFiller}},
		{"5a", "详情加薇信了解", "加微信", "加薇信", []Evasion{EvasionHomophone}},
		{"5b", "详情加徽信了解", "加微信", "加徽信", []Evasion{EvasionLookalike}},
		{"5c", "详情加V信了解", "加微信", "加V信", []Evasion{EvasionInitials}},
		{"5d", "详情加❤信了解", "加微信", "加❤信", []Evasion{EvasionEmoji}},
		{"5e", "专业寨务重组", "债务重组", "寨务重组", []Evasion{EvasionHomophone}},
		{"6a", "专业亻责务重组", "债务重组", "亻责务重组", []Evasion{EvasionSplit}},
		{"6b", "详情加微亻言了解", "加微信", "加微亻言", []Evasion{EvasionSplit}},
		{"7", "专业zhaiwuchongzu，先办后付", "债务重组", "zhaiwuchongzu", []Evasion{EvasionPinyin}},
		{"8", "专业zwcz，先办后付", "债务重组", "zwcz", []Evasion{EvasionInitials}},
		{"9", "专业债wu重zu，先办后付", "债务重组", "债wu重zu", []Evasion{EvasionPinyin}},
		{"10", "详情➕v信了解", "加微信", "➕v信", []Evasion{EvasionEmoji, EvasionInitials}},
		{"12", "账挂息停的专业团队", "停息挂账", "账挂息停", []Evasion{EvasionReversed}},
		{"13", "停\n息\n挂\n账\n找我", "停息挂账", "停\n息\n挂\n账", []Evasion{EvasionVertical}},
		{"14", "徰信俢複，價格優惠", "征信修复", "徰信俢複", []Evasion{EvasionMars, EvasionTraditional}},
		{"15a", "想办的加νх", "加vx", "加νх", []Evasion{EvasionHomoglyph}},
		{"15b", "加我wеiхin聊", "weixin", "wеiхin", []Evasion{EvasionHomoglyph}},
		{"16", "专业停̶息̶挂̶账̶", "停息挂账", "停̶息̶挂̶账̶", []Evasion{EvasionCombining}},
		{"17a", "专业反\ufe00催\ufe01收教程", "反催收", "反\ufe00催\ufe01收", []Evasion{EvasionZeroWidth}},
		{"17b", "专业徵信修\uf966", "征信修复", "徵信修\uf966", []Evasion{EvasionCompat, EvasionTraditional}},
		{"17c", "专业停息挂帐", "停息挂账", "停息挂帐", []Evasion{EvasionLookalike}},
		{"18a", "⿊⼾贷款当天下", "黑户贷款", "⿊⼾贷款", []Evasion{EvasionCompat}},
		{"18b", "⻋抵贷当天下", "车抵贷", "⻋抵贷", []Evasion{EvasionCompat}},
		{"19", "专业停停息息挂挂账账", "停息挂账", "停停息息挂挂账账", []Evasion{EvasionRepeated}},
		{"20", "专业&#20572;&#24687;&#x6302;&#x8d26;", "停息挂账", "&#20572;&#24687;&#x6302;&#x8d26;", []Evasion{EvasionHTML}},
		{"21", "加我uıxıǝʍ聊", "weixin", "uıxıǝʍ", []Evasion{EvasionUpsideDown}},
		{"22", "专业ㄓㄞˋㄨˋ重组", "债务重组", "ㄓㄞˋㄨˋ重组", []Evasion{EvasionBopomofo}},
		{"23a", "专业停<!-- a -->息<!--b-->挂账", "停息挂账", "停<!-- a -->息<!--b-->挂账", []Evasion{EvasionHTML}},
		{"23b", `专业停<span style="display:none">好</span>息挂账`, "停息挂账", `停<span style="display:none">好</span>息挂账`, []Evasion{EvasionHidden}},
		{"24a", "加我𝒘𝒆𝒊𝒙𝒊𝒏聊", "weixin", "𝒘𝒆𝒊𝒙𝒊𝒏", []Evasion{EvasionStyled}},
		{"24b", "加我ᴡᴇɪxɪɴ聊", "weixin", "ᴡᴇɪxɪɴ", []Evasion{EvasionStyled}},
		{"24c", "加我ⓦⓔⓘⓧⓘⓝ聊", "weixin", "ⓦⓔⓘⓧⓘⓝ", []Evasion{EvasionStyled}},
	}
	for _, tt := range tests {
		t.Run(tt.row, func(t *testing.T) { wantHit(t, m, trickLexicon, tt.text, tt.term, tt.covered, tt.want) })
	}
}

// TestDigitTricks covers row 11, contacts in disguised digits. Folding undoes a,
// b and e; c, d and f (numerals as characters, which are words everywhere else)
// are left to the entity finder, which knows a contact when it sees one.
func TestDigitTricks(t *testing.T) {
	tests := []struct{ row, text, digits string }{
		{"11a", "联系①③⑧⓪⓪①③⑧⓪⓪⓪", "13800138000"},
		{"11b", "联系1️⃣3️⃣8️⃣0️⃣0️⃣1️⃣3️⃣8️⃣0️⃣0️⃣0️⃣", "13800138000"},
		{"11c", "联系一三八零零一三八零零零", ""},
		{"11d", "联系壹叁捌零零壹叁捌零零零", ""},
		{"11e", "联系138-0013_8000", "13800138000"},
		{"11f", "联系幺三八洞洞幺三八洞洞洞", ""},
	}
	for _, tt := range tests {
		t.Run(tt.row, func(t *testing.T) {
			var n normalized
			normalize(tt.text, &n)
			var got []rune
			for i, r := range n.stream {
				if n.class[n.pos[i]] == classDigit {
					got = append(got, r)
				}
			}
			if string(got) != tt.digits {
				t.Errorf("digits %q, want %q", string(got), tt.digits)
			}
			if disguised := tt.row == "11a" || tt.row == "11b"; disguised && n.ev[n.pos[2]] != evDigits {
				t.Errorf("the first digit does not remember its disguise: %b", n.ev[n.pos[2]])
			}
		})
	}
}

// TestFalseJoins covers what must not, or not by this layer, be refused.
func TestFalseJoins(t *testing.T) {
	lexicon := append(slices.Clone(trickLexicon), pattern{"花呗套现", 20, 0}, pattern{"套现", 21, 0}, pattern{"代还", 22, patternPhonetic},
		pattern{"加微", 23, patternContact}, pattern{"背公司", 25, 0}, pattern{"公司户", 26, 0}, pattern{"征信", 27, patternPhonetic})
	m := mustMatcher(t, lexicon)
	tests := []struct {
		name, text string
		want       []int32
	}{
		{"F1 needs words: the caller's segmentation refuses it", "今年参加微信息化培训的同学请签到", []int32{2, 23}},
		{"F2 needs the stance", "警方提醒：所谓停息挂账多为骗局，切勿轻信", []int32{1}},
		{"F3 a clause mark inside", "手续费另加，微信支付按0.1%收取", nil},
		{"F4 a number is no term", "订单编号 20240615，请查收", nil},
		{"clause mark, question", "你是不是在套？现在才知道", nil},
		{"bracket", "另加（微信支付）", nil},
		{"title and text", "另加\n微信支付也可以", nil},
		{"wrapped line", "今年套\n现在才说", nil},
		{"inside a Latin word", "it is possible to repost, devx weixinpay", nil},
		{"account after vx", "vx123456", []int32{7}},
		{"phone before vx", "13800001111vx同号", []int32{7}},
		{"letters after vx", "vxworks", nil},
		{"加v begins 加vip", "加vip会员", nil},
		{"加v with an account", "加v_abc123", []int32{23}},
		{"加维 begins 加维护", "增加维护人员", nil},
		{"ten is a number", "几十微米，五十个w", nil},
		{"two gaps of letters are none by chance", "停1息挂账", nil},
		{"two homophones", "台线", nil},
		{"homophone of a particle", "她会被公司开除", nil},
		{"homophone over a gap", "有限公司 | 沪ICP备", nil},
		{"pinyin in an account name", "微信号zhengxin_88和daihuan2000", nil},
		{"too wide a gap", "停" + strings.Repeat("*", maxGap+1) + "息挂账", nil},
		{"halves of a word", "代贝", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, hits := scanAll(m, tt.text)
			var got []int32
			for _, h := range hits {
				got = append(got, h.id)
			}
			slices.Sort(got)
			if !slices.Equal(got, tt.want) {
				t.Errorf("%q: patterns %v, want %v", tt.text, got, tt.want)
			}
		})
	}
}

func TestVetoOfHomophones(t *testing.T) {
	m := mustMatcher(t, []pattern{{"包装贷", 1, 0}, {"债务重组", 2, 0}})
	words := map[string]bool{"包装": true, "包装带": true, "重组": true}
	for text, want := range map[string]int{"用包装带捆好": 0, "寨务重组": 1, "包装贷": 1, "bao装贷": 1} {
		var n normalized
		var sc matchScratch
		hits := 0
		normalize(text, &n)
		m.scan(&n, &sc, func(s []rune) bool { return words[string(s)] }, func(hit) { hits++ })
		if hits != want {
			t.Errorf("%q: %d hits, want %d", text, hits, want)
		}
	}
}

// TestGapsAreTold: ordinary spacing is no disguise, a habit of it is.
func TestGapsAreTold(t *testing.T) {
	m := mustMatcher(t, ownLexicon)
	tests := []struct {
		text string
		want []Evasion
		gaps int
	}{
		{"办理 POS 机套现", []Evasion{}, 0},
		{"信用卡 套现", []Evasion{}, 1},
		{"“信用卡”套现", []Evasion{}, 1},
		{"信用卡/套现", []Evasion{}, 1},
		{"信 用 卡 套现", []Evasion{EvasionSeparators}, 3},
		{"信用卡*套现", []Evasion{EvasionSeparators}, 1},
		{"\u200b信用卡套现", []Evasion{}, 0}, // before the term, not in it
	}
	for _, tt := range tests {
		_, hits := scanAll(m, tt.text)
		i := slices.IndexFunc(hits, func(h hit) bool { return h.id == 105 || h.id == 128 })
		if i < 0 {
			t.Errorf("%q: not found", tt.text)
			continue
		}
		if got := hits[i].evasions.names(); !slices.Equal(got, tt.want) || hits[i].gaps != tt.gaps {
			t.Errorf("%q: %v over %d gaps, want %v over %d", tt.text, got, hits[i].gaps, tt.want, tt.gaps)
		}
	}
}

func TestEvasionNames(t *testing.T) {
	all := evNames.names()
	if len(all) != 24 || !slices.IsSorted(all) {
		t.Errorf("%d names: %v", len(all), all)
	}
	if got := (evDigits | gapHTML).closeGaps().names(); !slices.Equal(got, []Evasion{EvasionDigits, EvasionHTML}) {
		t.Errorf("got %v", got)
	}
	if got := evasionSet(0).names(); got == nil || len(got) != 0 {
		t.Errorf("no evasion: %#v", got)
	}
}

// wantHit fails unless term is found in text, over the published characters
// covered, with exactly the evasions named.
func wantHit(t *testing.T, m *matcher, lexicon []pattern, text, term, covered string, want []Evasion) {
	t.Helper()
	i := slices.IndexFunc(lexicon, func(p pattern) bool { return p.Text == term })
	if i < 0 {
		t.Fatalf("%s is not in the lexicon", term)
	}
	n, hits := scanAll(m, text)
	original := []rune(text)
	var got []string
	slices.Sort(want)
	for _, h := range hits {
		c := string(original[h.origStart:h.origEnd])
		names := h.evasions.names()
		if h.id == lexicon[i].ID && c == covered && slices.Equal(names, want) {
			return
		}
		got = append(got, fmt.Sprintf("pattern %d over %s by %v", h.id, c, names))
	}
	t.Errorf("%q: want %s over %q by %v; got %q; folded %q", text, term, covered, want, got, n.text())
}

// ownLexicon are terms of the trade beyond the table's.
var ownLexicon = []pattern{
	{"代理退保", 101, 0}, {"反催收", 102, 0}, {"征信修复", 103, 0}, {"假流水", 104, 0}, {"信用卡套现", 105, 0},
	{"背债", 106, 0}, {"四件套", 107, 0}, {"逾期铲单", 108, 0}, {"协商分期", 109, 0}, {"内部渠道", 110, 0},
	{"对公账户", 111, 0}, {"代还养卡", 112, 0}, {"贴息揽储", 113, 0}, {"强开发票", 114, 0}, {"AB贷", 115, 0},
	{"停息挂账", 116, 0}, {"债务重组", 117, 0}, {"债务优化", 118, 0}, {"加微信", 119, patternContact}, {"加微", 120, patternContact},
	{"加qq", 121, patternContact}, {"套现", 122, patternPhonetic}, {"dltb", 101, patternInitials}, {"包装贷款", 123, 0},
	{"假病历", 124, 0}, {"全额退保", 125, 0}, {"职业背债人", 126, 0}, {"微信", 127, patternContact}, {"pos机套现", 128, 0},
}

func TestTricksOnOurTerms(t *testing.T) {
	m := mustMatcher(t, ownLexicon)
	tests := []struct {
		text, term, covered string
		want                []Evasion
	}{
		{"代理退保，不成功不收费", "代理退保", "代理退保", nil},
		{"代.理.退.保", "代理退保", "代.理.退.保", []Evasion{EvasionSeparators}},
		{"专做代|理|退|保", "代理退保", "代|理|退|保", []Evasion{EvasionSeparators}},
		{"dai理tui保找我", "代理退保", "dai理tui保", []Evasion{EvasionPinyin}},
		{"专业dailituibao", "代理退保", "dailituibao", []Evasion{EvasionPinyin}},
		{"DLTB找我", "代理退保", "DLTB", []Evasion{EvasionInitials}},
		{"保退理代，老客户介绍", "代理退保", "保退理代", []Evasion{EvasionReversed}},
		{"亻弋理退亻呆", "代理退保", "亻弋理退亻呆", []Evasion{EvasionSplit}},
		{"代9理9退9保", "代理退保", "代9理9退9保", []Evasion{EvasionFiller}},
		{"代\n理\n退\n保", "代理退保", "代\n理\n退\n保", []Evasion{EvasionVertical}},
		{"反摧收课程", "反催收", "反摧收", []Evasion{EvasionHomophone}},
		{"反cui收", "反催收", "反cui收", []Evasion{EvasionPinyin}},
		{"反亻崔收", "反催收", "反亻崔收", []Evasion{EvasionSplit}},
		{"反📞催📞收", "反催收", "反📞催📞收", []Evasion{EvasionEmoji}},
		{"徵信修復，全國可做", "征信修复", "徵信修復", []Evasion{EvasionTraditional}},
		{"zheng信xiu复", "征信修复", "zheng信xiu复", []Evasion{EvasionPinyin}},
		{"彳正信修复", "征信修复", "彳正信修复", []Evasion{EvasionSplit}},
		{"征芯修复", "征信修复", "征芯修复", []Evasion{EvasionHomophone}},
		{"证信修覆", "征信修复", "证信修覆", []Evasion{EvasionHomophone}},
		{"假 流 水", "假流水", "假 流 水", []Evasion{EvasionSeparators}},
		{"假氵充水当天出", "假流水", "假氵充水", []Evasion{EvasionSplit}},
		{"ㄐㄧㄚˇ流水", "假流水", "ㄐㄧㄚˇ流水", []Evasion{EvasionBopomofo}},
		{"信\u200b用\u200b卡\u200b套\u200b现", "信用卡套现", "信\u200b用\u200b卡\u200b套\u200b现", []Evasion{EvasionZeroWidth}},
		{"信用鉲套現", "信用卡套现", "信用鉲套現", []Evasion{EvasionMars, EvasionTraditional}},
		{"信用ka套xian", "信用卡套现", "信用ka套xian", []Evasion{EvasionPinyin}},
		{"信用卡套王见", "信用卡套现", "信用卡套王见", []Evasion{EvasionSplit}},
		{"背亻责，一笔到位", "背债", "背亻责", []Evasion{EvasionSplit}},
		{"bei债", "背债", "bei债", []Evasion{EvasionPinyin}},
		{"背 债", "背债", "背 债", []Evasion{EvasionSeparators}},
		{"四四件件套套", "四件套", "四四件件套套", []Evasion{EvasionRepeated}},
		{"四亻牛套", "四件套", "四亻牛套", []Evasion{EvasionSplit}},
		{"肆件套", "四件套", "肆件套", []Evasion{EvasionHomophone}},
		{"逾̶期̶铲̶单̶", "逾期铲单", "逾̶期̶铲̶单̶", []Evasion{EvasionCombining}},
		{"踰期铲单", "逾期铲单", "踰期铲单", []Evasion{EvasionMars}},
		{"俞辶期钅产单", "逾期铲单", "俞辶期钅产单", []Evasion{EvasionSplit}},
		{"协<b>商</b>分<b>期</b>", "协商分期", "协<b>商</b>分<b>期", []Evasion{EvasionHTML}},
		{"內部渠道", "内部渠道", "內部渠道", []Evasion{EvasionTraditional}},
		{"对公帐户", "对公账户", "对公帐户", []Evasion{EvasionLookalike}},
		{"对公賬戶", "对公账户", "对公賬戶", []Evasion{EvasionTraditional}},
		{"代还养ka", "代还养卡", "代还养ka", []Evasion{EvasionPinyin}},
		{"dai huan yang ka", "代还养卡", "dai huan yang ka", []Evasion{EvasionPinyin, EvasionSeparators}},
		{"贴①息②揽③储", "贴息揽储", "贴①息②揽③储", []Evasion{EvasionFiller}},
		{"强★开★发★票", "强开发票", "强★开★发★票", []Evasion{EvasionEmoji}},
		{"ＡＢ贷", "AB贷", "ＡＢ贷", []Evasion{EvasionFullwidth}},
		{"🅰🅱贷", "AB贷", "🅰🅱贷", []Evasion{EvasionStyled}},
		{"АВ贷", "AB贷", "АВ贷", []Evasion{EvasionHomoglyph}},
		{"包装代贝款", "包装贷款", "包装代贝款", []Evasion{EvasionSplit}},
		{"全&#39069;退保", "全额退保", "全&#39069;退保", []Evasion{EvasionHTML}},
		{"职业背债ren", "职业背债人", "职业背债ren", []Evasion{EvasionPinyin}},
		{"专业taoxian", "套现", "taoxian", []Evasion{EvasionPinyin}},
		{"家薇信", "加微信", "家薇信", []Evasion{EvasionHomophone}},
		{"十微信", "加微信", "十微信", []Evasion{EvasionLookalike}},
		{"加威信", "加微信", "加威信", []Evasion{EvasionHomophone}},
		{"加💚信", "加微信", "加💚信", []Evasion{EvasionEmoji}},
		{"+vx", "加微信", "+vx", []Evasion{EvasionEmoji, EvasionInitials}},
		{"加V abc123", "加微", "加V", []Evasion{EvasionInitials}},
		{"加vabc123", "加微", "加v", []Evasion{EvasionInitials}},
		{"加威abc123", "加微", "加威", []Evasion{EvasionHomophone}},
		{"加🐧12345", "加qq", "加🐧", []Evasion{EvasionEmoji}},
		{"停息佳账", "停息挂账", "停息佳账", []Evasion{EvasionLookalike}},
		{"黑尸货款也做，包装货款", "包装贷款", "包装货款", []Evasion{EvasionLookalike}},
		{"仃息挂账", "停息挂账", "仃息挂账", []Evasion{EvasionLookalike}},
		{"背\n债\n包\n装\n到\n手", "背债", "背\n债", []Evasion{EvasionVertical}},
		{"套套套现现现", "套现", "套套套现现现", []Evasion{EvasionRepeated}},
		{`天气好<span style="font-size:0">征信修复逾期铲单加huifu</span>出去走走`, "征信修复", "征信修复", []Evasion{EvasionHidden}},
		{"加扣扣12345", "加qq", "加扣扣", []Evasion{EvasionHomophone}},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) { wantHit(t, m, ownLexicon, tt.text, tt.term, tt.covered, tt.want) })
	}
}
