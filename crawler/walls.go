package crawler

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/andybalholm/cascadia"
	"golang.org/x/net/html"
)

// WallKind says what stands between us and a page.
type WallKind string

// The kinds of walls.
const (
	WallLogin     WallKind = "login"     // for members, or for members with more rights
	WallCaptcha   WallKind = "captcha"   // a person is to prove to be one
	WallChallenge WallKind = "challenge" // a script is to be run first, such as Cloudflare's
	WallLimit     WallKind = "limit"     // too many requests
	WallFirewall  WallKind = "firewall"  // a web application firewall
	WallRefused   WallKind = "refused"   // turned away without a reason
)

// WallKinds lists the kinds, as a site config may name them.
var WallKinds = [...]WallKind{WallLogin, WallCaptcha, WallChallenge, WallLimit, WallFirewall, WallRefused}

// WallRule is one entry of walls in a site config: how the site's own walls are
// told. Exactly one of Text, Select and URL is set.
type WallRule struct {
	Kind   WallKind `yaml:"kind"`   // one of WallKinds
	Text   string   `yaml:"text"`   // stands on the page, outside of posts and followed links
	Select string   `yaml:"select"` // CSS selector of what only the wall has
	URL    string   `yaml:"url"`    // RE2 on the URL that a page redirects to

	sel cascadia.Selector
	url *regexp.Regexp
}

// maxBlockRunes is the largest visible text of a page that is still taken for
// a refusal or a notice; pages with content are longer. What stands in the box
// of a notice counts whatever the page's length.
const maxBlockRunes = 1500

// wallTexts are what sites say when they refuse a crawler with status 200, in
// the order in which they are looked for.
var wallTexts = []struct {
	kind  WallKind
	texts []string
}{
	{WallLimit, []string{
		"频繁刷新限制", "访问过于频繁", "访问太频繁", "操作过于频繁", "操作太频繁", "请求过于频繁", "请求太频繁", "刷新过于频繁", "访问频率过高", "请求频率过高", "访问次数过多", "访问过快", "Too Many Requests", "Rate limit exceeded",
	}},
	{WallChallenge, []string{
		"页面重载开启", "正在检查您的浏览器", "浏览器安全检查", "Sina Visitor System", "请开启JavaScript并刷新", "请启用JavaScript", "正在进行安全检测", "Just a moment...", "Checking your browser", "Checking if the site connection is secure",
		"Attention Required!", "Enable JavaScript and cookies to continue", "Verifying you are human", "DDoS protection by",
	}},
	{WallCaptcha, []string{
		"人机验证", "安全验证", "请完成验证", "完成验证后即可", "请输入验证码", "输入图中的验证码", "需要您协助验证", "请进行验证", "拖动滑块", "滑动验证", "滑块验证", "点击按钮进行验证", "请按住滑块", "点选验证", "请依次点击", "captcha", "are you a robot", "I'm not a robot",
	}},
	{WallFirewall, []string{
		"已被防火墙拦截", "网站防火墙", "请求存在威胁", "您的请求带有不合法参数", "已被网站管理员设置拦截", "创宇盾", "云盾", "安全狗", "加速乐", "当前环境异常", "访问环境异常", "网络环境存在异常", "您的访问出错了", "访问被拒绝", "访问受限", "访问被阻断", "系统检测到您的", "您的IP", "IP已被", "IP 已被", "Access Denied", "Request blocked", "Web Application Firewall",
	}},
	{WallLogin, []string{
		"请先登录后", "请登录后查看", "登录后才能", "登录后可见", "请登录后继续", "您需要登录", "你需要登录", "您还没有登录", "您尚未登录", "需要先登录", "需要登录后才能", "没有登录，请登录后", "尚未登录", "您所在的用户组", "抱歉，您没有权限访问", "没有权限浏览", "您无权进行当前操作", "无权查看此内容",
		"You must be logged in", "You need to login", "You are not logged in", "not authorised to read this forum", "The board requires you to be registered", "do not have permission to view this page",
	}},
}

