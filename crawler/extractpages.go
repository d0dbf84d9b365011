package crawler

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/html"
)

// goneTexts are what sites say when the thing asked for is no more.
var goneTexts = []string{
	"指定的主题不存在", "主题不存在或已被删除", "主题不存在", "指定的帖子不存在", "该贴已被删除", "该帖已被删除", "该帖子已被删除", "该贴子已被删除", "贴子不存在", "帖子不存在", "帖子已被删除", "贴子已被删除", "该主题已被删除", "此帖已被删除", "已被删除或正在被审核", "您访问的贴子被隐藏",
	"链接已过期", "该内容已被发布者删除", "此内容因违规无法查看", "此内容被投诉", "内容已被删除", "该内容不存在", "内容不存在", "文章已被删除", "文章不存在", "该文章已", "微博不存在", "该微博已被", "该公众号已", "主题未找到", "请求的主题没有找到", "您请求的主题不存在",
	"页面不存在", "页面找不到", "找不到该页", "您访问的页面", "你访问的页面", "你要找的页面", "您要查看的页面", "信息已过期", "信息已删除", "该信息已", "404 Not Found", "Page not found",
	"The requested topic does not exist", "The topic or post you requested does not exist", "The requested thread could not be found", "The requested page could not be found", "Topic Not Found",
}

// builtinGone returns why a page without posts looks like a notice that the
// thread is gone, or "". The box of a notice counts whatever the page's length.
func builtinGone(root *html.Node, text string) string {
	if box := noticeOf(root); box != "" {
		if why := contained(box, goneTexts); why != "" {
			return why
		}
	}
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

// Pages over largePage bytes are read maxLarge at a time: as a tree of elements
// they take several times their size.
const (
	largePage = 2 << 20
	maxLarge  = 2
)

// extractWithin gives up on a page that takes longer than limit, and at the end
// of ctx: a stop does not wait for a page that is slow to read.
func extractWithin(ctx context.Context, limit time.Duration, s *Source, pg Page) (Extraction, error) {
	type result struct {
		ex  Extraction
		err error
	}
	done := make(chan result, 1)
	go func() {
		roomy()
		var r result
		r.err = guarded(func() (err error) {
			r.ex, err = s.Extract(pg)
			return err
		})
		done <- r
	}()
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case r := <-done:
		return r.ex, r.err
	case <-ctx.Done():
		return Extraction{}, ctx.Err()
	case <-t.C:
		return Extraction{}, fmt.Errorf("extracting %s (%d bytes) took longer than %v", pg.URL, len(pg.Body), limit)
	}
}

// roomy lets the stack of a new goroutine grow at once, while there is little in
// it to be moved.
//
//go:noinline
func roomy() byte {
	var room [8 << 10]byte
	return room[time.Now().Nanosecond()&0xfff]
}
