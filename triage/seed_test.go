package triage

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"qingyuan/classify"
	"qingyuan/dictionaries"
	"qingyuan/index"
	"qingyuan/index/sqlite"
	"qingyuan/post"
)

// clock is the time in all tests: 2026-11-22 15:30 in China.
var clock = time.Date(2026, 11, 22, 7, 30, 0, 0, time.UTC)

// classifier is the built-in one, built once for all tests.
var classifier = sync.OnceValues(func() (*classify.Classifier, error) { return classify.Load(dictionaries.FS, nil) })

// seeds are posts as they stand on forums: offers of every kind, and what
// uses the same words without offering anything.
var seeds = []struct{ source, kind, author, title, text string }{
	{"朝阳论坛", "forum", "上岸老周", "信用卡网贷逾期别慌，停息挂账分60期", "专业团队办理停息挂账、协商分期，最长60期，不上门不爆通讯录。\n先办理后付费，不成功不收费。加微：shangan_lz88，备注逾期。"},
	{"朝阳论坛", "forum", "上岸老周", "又帮一位宝妈搞定了，全网逾期协商还款", "12家网贷全部协商成功，停止催收，只还本金。想上岸的姐妹加V：shangan_lz88 免费评估。"},
	{"同城分类", "classified", "诚信金服-小王", "停.息.挂.账 代办 全国可做", "信用咔逾期、网袋逾期都能操作，停-息-挂-账，减免利息。薇❤：shangan＿lz88，一三八 零零零零 二二六六。"},
	{"星河社区", "social", "债务规划师Amy", "", "逾期的宝子看过来💌 教你一招让催收闭嘴，反催收话术+投诉模板打包199，进群领取，➕v：amy_zhaiwu66"},
	{"星河社区", "social", "逆风翻盘的阿琪", "反催收教程更新到第8版", "含协商话术、投诉信模板、录音要点，卖了三千多份，包教会。需要的私信或加 QQ 群 700012345。"},
	{"同城分类", "classified", "快证通", "银行流水、收入证明、在职证明代做", "工资流水、对公流水、离职证明、贫困证明、住院病历都能做，带章可查，当天出。联系飞机 @kuaizt_demo 或 QQ 80011223。"},
	{"同城分类", "classified", "快证通", "大病病历诊断证明一套", "三甲病历、诊断证明、缴费单整套，延期协商专用，包过。QQ：80011223"},
	{"贷友之家", "forum", "渠道李经理", "白户包装贷，不看征信当天放款", "黑户白户都能做，包装公司资料，内部渠道直批，50万起，下款后收15个点。电话 19900001234。"},
	{"贷友之家", "forum", "渠道李经理", "招背债人，一次拿走三十万", "有征信就行，职业背债，全程包装包食宿，到手30-80万。想好了加V信：dkqudao_li 。"},
	{"贷友之家", "forum", "AB单专员", "AB贷操作，征信花了也能贷", "你征信不好没关系，找个朋友过来做担保人就行，A申请B放款，全程指导。微信：abdan_2026"},
	{"商圈观察", "forum", "闭店大叔", "门店经营不下去？专业闭店团队接手", "健身房、早教、美容院闭店方案，变更法人、会员分流、资产转移一条龙，老板安全脱身。电话：19900005678。"},
	{"商圈观察", "forum", "资产隔离顾问", "被起诉前一定要做的三件事", "房产代持、假离婚协议、股权转移，起诉前做资产隔离，法院查不到。方案一对一，费用面议，vx：zcgl_guwen"},
	{"保险吐槽吧", "forum", "退保维权部小刘", "全额退保，缴多少退多少", "买了保险后悔了？不管交了几年都能全额退保，成功后收30%，不成功不收费。威信：tuibao_xl01"},
	{"保险吐槽吧", "forum", "tuibao小助手", "代理退保 全国接单", "代办全额退保、投诉模板提供，保单拍照发我。全国招代理，高佣金。ｖｘ：tuibao_xl01"},
	{"保险吐槽吧", "forum", "理赔通", "车险小事故多赔一万", "剐蹭报大案、定损高开，修理厂配合，到手对半分。联系人老陈 19900008765"},
	{"星河社区", "social", "信用修护中心", "征信修复 逾期铲单", "专业征信修复，逾期记录消除，30天见效，央行内部渠道，先操作后付款！＋扣扣：６００１１２２３"},
	{"星河社区", "social", "zxxf888", "", "𝓿信：zx_xiufu88 征.信.修.复 查询记录消除 花户变白户 无效全额退"},
	{"星河社区", "social", "小额周转站", "花呗白条秒到账，手续费低", "花呗、白条、分付、月付额度提取，扫码秒到，5个点，老店信誉。VX taoxian_zz5"},
	{"同城分类", "classified", "养卡专家", "信用卡代还 空卡养卡", "信用卡精养提额，空卡代还，余额不动，费率0.6，上门刷。微信同号 19900003321"},
	{"同城分类", "classified", "公积金专办", "离职公积金一次性全提", "在职离职都能办，公积金代提，无需本人到场，材料我们出，成功收10%。电19900004410"},
	{"贷友之家", "forum", "维权李老师", "代理投诉银行，息费全退", "针对银行和网贷平台代投诉，12378、信访件一条龙，退息退费，成功后五五分。加v liweiquan_09"},
	{"财富俱乐部", "forum", "化债导师", "国家化债项目，三年还清所有债务", "交纳项目款1万元加入债务化解计划，每月返还还款金，三年全部还清，推荐亲友有奖励。报名加微信 huazhai_xm"},
	{"商圈观察", "forum", "诉讼规划", "债务人必看：用诉讼保护财产", "虚构债权、提前仲裁、拿调解书参与分配，帮你保住资产，律所配合，费用2万起，telegram：@susong_gh_demo"},
	{"暗流小站", "forum", "卡商阿标", "高价收四件套 对公户", "银行卡、U盾、手机卡、身份证四件套，个人800一套，对公3000，长期收，飞机：@biaoge_demo"},
	{"暗流小站", "forum", "码商招募", "跑分车队招人日结", "收款码跑分，一天三百到八百，有银行卡支付宝就能做，押金500起。电报 @paofen_demo"},
	{"存款通", "forum", "高息揽储小张", "银行存款贴息，100万贴2个点", "指定银行存一年定期，额外贴息当天到账，资金方直签，中介勿扰。微信 tiexi_zhang"},
	{"暗流小站", "forum", "zwyh老师", "亻责务优化，㊙全程托管", "亻责务优化 亭息卦账 个性化分期，法务团队全程托管，月费498。徽信：zwyh_ls77"},
	{"朝阳论坛", "forum", "上岸老周", "债务重组案例分享（附联系方式）", "张女士负债47万，通过我们债务重组，利息全免，分期五年。有需要的加薇：shangan_lz88"},
	{"东湖日报", "news", "法治组", "警方打掉一个“停息挂账”诈骗团伙", "记者从警方获悉，该团伙以“停息挂账”“全额退保”为名收取高额服务费，涉案金额三千余万元，18名犯罪嫌疑人被刑事拘留。"},
	{"东湖日报", "news", "财经组", "起底“反催收联盟”：教程卖到上千元", "记者调查发现，所谓反催收教程多为网络拼凑，交钱之后维权无门，监管部门已介入。"},
	{"金融局公告", "official", "防非办", "关于防范“代理退保”风险的提示", "近期有不法分子以“全额退保”为诱饵骗取个人信息。请消费者提高警惕，通过保险公司官方渠道办理，投诉请拨打12378。"},
	{"金融局公告", "official", "防非办", "警惕征信修复骗局", "征信领域不存在“征信修复”“铲单”等说法，凡收费代办的都是骗局，请勿上当，异议可向人民银行免费提出。"},
	{"朝阳论坛", "forum", "迷茫的小白", "有人办过停息挂账吗？靠谱吗", "信用卡逾期三个月了，网上有人说可以停息挂账要先交3000，是不是骗人的？有没有过来人说说。"},
	{"保险吐槽吧", "forum", "被坑的老赵", "退保被骗了两万，求助", "之前找代理退保的，交了服务费人就拉黑我了，现在该去哪里投诉？有没有一起维权的。"},
	{"问问律师", "qa", "陈律师", "信用卡逾期如何与银行协商？", "根据商业银行信用卡业务监督管理办法第七十条，持卡人可直接与银行协商个性化分期，无需委托第三方，也不收费。"},
	{"问问律师", "qa", "路过的法学生", "逃废债要承担什么责任", "恶意转移财产规避执行，情节严重的可能构成拒不执行判决、裁定罪，债权人可以申请撤销。"},
	{"贷友之家", "forum", "银行客户部", "个人消费贷款产品介绍", "本行持牌经营，年化利率3.6%起，线上申请，不委托任何中介，不收取任何前期费用，客服95500。"},
	{"星河社区", "social", "搬砖日记", "", "今天又被催收打了八个电话，真想有个停息挂账的按钮啊哈哈，慢慢还吧。"},
	{"同城分类", "classified", "家纺厂直销", "全棉四件套厂家直销", "纯棉四件套 60 支长绒棉，床单被套枕套，亏本清仓 199 包邮。电话 19900007788"},
	{"同城分类", "classified", "阳光财务", "代理记账 工商注册", "小规模每月200，一般纳税人400，注册公司免费核名，证照齐全。电话 19900006655"},
}

