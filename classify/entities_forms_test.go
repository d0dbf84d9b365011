package classify

import "testing"

// contactForms are the ways to write one contact each, after a clause that says
// what is offered.
var contactForms = map[string][]string{
	"phone=16120749836": {
		"l6120749836", "I6I20749836", "16l2O749836", "1 6 1 2 0 7 4 9 8 3 6", "一六幺二零七四九八三六", "壹⑥1贰O柒④九八叁六",
		"161丶2074丶9836", "161，2074，9836", "161😊2074😊9836", "161.2074.9836", "16120七49836", "①6120749836",
		"⑴⑹⑴⑵⓪⑺⑷⑼⑻⑶⑹", "❶❻❶❷⓿❼❹❾❽❸❻", "㈠㈥㈠㈡〇㈦㈣㈨㈧㈢㈥", "161[2074]9836", "161【2074】9836", "161（2074）9836",
		"161~2074~9836", "161🔥2074🔥9836", "一陆一贰零柒肆玖捌叁陆", "幺溜幺二洞拐四勾八三溜", "１６１２０７４９８３６", "1６1２0７4９8３6",
		"161二零七四9836", "161 二零七四 9836", "一六一/二零七四/九八三六", "一六一、二零七四、九八三六", "一六一，二零七四，九八三六", "一 六 一 二 零 七 四 九 八 三 六",
		"𝟏𝟔𝟏𝟐𝟎𝟕𝟒𝟗𝟖𝟑𝟔", "1-6-1-2-0-7-4-9-8-3-6", "1、6、1、2、0、7、4、9、8、3、6", "161贰O749⑧36", "电话㊀㊅㊀㊁〇㊆㊃㊈㊇㊂㊅",
		"161*2074*9836", "16120749836。", "tel:16120749836", "Tel16120749836", "手机16120749836（微信同号）",
		"V/电16120749836", "电话微信16120749836", "微信电话16120749836", "电/微：16120749836", "微信同号：16120749836",
		"微信手机同号16120749836", "手机微信同号16120749836", "电话（微信同号）：16120749836", "V电同号16120749836", "16120749836 加v同号",
		"+8616120749836", "0086 16120749836", "63894702161（倒着拨）", "号码反着打：63894702161", "63894702161 从后往前念",
		"号码要从后面往前读 63894702161", "手机号逆序63894702161", "161 2074 98 36", "161207 49836", "1612 0749 836",
		"一六一2074九八三六",
	},
	"qq=2938475610": {
		"2938475610", "找周姐2938475610领材料", "扣2938475610", "抠抠：2938475610", "叩叩2938475610", "寇2938475610",
		"Q：2938475610", "Q号2938475610", "QQ联系2938475610", "QQ是2938475610", "QQ同步2938475610", "企鹅2938475610",
		"小企鹅2938475610", "🐧：2938475610", "鹅2938475610", "鹅厂号2938475610", "扣贰⑨38肆7五61零", "qq②⑨③⑧④⑦⑤⑥①⓪",
		"二九三八四七五六一零扣", "加球2938475610", "球球2938475610", "秋秋2938475610", "丘丘2938475610", "Q ②9③8④7⑤6①0",
		"2 9 3 8 4 7 5 6 1 0 扣", "Q2.9.3.8.4.7.5.6.1.0", "口口2938475610", "冋冋2938475610", "Ｑ2938475610",
		"🅠2938475610", "QＱ29 3847 5610", "293-847-5610（QQ）", "0165748392（扣扣，倒着加）", "扣扣反向0165748392",
		"Q2938475610同微", "q扣2938475610", "扌口2938475610",
	},
	"qq_group=738495061": {
		"QQ群738495061", "Q群：738495061", "群号738495061", "扣扣群：738495061", "企鹅群738495061", "🐧群738495061",
		"加群738495061", "进群：738495061", "学习群 738495061", "交流群：738495061 备注城市", "互助裙738495061", "裙738495061",
		"群②：738495061", "q君羊738495061", "七三八四九五零六一，进群领资料", "qun 738495061", "扣裙⑦③⑧④⑨⑤⓪⑥①", "群 七叁8④玖五〇六一",
		"入群738495061", "群: 738 495 061", "群聊738495061", "2群738495061（1群满）", "企鹅裙搜738495061", "搜群738495061",
		"群里见738495061", "q q 群 738495061", "QQ交流群738495061", "738495061（Q群）", "讨论组738495061",
	},
	"telegram=lvzhou_pay": {
		"TG：lvzhou_pay", "tg@lvzhou_pay", "t.me/lvzhou_pay", "https://t.me/lvzhou_pay", "电报 lvzhou_pay",
		"电bao lvzhou_pay", "飞机号lvzhou_pay", "小飞机 lvzhou_pay", "纸飞机：@lvzhou_pay", "飞机@ lvzhou_pay", "✈️lvzhou_pay",
		"🛩️ lvzhou_pay", "飞鸡lvzhou_pay", "telegram搜 lvzhou_pay", "Telegram频道 lvzhou_pay", "T G lvzhou_pay",
		"T/G：lvzhou_pay", "@lvzhou_pay", "lvzhou_pay（飞机）", "lvzhou_pay TG", "飞 机 lvzhou_pay", "飞_机：lvzhou_pay",
		"土电报 lvzhou_pay", "t:lvzhou_pay", "TG频道@lvzhou_pay", "飞机联系 @lvzhou_pay", "联系飞机：lvzhou_pay",
		"тg lvzhou_pay", "ｔｇ：ｌｖｚｈｏｕ＿ｐａｙ", "纸Fei机 lvzhou_pay", "蓝色飞机lvzhou_pay", "yap_uohzvl 飞机倒着搜",
	},
	"wechat=lvzhou88pay": {
		"微信lvzhou88pay", "VX:lvzhou88pay", "v❤️lvzhou88pay", "V➕lvzhou88pay", "➕V：lvzhou88pay", "加V lvzhou88pay",
		"+薇 lvzhou88pay", "薇❤lvzhou88pay", "威❤：lvzhou88pay", "卫星号lvzhou88pay", "绿泡泡 lvzhou88pay", "🟢 lvzhou88pay",
		"💚lvzhou88pay", "绿色图标lvzhou88pay", "绿书 lvzhou88pay", "wei心lvzhou88pay", "W❤lvzhou88pay", "v芯lvzhou88pay",
		"微：lvzhou88pay", "咨询lvzhou88pay", "详询 lvzhou88pay", "助理号 lvzhou88pay", "lvzhou88pay", "lvzhou88pay（微）",
		"lvzhou88pay 备注来意", "发暗号到lvzhou88pay", "伽 lvzhou88pay", "佳V lvzhou88pay", "嘉微lvzhou88pay", "茄威lvzhou88pay",
		"薇 lvzhou捌捌pay", "薇 lvzhou⑧⑧pay", "薇 l.v.z.h.o.u.8.8.p.a.y", "微信：lvzhou八八pay", "yap88uohzvl 薇，倒着加",
		"微信号倒过来 yap88uohzvl", "维信lvzhou88pay", "徽 lvzhou88pay", "溦信lvzhou88pay", "wx号lvzhou88pay",
		"V号 lvzhou88pay", "薇号：lvzhou88pay", "微❤号lvzhou88pay", "v-x：lvzhou88pay", "W.X lvzhou88pay",
		"亻言lvzhou88pay", "彳散信lvzhou88pay", "扫码或加lvzhou88pay", "私我lvzhou88pay", "找小周lvzhou88pay", "滴lvzhou88pay",
		"戳lvzhou88pay", "📲lvzhou88pay", "wechat id：lvzhou88pay", "WeChat lvzhou88pay", "VX同号lvzhou88pay",
	},
	"douyin=lvzhou88pay": {
		"抖音号lvzhou88pay", "抖音：lvzhou88pay", "抖音搜lvzhou88pay", "某音lvzhou88pay", "dy：lvzhou88pay", "DY号lvzhou88pay",
		"抖 lvzhou88pay", "抖y lvzhou88pay", "斗音 lvzhou88pay", "抖音主页lvzhou88pay", "抖音直播间 lvzhou88pay",
		"douyin lvzhou88pay", "音符 lvzhou88pay",
	},
	"xiaohongshu=lvzhou88pay": {
		"小红书号：lvzhou88pay", "小红书搜lvzhou88pay", "小红薯 lvzhou88pay", "小薯 lvzhou88pay", "xhs：lvzhou88pay",
		"小某薯 lvzhou88pay", "🍠lvzhou88pay", "小红S lvzhou88pay", "红薯号lvzhou88pay", "小地瓜 lvzhou88pay",
		"小hong书 lvzhou88pay",
	},
	"weibo=绿洲上岸记": {
		"微博@绿洲上岸记", "微博：绿洲上岸记", "微博 绿洲上岸记，私信", "围脖@绿洲上岸记", "微博搜 绿洲上岸记", "关注@绿洲上岸记 领资料", "微博“绿洲上岸记”", "微博账号：绿洲上岸记",
		"私信 @绿洲上岸记 领表", "@绿洲上岸记 私信我", "更多看 @绿洲上岸记 置顶",
	},
	"email=lvzhou@pay.example": {
		"邮箱lvzhou@pay.example", "lvzhou艾特pay点example", "lvzhou(at)pay.example", "lvzhou#pay.example",
		"lvzhou 艾特 pay.example", "发简历到lvzhou@pay。example", "lvzhou[at]pay[dot]example", "lvzhou圈a pay.example",
	},
	"url=lvzhou-pay.example": {
		"lvzhou-pay.example", "http://lvzhou-pay.example/", "www.lvzhou-pay.example", "打开lvzhou-pay。example",
		"lvzhou-pay点example", "hxxps://lvzhou-pay[.]example", "lvzhou-pay·example",
	},
	"whatsapp=85268803342": {
		"WhatsApp +852 6880 3342", "whatsapp：85268803342", "ws +85268803342", "wa.me/85268803342",
		"WA：+852-6880-3342",
	},
	"alipay=16120749836": {
		"支付宝16120749836", "支付宝账号：16120749836", "zfb 16120749836", "转支付宝 16120749836",
	},
}

