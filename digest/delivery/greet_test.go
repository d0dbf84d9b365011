package delivery

import (
	"net"
	"strconv"
	"strings"
	"testing"
)

func TestGreetSendsNothing(t *testing.T) {
	in := newInbox(t)
	host, port, err := net.SplitHostPort(in.addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	server := SMTP{Host: host, Port: n, TLS: "none", From: "qingyuan@agency.example"}
	if err := server.Greet(t.Context()); err != nil {
		t.Error(err)
	}
	if got := in.headers("Subject"); len(got) > 0 {
		t.Errorf("mails were sent: %q", got)
	}
	server.TLS = "starttls"
	if err := server.Greet(t.Context()); err == nil {
		t.Error("a server without STARTTLS was taken for one with it")
	}
	server.TLS, server.User, server.Password = "none", "qingyuan", "secret"
	if err := server.Greet(t.Context()); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a login at a server that has none: %v", err)
	}
}