// seedRecords classifies the seeds and spreads them over the last weeks.
func seedRecords(t testing.TB) []index.Record {
	t.Helper()
	c, err := classifier()
	if err != nil {
		t.Fatalf("loading the dictionaries: %v", err)
	}
	var out []index.Record
	for i, s := range seeds {
		at := clock.Add(-time.Duration(i*i%523) * time.Hour)
		p := post.Post{ID: post.NewID(s.source, fmt.Sprint(i)), Source: s.source, SourceType: s.kind, Kind: post.KindPost,
			URL: fmt.Sprintf("https://bbs%d.example/t/%d", len(s.source), 10000+i), Title: s.title, Text: s.text,
			Author:      post.Author{ID: fmt.Sprintf("u%04d", len(s.author)*37), Name: s.author, URL: "https://bbs.example/u/" + fmt.Sprint(i)},
			PublishedAt: at.Add(-2 * time.Hour), FetchedAt: at, Region: []string{"广东", "四川", "江苏"}[i%3],
			Archive: post.Archive{File: "archive/2026/11/qingyuan-0007.warc.gz", RecordID: fmt.Sprintf("urn:uuid:00000000-0000-4000-8000-%012d", i), SHA256: strings.Repeat("ab12", 16)}}
		v, err := c.Classify(p)
		if err != nil {
			t.Fatalf("classifying seed %d: %v", i, err)
		}
		r := index.Record{Post: p, Verdict: v, FirstSeen: at, LastSeen: at.Add(time.Hour), IngestedAt: at}
		if s.author == "上岸老周" || i == 2 {
			r.Campaign = index.Campaign{ID: "cmp-shangan", Size: 4, FirstSeen: at}
		}
		out = append(out, r)
	}
	return out
}

