package classify

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// samplePosts is a mix of about 200 short posts as forums and social sites
// show them: small talk, questions, news, warnings, advertising, disguise.
func samplePosts() []string {
	plain := []string{
		"今天下班路上堵了一个半小时，地铁也挤不上去，到家都快九点了，随便煮了碗面。",
		"有没有人知道{area}哪家牙科靠谱？孩子换牙有点歪，想先去看看，价格别太离谱就行。",
		"房东说下个月涨三百块房租，大家觉得{area}这个价位合理吗？一室一厅，离地铁十分钟。",
		"昨晚的球赛看得我心脏病都要犯了，最后三分钟连进两个，{n}块的啤酒没白买。",
		"求推荐适合新手的相机，预算{n}左右，主要拍孩子和风景，二手也可以考虑。",
		"信用卡逾期两个月了，银行天天打电话，我想协商分期还款，该怎么跟客服说才好？",
		"去年投资失败欠了{n}万，现在工资只够还利息，有过类似经历的朋友能说说怎么走出来的吗？",
		"{area}警方提醒：网上声称可以修复征信的多为骗局，请勿轻信陌生电话和短信，谨防上当。",
		"法院日前公开审理一起贷款诈骗案，三名被告人伪造流水骗取银行贷款共计{n}万元。",
		"银保监部门发布风险提示：警惕以代理退保为名收取高额手续费，维护自身合法权益。",
		"公司年会抽奖抽到一台空气炸锅，同事们都让我请客，{n}块的外卖就这么没了，哈哈。",
		"手续费另加，微信支付按0.1%收取，发票下周统一寄出，有问题请在工作日联系前台。",
		"今年参加微信息化培训的同学请于{n}号前签到，教室在三楼东侧，带好笔记本电脑。",
		"新买的车跑了{n}公里，油耗比宣传的高不少，4S店说磨合期过了就好，真的假的？",
		"我妈非要我相亲，对方条件还行，就是聊天总隔半天才回，大家说还要不要继续？",
		"{area}周末有什么适合带娃去的地方？公园都去腻了，博物馆要预约，求推荐。",
		"这部剧前面节奏挺好，后面编剧像换了人，主角突然降智，弃了，省下时间看书。",
		"请问公积金贷款提前还款需要预约吗？我看到说要提前一个月，窗口还是线上办理？",
	}
	ads := []string{
		"负债{n}万以上的看过来，专业停息挂账，协商分期60期，不成功不收费，加微信详聊。",
		"信用卡、网贷逾期还不上？反催收实战课程，一对一指导，名额有限，私信领取资料。",
		"征信花了也能下款，黑户白户都可以做，{area}本地公司，当天放款，联系vx138{n}。",
		"專業辦理債務重組，全國可做，先辦後付，需要的朋友加V信了解。",
		"高价收四件套，长期合作，{area}面交，日结，电话①③⑧{n}，非诚勿扰",
		"pos机套现秒到账，费率低至0.38，信用卡代还养卡，花呗白条都能出 ➕v信",
	}
	areas := []string{"城东", "开发区", "老城区", "滨江新区", "火车站附近", "大学城", "城南", "高新区"}
	out := make([]string, 0, 200)
	for i := range 200 {
		tpl := plain[i%len(plain)]
		if i%8 == 7 {
			tpl = ads[(i/8)%len(ads)]
		}
		s := strings.ReplaceAll(tpl, "{area}", areas[(i/3)%len(areas)])
		out = append(out, strings.ReplaceAll(s, "{n}", fmt.Sprint(20+i*37%900)))
	}
	return out
}

// sampleLexicon is a lexicon of n patterns: the terms of the trade first, then
// made-up combinations of its characters.
func sampleLexicon(n int) []pattern {
	out := make([]pattern, 0, n)
	seen := map[string]bool{}
	for _, p := range ownLexicon {
		p.ID = int32(len(out))
		if !seen[p.Text] {
			out = append(out, p)
		}
		seen[p.Text] = true
	}
	stock := []rune("债务贷款逾期征信流水套现催收退保银行卡对公户信用花呗白条公积金代办协商分期停息挂账黑白户包装背车抵房抵过桥垫资洗白铲单强开教程话术社群名额渠道内部放款秒批")
	rnd := rand.New(rand.NewPCG(1, 2))
	for len(out) < n {
		k := 2 + rnd.IntN(4)
		t := make([]rune, k)
		for i := range t {
			t[i] = stock[rnd.IntN(len(stock))]
		}
		if !seen[string(t)] {
			seen[string(t)] = true
			out = append(out, pattern{Text: string(t), ID: int32(len(out))})
		}
	}
	return out[:n]
}
