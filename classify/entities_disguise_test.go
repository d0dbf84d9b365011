package classify

import (
	"strings"
	"testing"

	"qingyuan/post"
)

// contactsOf lists the contacts found in text as type=value.
func contactsOf(t *testing.T, c *Classifier, text string) string {
	t.Helper()
	v, err := c.Classify(post.Post{Text: text})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range v.Entities {
		if (IsContact(e.Type) || e.Type == EntityBankCard) && !e.Official {
			got = append(got, e.Type+"="+e.Value)
		}
	}
	return strings.Join(got, " ")
}

// disguisedContacts are made up; each line is one way to write an account.
var disguisedContacts = map[string]string{
	// the platform's name
	"加薇:qiao_fen9":              "wechat=qiao_fen9",
	"佳伟 qiaofen9 细聊":            "wechat=qiaofen9",
	"微/信 qiaofen9":              "wechat=qiaofen9",
	"🛰️qiaofen9":                "wechat=qiaofen9",
	"Q.Q 80120034":              "qq=80120034",
	"🐧80120034":                 "qq=80120034",
	"企鹅号 80120034":              "qq=80120034",
	"q裙 700120034":              "qq_group=700120034",
	"君羊 700120034":              "qq_group=700120034",
	"灰机 qiao_fen9":              "telegram=qiao_fen9",
	"飞机上找qiao_fen9，秒回":          "telegram=qiao_fen9",
	"TG联系：qiaofen":              "telegram=qiaofen",
	"WhatsApp +852 6120 0034":   "whatsapp=85261200034",
	"围脖 @qiao_fen9":             "weibo=qiao_fen9",
	"斗音号：qiao_fen9":             "douyin=qiao_fen9",
	"小红薯5120034077":             "xiaohongshu=5120034077",
	"薯号5120034077是我":            "xiaohongshu=5120034077",
	"支付宝账号 qiaofen@example.org": "alipay=qiaofen@example.org",
	"支付宝 13800120034":           "alipay=13800120034",
	// named afterwards
	"qiaofen9 微":      "wechat=qiaofen9",
	"80120034（扣扣）":    "qq=80120034",
	"700120034（Q群）":   "qq_group=700120034",
	"找qiao_fen9，飞机上的": "telegram=qiao_fen9",
	// characters
	"微信 q i a o f e n 9":      "wechat=qiaofen9",
	"微信 q+i+a+o+f+e+n+9":      "wechat=qiaofen9",
	"微信 qiao*fen*99":          "wechat=qiaofen99",
	"vx：qiaofen九九":            "wechat=qiaofen99",
	"薇信ｑｉａｏｆｅｎ９":              "wechat=qiaofen9",
	"电话1+3+8+0+0+1+2+0+0+3+4": "phone=13800120034",
	"电话幺三八洞洞幺两洞洞三四":           "phone=13800120034",
	"电话138💰0012💰0034":         "phone=13800120034",
	"办身份证13800120034":         "phone=13800120034",
	"T+0 13800120034":         "phone=13800120034",
	"13800120034/13900120034": "phone=13800120034 phone=13900120034",
	"马三13800120034":           "phone=13800120034",
	"进群问价820034077 群主在":       "qq_group=820034077",
	"征信修复，qf贰壹⑧，随时":           "wechat=qf218",
	"都能做 bzqm_208 下班回":        "wechat=bzqm_208",
	"走闲鱼，Q80120034":           "qq=80120034",
	"快手：qiaofen9 抖音：qiaofen8": "douyin=qiaofen8",
	"飞:qf_s9":                 "telegram=qf_s9",
	"老魏 13800120034":          "phone=13800120034",
	"群主老高80120034 专业办征信修复":    "qq=80120034",
	// read backwards and upside down
	"电话倒过来拨 43002100831":   "phone=13800120034",
	"微信 9nefoaiq（倒着念）":     "wechat=qiaofen9",
	"扣扣43002108，反着念":       "qq=80120034",
	"群号066199，手机倒过来看":      "qq_group=661990",
	"征信修复 倒着看，企鹅号80120034": "qq=80120034",
	"➕🛰️ 88uɐʞᴉɐp":         "wechat=daikan88",
	"薇 ʞo‾oɐᴉb":            "wechat=qiao_ok",
	// mail and links
	"邮箱 qiaofen艾特example点com":   "email=qiaofen@example.com",
	"qiaofen#example.com":       "email=qiaofen@example.com",
	"qiaofen @ example.com":     "email=qiaofen@example.com",
	"打开 qiaofen-dai点com 申请":     "url=qiaofen-dai.com",
	"打开 www.qiaofen.example 申请": "url=qiaofen.example",
	// nothing announces it
	"收到回复再付款，要的我推：qiaofen_9，备注贴子": "wechat=qiaofen_9",
	"方法不复杂。qiaofen-gh88 征信修复":     "wechat=qiaofen-gh88",
	"征信修复，逾期也能洗，qfzhuan":          "wechat=qfzhuan",
	"征信修复，逾期也能洗，qf886":            "wechat=qf886",
	"征信修复，逾期也能洗，2120034077":       "qq=2120034077",
	"征信修复，逾期也能洗，2120034077有老师带":   "qq=2120034077",
	"征信修复交流，进群88，820034077":       "qq_group=820034077",
	"征信修复 30U起 qiao_fen9":         "telegram=qiao_fen9",
	"用你的卡收款，@qiao_fen9 报暗号":       "telegram=qiao_fen9",
	"我 @qiao_fen9 专做//@某某:想退":     "weibo=qiao_fen9",
	"征信修复，官方机器人 qiaofen_bot":      "telegram=qiaofen_bot",
	// one number for both is listed once, as the phone it is
	"13800120034微信同号":   "phone=13800120034",
	"13800120034（V同）":   "phone=13800120034",
	"微信电话同步13800120034": "phone=13800120034",
}

func TestContactsInDisguise(t *testing.T) {
	c := builtin(t)
	for text, want := range disguisedContacts {
		if got := contactsOf(t, c, text); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

// What looks like an account and is none.
func TestNoContacts(t *testing.T) {
	c := builtin(t)
	for _, text := range []string{
		"订单编号 2120034077，征信修复",
		"征信修复，快递单号：2120034077",
		"运单号13800120034",
		"身份证号110101199003070033",
		"征信修复，截至20240615",
		"征信修复 12378 12315",
		"征信修复，一单提成4000-20000",
		"车牌粤B12345，刮了一下",
		"型号 rtx4090，征信修复",
		"征信修复，手机换了iphone15",
		"征信修复，还能用python3",
		"变量名是max_size，这里报错",
		"调用 get_user_name，返回空",
		"文件叫report_2023",
		"加 oil 加油",
		"找 windows 的教程",
		"问了客服 hello",
		"征信修复，做了五年，sixin",
		"#qiaofen88# 话题",
		"@张三 你看看这个",
		"3点com后",
		"我看的是第5点。cc一下",
		"投诉请打12378",
		"全额退保，huabei",
		"微信零钱通，一一对应",
		"大卫星空 2024",
		"公司群里有人发了2024年的表",
		"短信微信都行",
		"小米科技顾问 android 系统",
		"支付宝 余额宝 taobao",
		"今天红薯3斤12345克",
		"倒过来看就懂了",
		"签合同 100000元",
		"信用卡6222020200112230123尾号不对",
	} {
		if got := contactsOf(t, c, text); got != "" {
			t.Errorf("%s: got %q, want none", text, got)
		}
	}
}