// wallTitles are whole titles, or their first part, that only walls have. They
// count also on pages that seem to hold something.
var wallTitles = map[string]WallKind{
	"安全验证": WallCaptcha, "百度安全验证": WallCaptcha, "人机验证": WallCaptcha, "验证码": WallCaptcha, "滑动验证页面": WallCaptcha, "滑动验证": WallCaptcha, "验证码中间页": WallCaptcha, "访问验证": WallCaptcha, "身份验证": WallCaptcha, "知乎 - 安全中心": WallCaptcha, "captcha": WallCaptcha, "security check": WallCaptcha, "robot check": WallCaptcha,
	"just a moment...": WallChallenge, "attention required!": WallChallenge, "请稍候…": WallChallenge, "请稍候...": WallChallenge, "页面重载开启": WallChallenge, "sina visitor system": WallChallenge, "ddos-guard": WallChallenge, "one moment, please...": WallChallenge, "正在检查您的浏览器": WallChallenge,
	"访问过于频繁": WallLimit, "频繁刷新限制": WallLimit, "429 too many requests": WallLimit, "too many requests": WallLimit,
	"网站防火墙": WallFirewall, "访问拦截": WallFirewall, "访问被拦截": WallFirewall, "access denied": WallFirewall, "403 forbidden": WallFirewall, "request rejected": WallFirewall, "405": WallFirewall,
	"用户登录": WallLogin, "登录页面": WallLogin, "请登录": WallLogin,
}

// wallSigns are parts that only walls have: ids and names that the makers of
// the walls chose.
var wallSigns = []struct {
	kind WallKind
	sel  cascadia.Selector
}{
	{WallChallenge, mustCompileSelector(`#challenge-form, #challenge-running, #cf-challenge-running, #challenge-error-title, #challenge-error-text, form[action*="__cf_chl"], #cf-please-wait, script[src*="/cdn-cgi/challenge-platform/h/"][src*="/orchestrate/"], #ddg-challenge`)},
	{WallCaptcha, mustCompileSelector(`#nocaptcha, #nc_1_wrapper, #captcha-verify-image, #captcha_container iframe, .passMod_slide-wrapper, #seccaptcha, form[action*="captcha"] img, form[action*="antispider"], #punish-component`)},
	{WallFirewall, mustCompileSelector(`#__jsl-waf, .safeline-main, #yundun-block, body#waf-block`)},
}

// noticeBoxes are where forum software puts a notice in place of a page.
var noticeBoxes = mustCompileSelector(`#messagetext, .alert_error, .alert_info, .alert_right, #message.panel, #message .inner, .p-body-content > .blockMessage, .p-body-pageContent > .blockMessage, .messageText, .page404, .error-msg, #errorText`)

var reSumChallenge = regexp.MustCompile(`^\s*\d{1,3}(?:\s*[+×x*-]\s*\d{1,3})+\s*=\s*\?`)

// wall is why a page is taken for a wall.
type wall struct {
	kind WallKind
	why  string
}

// ownWall looks for the walls that the site config knows. text is what is
// visible outside of posts and links.
func (x *extractor) ownWall(text string) (wall, bool) {
	for _, r := range x.src.Walls {
		switch {
		case r.sel != nil && x.root != nil && r.sel.MatchFirst(x.root) != nil:
			return wall{r.Kind, "page has css:" + r.Select}, true
		case r.Text != "" && strings.Contains(text, r.Text):
			return wall{r.Kind, "page says " + r.Text}, true
		}
	}
	if why := x.marked(x.src.blocked, text); why != "" {
		return wall{kindOf(why), why}, true
	}
	return wall{}, false
}

