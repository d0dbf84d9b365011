package delivery

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/time/rate"

	"qingyuan/digest"
)

// What the services take, in bytes of UTF-8, with room for their own JSON.
const (
	maxWeCom    = 4096  // markdown.content; documented
	maxDingTalk = 18000 // the body may be 20,000
	maxFeishu   = 18000 // the body may be 20 KB
)

// robotRate keeps below the 20 messages a minute that WeCom and DingTalk
// allow; who exceeds it there is shut out for ten minutes.
var robotRate = rate.Every(time.Minute / 15)

// robot is a chat group's robot of any of the three services.
type robot struct {
	kind, name  string
	url, secret string
	client      *http.Client
	limit       *rate.Limiter
	now         func() time.Time
}

func newRobot(kind string, c RobotConfig, now func() time.Time) *robot {
	return &robot{kind: kind, name: kind + ":" + c.Name, url: c.URL, secret: c.Secret, client: newClient(c.AllowPrivate), limit: rate.NewLimiter(robotRate, 3), now: now}
}

// Name implements Channel.
func (r *robot) Name() string { return r.name }

// Send implements Channel.
func (r *robot) Send(ctx context.Context, m Message) (string, error) {
	if err := r.limit.Wait(ctx); err != nil {
		return "", fmt.Errorf("waiting for the robot's turn: %w", err)
	}
	address, body, err := r.request(m)
	if err != nil {
		return "", err
	}
	answer, err := postJSON(ctx, r.client, address, nil, body)
	if err != nil {
		return "", err
	}
	return "", r.refusal(answer)
}

// request is where to send a message and what.
func (r *robot) request(m Message) (string, []byte, error) {
	text := m.Text
	if m.Again {
		text = "（可能重复 / possibly sent before）\n" + text
	}
	var body map[string]any
	address := r.url
	switch r.kind {
	case kindWeCom:
		body = map[string]any{"msgtype": "markdown", "markdown": map[string]string{"content": cutBytes(text, maxWeCom)}}
	case kindDingTalk:
		body = map[string]any{"msgtype": "markdown", "markdown": map[string]string{"title": m.Subject, "text": cutBytes(text, maxDingTalk)}}
		if r.secret != "" {
			u, err := url.Parse(address)
			if err != nil {
				return "", nil, permanent(fmt.Errorf("the robot's address cannot be used"))
			}
			ms := strconv.FormatInt(r.now().UnixMilli(), 10)
			q := u.Query()
			q.Set("timestamp", ms)
			q.Set("sign", signDingTalk(r.secret, ms))
			u.RawQuery = q.Encode()
			address = u.String()
		}
	case kindFeishu:
		body = map[string]any{"msg_type": "interactive", "card": map[string]any{
			"config":   map[string]bool{"wide_screen_mode": true},
			"header":   map[string]any{"title": map[string]string{"tag": "plain_text", "content": m.Subject}},
			"elements": []any{map[string]string{"tag": "markdown", "content": cutBytes(text, maxFeishu)}},
		}}
		if r.secret != "" {
			seconds := strconv.FormatInt(r.now().Unix(), 10)
			body["timestamp"], body["sign"] = seconds, signFeishu(r.secret, seconds)
		}
	}
	raw, err := json.Marshal(body)
	return address, raw, err
}

// signDingTalk is the base64 of HMAC-SHA256 of timestamp, line break and
// secret, keyed with the secret; the timestamp is in milliseconds.
func signDingTalk(secret, ms string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(ms + "\n" + secret))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// signFeishu is the base64 of HMAC-SHA256 of nothing, keyed with timestamp,
// line break and secret; the timestamp is in seconds.
func signFeishu(secret, seconds string) string {
	h := hmac.New(sha256.New, []byte(seconds+"\n"+secret))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// tooFast is what the services answer, in a body with status 200, when a robot
// sends too fast. Whatever else is not 0 is tried again like any failure: the
// lists of codes that are in circulation contradict each other.
var tooFast = map[string]int{kindWeCom: 45009, kindFeishu: 11232}

// refusal reads the code in the answer; nil is success.
func (r *robot) refusal(answer []byte) error {
	var a struct {
		ErrCode *int   `json:"errcode"`
		ErrMsg  string `json:"errmsg"`
		Code    *int   `json:"code"`
		Status  *int   `json:"StatusCode"`
		Msg     string `json:"msg"`
	}
	if err := decode(answer, &a); err != nil {
		return err
	}
	code, msg := a.ErrCode, a.ErrMsg
	if r.kind == kindFeishu {
		if code, msg = a.Code, a.Msg; code == nil {
			code = a.Status
		}
	}
	if code == nil {
		return fmt.Errorf("the answer of %s holds no code: %.200s", r.kind, strings.ToValidUTF8(string(answer), ""))
	}
	if *code == 0 {
		return nil
	}
	err := fmt.Errorf("%s answered code %d: %.200s", r.kind, *code, msg)
	if *code == tooFast[r.kind] {
		return &TooFastError{Wait: 10 * time.Minute, Err: err}
	}
	return err
}

// The kinds of robots.
const (
	kindWeCom    = "wecom"
	kindDingTalk = "dingtalk"
	kindFeishu   = "feishu"
)

// robotText is a brief in the markup of a service, at most limit bytes.
func robotText(kind string, b digest.Brief) string {
	limit := map[string]int{kindWeCom: maxWeCom, kindDingTalk: maxDingTalk, kindFeishu: maxFeishu}[kind] - 200 // for what is put before
	lines := make([]string, 0, len(b.Lines)+1)
	if kind != kindFeishu { // its card has the title
		lines = append(lines, "### "+plain(b.Title))
	}
	for _, l := range b.Lines {
		text := plain(l.Text)
		switch {
		case l.Head:
			text = "**" + text + "**"
		case l.Link != "":
			text = "- " + text + " [↗](" + l.Link + ")"
		}
		lines = append(lines, text)
	}
	sep := "\n"
	if kind == kindDingTalk {
		sep = "\n\n" // one line break is none there
	}
	rest := func(left int) string {
		more := fmt.Sprintf(b.More, left)
		if b.Link != "" {
			more = "[" + more + "](" + b.Link + ")"
		}
		return more
	}
	size := 0
	for i, l := range lines {
		if size += len(l) + len(sep); size > limit-len(rest(len(lines)))-len(sep) && i > 0 {
			return strings.Join(append(lines[:i:i], rest(len(lines)-i)), sep)
		}
	}
	return strings.Join(lines, sep)
}

// plain replaces what the services' markup acts upon by look-alikes: what was
// crawled must neither link, nor call for everybody's attention, nor format.
var plainSigns = strings.NewReplacer("<", "＜", ">", "＞", "[", "［", "]", "］", "(", "（", ")", "）", "*", "＊", "_", "＿", "`", "｀", "#", "＃", "~", "～",
	"@", "＠", "|", "｜", "!", "！", "\\", "＼", "\n", " ", "\r", " ")

func plain(s string) string { return plainSigns.Replace(s) }

// cutBytes cuts a text to n bytes without breaking a character.
func cutBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	const mark = "…"
	s = s[:n-len(mark)]
	for len(s) > 0 && !utf8.RuneStart(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	if r, size := utf8.DecodeLastRuneInString(s); r == utf8.RuneError && size == 1 {
		s = s[:len(s)-1]
	}
	return s + mark
}
