package delivery

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// webhook sends the digest as JSON to any receiver, signed as the Standard
// Webhooks specification has it: the receiver can tell it from a forgery, from
// an old message sent again, and a second try from a second digest.
type webhook struct {
	name    string
	url     string
	secrets []string // the present one first
	client  *http.Client
	now     func() time.Time
}

func newWebhook(c WebhookConfig, now func() time.Time) *webhook {
	w := &webhook{name: "webhook:" + c.Name, url: c.URL, secrets: []string{c.Secret}, client: newClient(c.AllowPrivate), now: now}
	if c.OldSecret != "" {
		w.secrets = append(w.secrets, c.OldSecret)
	}
	return w
}

// Name implements Channel.
func (w *webhook) Name() string { return w.name }

// Send implements Channel.
func (w *webhook) Send(ctx context.Context, m Message) (string, error) {
	body := []byte(m.JSON)
	at := strconv.FormatInt(w.now().Unix(), 10)
	signatures := make([]string, len(w.secrets))
	for i, s := range w.secrets {
		signatures[i] = signWebhook(s, m.ID, at, body)
	}
	header := http.Header{"Webhook-Id": {m.ID}, "Webhook-Timestamp": {at}, "Webhook-Signature": {strings.Join(signatures, " ")}}
	if m.Again {
		header.Set("X-Qingyuan-Possible-Duplicate", "true")
	}
	if m.Test {
		header.Set("X-Qingyuan-Test", "true")
	}
	_, err := postJSON(ctx, w.client, w.url, header, body)
	return "", err
}

// signWebhook is "v1," and the base64 of HMAC-SHA256 of id, timestamp and
// body, joined by dots.
func signWebhook(secret, id, at string, body []byte) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(id + "." + at + "."))
	h.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil))
}
