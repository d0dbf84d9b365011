package crawler

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxBlockRunes is the largest visible text of a page that is still taken for
// a refusal or a notice; pages with content are longer.
const maxBlockRunes = 1500

var (
	// blockTexts are what sites say when they refuse a crawler with status 200.
	blockTexts = []string{
		"频繁刷新限制", "页面重载开启", "访问过于频繁", "访问太频繁", "操作过于频繁", "操作太频繁", "请求过于频繁", "请求太频繁", "访问频率过高", "访问次数过多",
		"人机验证", "安全验证", "百度安全验证", "请完成验证", "完成验证后即可", "请输入验证码", "需要您协助验证", "请进行验证", "拖动滑块", "滑动验证", "点击按钮进行验证",
		"当前环境异常", "访问环境异常", "您的访问出错了", "访问被拒绝", "访问受限", "网络环境存在异常", "系统检测到您的", "您的IP", "IP已被", "IP 已被", "已被防火墙拦截", "网站防火墙", "请求存在威胁",
		"正在检查您的浏览器", "浏览器安全检查", "Sina Visitor System", "请开启JavaScript并刷新", "请启用JavaScript",
		"Just a moment...", "Checking your browser", "Attention Required!", "Access Denied", "Enable JavaScript and cookies to continue", "Too Many Requests", "captcha",
		"请先登录后", "请登录后查看", "登录后才能", "您需要登录才可以", "需要登录后才能", "没有登录，请登录后", "您所在的用户组", "抱歉，您没有权限访问",
	}
	// goneTexts are what sites say when the thing asked for is no more.
	goneTexts = []string{
		"指定的主题不存在", "主题不存在或已被删除", "指定的帖子不存在", "该贴已被删除", "该帖已被删除", "该帖子已被删除", "该贴子已被删除", "贴子不存在", "帖子不存在", "帖子已被删除",
		"链接已过期", "该内容已被发布者删除", "此内容因违规无法查看", "此内容被投诉", "内容已被删除", "该内容不存在", "文章已被删除", "文章不存在", "该文章已", "微博不存在", "该微博已被", "该公众号已",
		"页面不存在", "页面找不到", "找不到该页", "您访问的页面", "你访问的页面", "你要找的页面", "您要查看的页面", "信息已过期", "信息已删除", "该信息已", "404 Not Found", "Page not found",
	}
	reSumChallenge = regexp.MustCompile(`^\s*\d{1,3}(?:\s*[+×x*-]\s*\d{1,3})+\s*=\s*\?`)
)

// builtinBlock returns why a page without posts looks like a refusal, or "".
func builtinBlock(title, text string) string {
	if utf8.RuneCountInString(text) > maxBlockRunes {
		return ""
	}
	if reSumChallenge.MatchString(title) || reSumChallenge.MatchString(text) {
		return "page asks for a sum"
	}
	return contained(text, blockTexts)
}

// builtinGone returns why a page without posts looks like a notice that the
// thread is gone, or "".
func builtinGone(title, text string) string {
	if utf8.RuneCountInString(text) > maxBlockRunes {
		return ""
	}
	return contained(text, goneTexts)
}

func contained(text string, marks []string) string {
	for _, m := range marks {
		if strings.Contains(text, m) {
			return "page says " + m
		}
	}
	return ""
}