// wall looks for the walls that are known everywhere. found tells that there
// are posts, or links on a page of links.
func (x *extractor) wall(found bool, title, text string) (wall, bool) {
	if challenged(x.page.Header) {
		return wall{WallChallenge, "header cf-mitigated: challenge"}, true
	}
	if !found {
		return wallOf(x.root, title, text)
	}
	if !x.doubtful() {
		return wall{}, false
	}
	// What a page says that is taken whole for a post is in that post.
	if w, ok := wallByTitle(title); ok {
		return w, true
	}
	return wallBySign(x.root)
}

func challenged(h http.Header) bool { return strings.EqualFold(h.Get("Cf-Mitigated"), "challenge") }

// doubtful reports whether what was found could be the text of a wall: single
// posts that are whole pages and have neither author nor date.
func (x *extractor) doubtful() bool {
	if len(x.out.Posts) == 0 {
		return false
	}
	for _, p := range x.out.Posts {
		if !x.whole[p.ID] || p.Author.Name != "" || !p.PublishedAt.IsZero() {
			return false
		}
	}
	return true
}

// wallOf judges a page that holds nothing else.
func wallOf(root *html.Node, title, text string) (wall, bool) {
	if w, ok := wallBySign(root); ok {
		return w, true
	}
	if w, ok := wallByTitle(title); ok {
		return w, true
	}
	if box := noticeOf(root); box != "" {
		if w, ok := wallByText(box); ok {
			return w, true
		}
		if contained(box, goneTexts) != "" {
			return wall{}, false // what stands around the notice is on every page
		}
	}
	if utf8.RuneCountInString(text) > maxBlockRunes {
		return wall{}, false
	}
	if reSumChallenge.MatchString(title) || reSumChallenge.MatchString(text) {
		return wall{WallCaptcha, "page asks for a sum"}, true
	}
	return wallByText(reInvitation.ReplaceAllString(text, ""))
}

// reInvitation is what stands below every thread for visitors, and walls off
// nothing.
var reInvitation = regexp.MustCompile(`您?需要登录后才可以(?:回帖|回复|发帖|发表|评论|下载)\S{0,4}`)

func wallByText(text string) (wall, bool) {
	for _, w := range wallTexts {
		if why := contained(text, w.texts); why != "" {
			return wall{w.kind, why}, true
		}
	}
	return wall{}, false
}

// kindOf names the kind of a wall that a site config knows by its text only.
func kindOf(text string) WallKind {
	if w, ok := wallByText(text); ok {
		return w.kind
	}
	return WallRefused
}

func wallByTitle(title string) (wall, bool) {
	title = strings.ToLower(strings.TrimSpace(title))
	for _, t := range [...]string{title, firstPart(title)} {
		if kind, ok := wallTitles[t]; ok {
			return wall{kind, "title is " + t}, true
		}
	}
	return wall{}, false
}

// firstPart is a title without the site's name.
func firstPart(title string) string {
	if i := strings.IndexAny(title, "|_—–"); i >= 0 {
		title = title[:i]
	}
	if before, _, ok := strings.Cut(title, " - "); ok {
		title = before
	}
	return strings.TrimSpace(title)
}

func wallBySign(root *html.Node) (wall, bool) {
	if root == nil {
		return wall{}, false
	}
	for _, s := range wallSigns {
		if n := s.sel.MatchFirst(root); n != nil {
			return wall{s.kind, "page has <" + n.Data + " id=" + attr(n, "id") + ">, as walls do"}, true
		}
	}
	return wall{}, false
}

// noticeOf is the text of the notice that stands in place of a page, or "".
func noticeOf(root *html.Node) string {
	if root == nil {
		return ""
	}
	n := noticeBoxes.MatchFirst(root)
	if n == nil {
		return ""
	}
	if text := nodeText(n, textRules{}); utf8.RuneCountInString(text) <= maxBlockRunes {
		return text
	}
	return ""
}