func TestContactForms(t *testing.T) {
	c := builtin(t)
	for want, forms := range contactForms {
		for _, form := range forms {
			text := "网贷停息分期，" + form
			if got := contactsOf(t, c, text); got != want {
				t.Errorf("%s: got %q, want %q", text, got, want)
			}
		}
	}
}

// A number of ten digits and a name to ask for need no subject to be contacts.
func TestContactsOutsideOurSubjects(t *testing.T) {
	c := builtin(t)
	for text, want := range map[string]string{
		"成功率高！2938475610":            "qq=2938475610",
		"当天出结果，找周姐2938475610领材料":     "qq=2938475610",
		"长期有效，lvzhou88pay 备注来意":      "wechat=lvzhou88pay",
		"长期有效，找小周lvzhou88pay":        "wechat=lvzhou88pay",
		"长期有效，滴lvzhou88pay":          "wechat=lvzhou88pay",
		"每天更新。微博:绿洲聊退费,私信领":          "weibo=绿洲聊退费",
		"电话同号微信13800120034":          "phone=13800120034",
		"热线（同微）13800120034 徐经理":      "phone=13800120034",
		"骗子的号是80120xxxx，扣扣80120xxxx": "",
		"V➕xiao8866": "wechat=xiao8866",
	} {
		if got := contactsOf(t, c, text); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}
