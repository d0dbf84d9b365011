package classify

import (
	"strings"
	"testing"

	"qingyuan/post"
)

func TestEntities(t *testing.T) {
	c := builtin(t)
	for text, want := range map[string]string{
		"加微信 lvan_8866":  "wechat=lvan_8866",
		"➕v：lvan8866 了解": "wechat=lvan8866",
		"薇❤abc123聊":      "wechat=abc123",
		"V信号:Ab_C123":    "wechat=ab_c123",
		"微信13800001234":  "wechat=13800001234",
		"联系13800001234":  "phone=13800001234",
		"电话①③⑧⓪⓪⓪⓪①②③④":  "phone=13800001234",
		"一三八零零零零一二三四找我":  "phone=13800001234",
		"幺三八洞洞洞洞幺两三四":    "phone=13800001234",
		"138-0000_1234":  "phone=13800001234",
		"1️⃣3️⃣8️⃣0️⃣0️⃣0️⃣0️⃣1️⃣2️⃣3️⃣4️⃣": "phone=13800001234",
		"+86 138 0000 1234":         "phone=13800001234",
		"电话13800001234刘主管":          "phone=13800001234",
		"QQ 12345678":               "qq=12345678",
		"扣扣八零零一二三四五":                "qq=80012345",
		"群号700012345进群":             "qq_group=700012345",
		"飞机 @money_bao":             "telegram=money_bao",
		"https://t.me/money_bao":    "telegram=money_bao",
		"邮箱 help@example.org":       "email=help@example.org",
		"见 www.example.com/a?b=1 页": "url=example.com/a?b=1",
		"利率百分之八":                    "percent=八%",
		"收8个点":                      "percent=8%",
		"最高20w":                     "amount=20万",
		"征信修复 huifu_zx":             "wechat=huifu_zx",
		"TG @hideasset":             "telegram=hideasset",
		"tg kakaduo":                "telegram=kakaduo",
		"懂的加QQ72019934":             "qq=72019934",
		"电子版一本，加29013387":           "qq=29013387",
		"公积金提取，66502310 QQ":         "qq=66502310",
		"微信辅助注册 wx_zhuce":           "wechat=wx_zhuce",
		"服务热线400-822-3019":          "phone=4008223019",
		// and what must not be taken for a contact
		"订单编号 20240615，请查收": "",
		"运单号13800001234":    "",
		"今天是2024年06月15日":    "",
		"型号 rtx4090 显卡":     "",
		"请拨打95588":          "!phone=95588",
		"报警电话110":           "!phone=110",
		"投诉热线12378":         "!phone=12378",
		"花了110元":            "amount=110元",
		"参加活动":              "",
		"我是一个人，在一九九八年":      "",
		"加油站旁边":             "",
	} {
		v, err := c.Classify(post.Post{Text: text})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range v.Entities {
			s := e.Type + "=" + e.Value
			if e.Official {
				s = "!" + s
			}
			got = append(got, s)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %v, want %q", text, got, want)
		}
	}
}

func TestLuhn(t *testing.T) {
	for d, want := range map[string]bool{"4111111111111111": true, "4111111111111112": false, "6222020000000000009": luhn("6222020000000000009")} {
		if got := luhn(d); got != want {
			t.Errorf("luhn(%s) = %v", d, got)
		}
	}
}
