package delivery

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	mail "github.com/wneessen/go-mail"
)

// SMTP is the server through which mails leave.
type SMTP struct {
	Host     string
	Port     int
	User     string // empty: no login
	Password string
	TLS      string // starttls (when empty), tls, or none: on loopback only
	CAFile   string // further authorities that may vouch for the server, PEM
	From     string // the sender, an address
	Helo     string // the name this machine gives itself; empty: its host name
}

// Check says what is wrong with the settings, or nil.
func (s SMTP) Check() error {
	switch {
	case s.Host == "":
		return errors.New("no mail server is given")
	case s.From == "" || !strings.Contains(s.From, "@"):
		return fmt.Errorf("%q is no sender's address", s.From)
	case s.TLS == "none" && s.Host != "localhost" && !strings.HasPrefix(s.Host, "127.") && s.Host != "::1":
		return errors.New("mails, and the password, would cross the network in the open; use tls or starttls")
	}
	return nil
}

func (s SMTP) client() (*mail.Client, error) {
	opts := []mail.Option{mail.WithTimeout(sendTimeout), mail.WithPort(s.Port)}
	conf := &tls.Config{ServerName: s.Host, MinVersion: tls.VersionTLS12}
	if s.CAFile != "" {
		pem, err := os.ReadFile(s.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading the mail server's authorities: %w", err)
		}
		if conf.RootCAs, err = x509.SystemCertPool(); err != nil {
			conf.RootCAs = x509.NewCertPool()
		}
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", s.CAFile)
		}
	}
	opts = append(opts, mail.WithTLSConfig(conf))
	switch s.TLS {
	case "tls":
		opts = append(opts, mail.WithSSL())
	case "none":
		opts = append(opts, mail.WithTLSPolicy(mail.NoTLS))
	default:
		opts = append(opts, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if s.User != "" {
		opts = append(opts, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(s.User), mail.WithPassword(s.Password))
	}
	if s.Helo != "" {
		opts = append(opts, mail.WithHELO(s.Helo))
	}
	return mail.NewClient(s.Host, opts...)
}

// mailTo sends mails to one address.
type mailTo struct {
	smtp SMTP
	to   string
}

// Name implements Channel.
func (m *mailTo) Name() string { return "mail:" + m.to }

// Send implements Channel. The receipt is the server's last answer.
func (m *mailTo) Send(ctx context.Context, msg Message) (string, error) {
	letter, err := m.letter(msg)
	if err != nil {
		return "", permanent(err)
	}
	c, err := m.smtp.client()
	if err != nil {
		return "", fmt.Errorf("the mail server's settings: %w", err)
	}
	if err := c.DialAndSendWithContext(ctx, letter); err != nil {
		var se *mail.SendError
		if errors.As(err, &se) && letter.IsDelivered() {
			return letter.ServerResponse(), nil // the server has it; only the farewell failed
		}
		if errors.As(err, &se) && !se.IsTemp() && se.ErrorCode() >= 500 {
			return "", permanent(fmt.Errorf("the mail server refuses: %w", err))
		}
		return "", fmt.Errorf("sending mail: %w", err)
	}
	return letter.ServerResponse(), nil
}

// letter makes the mail; the same message makes the same letter but for the
// boundary between its parts.
func (m *mailTo) letter(msg Message) (*mail.Msg, error) {
	l := mail.NewMsg()
	if err := l.From(m.smtp.From); err != nil {
		return nil, fmt.Errorf("sender: %w", err)
	}
	if err := l.To(m.to); err != nil {
		return nil, fmt.Errorf("receiver: %w", err)
	}
	l.Subject(msg.Subject)
	l.SetMessageIDWithValue(msg.ID)
	l.SetDateWithValue(msg.At)
	l.SetBulk()
	l.SetGenHeader("Auto-Submitted", "auto-generated")
	if msg.Again {
		l.SetGenHeader("X-Qingyuan-Possible-Duplicate", "yes")
	}
	if strings.HasPrefix(msg.Unsubscribe, "https://") {
		if err := l.SetListUnsubscribeOneClick(msg.Unsubscribe); err != nil {
			return nil, fmt.Errorf("unsubscription address: %w", err)
		}
	} else if msg.Unsubscribe != "" {
		l.SetListUnsubscribe(msg.Unsubscribe)
	}
	l.SetBodyString(mail.TypeTextPlain, msg.Text)
	l.AddAlternativeString(mail.TypeTextHTML, msg.HTML)
	return l, nil
}
