package crawler

import (
	"fmt"
	"strings"
	"time"
)

// header is what a new config says of itself, for whoever opens it.
func (d *drafter) header(kit string) string {
	day := time.Now().Format(time.DateOnly)
	var lines []string
	if d.opts.Language == "en" {
		lines = []string{
			fmt.Sprintf("Made by qingyuan site new from %s on %s.", d.page.URL, day),
			"Page rules of the kit " + kit + ".",
			"Look at what it reads (qingyuan site test FILE PAGE), then set title, seeds and delay.",
		}
		if kit == "" {
			lines[1] = "No kit fits: the selectors are guessed from what repeats on the page. Check each by eye."
		}
	} else {
		lines = []string{
			fmt.Sprintf("由 qingyuan site new 根据 %s 生成（%s）。", d.page.URL, day),
			"页面规则取自套件 " + kit + "。",
			"请先用 qingyuan site test 文件 页面 查看提取结果，再核对 title、seeds 和 delay。",
		}
		if kit == "" {
			lines[1] = "没有合适的套件：选择器根据页面上重复出现的结构推测，请逐项核对。"
		}
	}
	var b strings.Builder
	for _, l := range lines {
		b.WriteString("# " + printable(l) + "\n")
	}
	return b.String()
}

// remarks stand behind the keys of a new config, Chinese and English.
var remarks = map[string][2]string{
	"title":         {"显示给人看的名称", "shown to people"},
	"hosts":         {"只抓取这些主机；站点若还用别的域名，请补上", "nothing else is fetched; add other names of the site"},
	"seeds":         {"每轮从这里开始：列出要看的版块", "every pass starts here: list the boards to watch"},
	"delay":         {"同一主机两次请求的最短间隔", "least time between two requests to a host"},
	"allow_private": {"仅用于实验环境", "labs only"},
	"list":          {"列表页：只取链接和摘要", "lists: links and rows only"},
	"thread":        {"帖子页：主帖和回复", "threads: the opening post and its replies"},
	"article":       {"文章页：整页一篇", "articles: one a page"},
	"expect":        {"正常时每页应有的数量和字段（百分比），低于此值会告警", "what pages yield when all is well; below it an alarm is raised"},
}

func (d *drafter) remark(key string) string {
	r, ok := remarks[key]
	if !ok {
		return ""
	}
	if d.opts.Language == "en" {
		return " # " + r[1]
	}
	return " # " + r[0]
}