// openStore is a real store in a folder of the test.
func openStore(t testing.TB) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "index.db"), Normalize: classify.Normalize, Now: func() time.Time { return clock }})
	if err != nil {
		t.Fatalf("opening the store: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func put(t testing.TB, s index.Store, recs ...index.Record) {
	t.Helper()
	if err := s.Put(t.Context(), recs); err != nil {
		t.Fatalf("putting records: %v", err)
	}
}

// seeded is a store with all seeds, one of them edited since, and some decided.
func seeded(t testing.TB) *sqlite.Store {
	t.Helper()
	s := openStore(t)
	recs := seedRecords(t)
	put(t, s, recs...)
	edited := recs[0]
	edited.Post.Text = strings.Replace(edited.Post.Text, "最长60期", "最长 72 期，当天出方案", 1)
	edited.Post.FetchedAt = edited.Post.FetchedAt.Add(30 * time.Minute)
	c, _ := classifier()
	var err error
	if edited.Verdict, err = c.Classify(edited.Post); err != nil {
		t.Fatal(err)
	}
	put(t, s, edited)
	decide := func(i int, c index.TriageChange) {
		rec, err := s.Get(t.Context(), recs[i].Post.ID)
		if err == nil {
			_, err = s.Triage(t.Context(), rec.Post.ID, rec.Triage.Version, c)
		}
		if err != nil {
			t.Fatalf("deciding seed %d: %v", i, err)
		}
	}
	mei, bo := "mei", "bo"
	decide(0, index.TriageChange{Actor: "mei", Status: index.StatusReviewing, Assignee: &mei, AddTags: []string{"团伙A", "高频"}, Comment: "与同城分类那条是同一个微信号，先并看。", RequestID: "act:s1"})
	decide(1, index.TriageChange{Actor: "bo", Status: index.StatusConfirmed, Assignee: &bo, RequestID: "act:s2"})
	decide(5, index.TriageChange{Actor: "bo", Status: index.StatusHandedOver, Assignee: &bo, Comment: "已并入 11 月线索包", RequestID: "act:s3"})
	decide(8, index.TriageChange{Actor: "mei", Status: index.StatusReturned, RequestID: "act:s4"})
	decide(38, index.TriageChange{Actor: "mei", Status: index.StatusDismissed, Reason: "homograph", RequestID: "act:s5"})
	decide(28, index.TriageChange{Actor: "mei", Status: index.StatusDismissed, Reason: "quoted_news", RequestID: "act:s6"})
	return s
}

func newServer(t testing.TB, s index.Store, change func(*Options)) *Server {
	t.Helper()
	d, err := classify.LoadDictionary(dictionaries.FS)
	if err != nil {
		t.Fatalf("loading the dictionaries: %v", err)
	}
	opts := Options{Store: s, Categories: d.Categories, Now: func() time.Time { return clock }}
	if change != nil {
		change(&opts)
	}
	server, err := New(opts)
	if err != nil {
		t.Fatalf("making the server: %v", err)
	}
	return server
}