var (
	reLoginURL   = regexp.MustCompile(`(?i)^https?://(?:passport|login|signin|sso|account|accounts)\.|/(?:login|signin|sign_in|sign-in|logon|passport|ucp)(?:[./?_-]|$)|[?&](?:mod|action|do|mode|a)=(?:logging|login|signin)(?:&|$)`)
	reCaptchaURL = regexp.MustCompile(`(?i)^https?://(?:wappass|captcha|verify|antibot|seccaptcha|sec)\.|/(?:captcha|verify|verification|antispider|anti_?robot|unhuman|challenge|robot_?check|waf|punish|seccode)(?:[./?_-]|$)|[?&](?:mod|action|do|a)=(?:captcha|seccode|verify)(?:&|$)`)
)

// wallByURL judges a redirect to a page that no rule fits, or out of scope.
func (s *Source) wallByURL(target string) (wall, bool) {
	for _, r := range s.Walls {
		if r.url != nil && r.url.MatchString(target) {
			return wall{r.Kind, "redirected to " + target}, true
		}
	}
	switch {
	case reCaptchaURL.MatchString(target):
		return wall{WallCaptcha, "redirected to " + target}, true
	case reLoginURL.MatchString(target):
		return wall{WallLogin, "redirected to " + target}, true
	}
	return wall{}, false
}

// wallOnPage judges a page whatever rule fits it: one that came with an error
// status, or behind a redirect.
func (s *Source) wallOnPage(pg Page) (wall, bool) {
	if challenged(pg.Header) {
		return wall{WallChallenge, "header cf-mitigated: challenge"}, true
	}
	const large = 512 << 10 // walls are small
	if len(pg.Body) == 0 || len(pg.Body) > large {
		return wall{}, false
	}
	root, err := parseHTML(pg.Body, time.Now().Add(parseTime))
	if err != nil {
		return wall{}, false
	}
	title := ""
	if n := findTag(root, "title"); n != nil {
		title = oneLine(nodeText(n, textRules{}))
	}
	text := title + "\n" + nodeText(root, textRules{})
	for _, r := range s.Walls {
		if r.sel != nil && r.sel.MatchFirst(root) != nil || r.Text != "" && strings.Contains(text, r.Text) {
			return wall{r.Kind, "page says or has what walls says"}, true
		}
	}
	return wallOf(root, title, text)
}

// behindRedirect judges where a page led that may not, or cannot, be read.
func (s *Source) behindRedirect(asked, target string, pg Page) (wall, bool) {
	if target == "" || target == asked {
		return wall{}, false
	}
	if w, ok := s.wallByURL(target); ok {
		return w, true
	}
	return s.wallOnPage(pg)
}

// statusText is why a page with a status that says no is blocked.
func statusText(status int) string { return fmt.Sprintf("status %d", status) }

// wallByStatus names the wall behind a status that says no more than no.
func wallByStatus(status int) WallKind {
	switch status {
	case http.StatusUnauthorized:
		return WallLogin
	case http.StatusTooManyRequests:
		return WallLimit
	}
	return WallRefused
}

// checkWalls compiles the walls of a source and collects what is wrong.
func (c *sourceCheck) checkWalls() {
	for i := range c.src.Walls {
		r := &c.src.Walls[i]
		known := false
		for _, k := range WallKinds {
			known = known || k == r.Kind
		}
		if !known {
			c.add("unknown kind of wall \""+string(r.Kind)+"\"", "use login, captcha, challenge, limit, firewall or refused", "walls", i, "kind")
		}
		given := 0
		for _, v := range [...]string{r.Text, r.Select, r.URL} {
			if v != "" {
				given++
			}
		}
		if given != 1 {
			c.add("a wall needs one of text, select and url", "write one entry for each", "walls", i)
		}
		if r.Text != "" && utf8.RuneCountInString(strings.TrimSpace(r.Text)) < 2 {
			c.add("\""+r.Text+"\" would fit nearly every page", "write a longer text", "walls", i, "text")
		}
		if r.Select != "" {
			r.sel = c.selector(r.Select, "walls", i, "select")
		}
		if r.URL != "" {
			r.url = c.regexp(r.URL, "walls", i, "url")
		}
	}
}
