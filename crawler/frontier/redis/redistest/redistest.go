// Package redistest starts a Redis or Valkey server for a test. What comes in:
// settings. What goes out: a server on a free loopback port with its data in a
// folder of the test, which can be killed, restarted, emptied and stopped. It
// knows nothing of frontiers.
package redistest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Server is a server of one test.
type Server struct {
	Addr string // host:port, the same over restarts
	Dir  string // its data

	tb   testing.TB
	args []string
	cmd  *exec.Cmd
	out  bytes.Buffer
}

// Start starts a server with AOF on, and with settings over it, such as
// "--maxmemory", "8mb". Without redis-server or valkey-server the test is
// skipped, or with CI=true fails.
func Start(tb testing.TB, settings ...string) *Server {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &Server{Addr: ln.Addr().String(), Dir: tb.TempDir(), tb: tb}
	ln.Close()
	_, port, _ := net.SplitHostPort(s.Addr)
	s.args = append([]string{"--bind", "127.0.0.1", "--port", port, "--dir", s.Dir, "--save", "", "--appendonly", "yes"}, settings...)
	s.Run()
	tb.Cleanup(func() {
		if s.cmd != nil {
			s.Kill()
		}
	})
	return s
}

// Addr is a server for a test that only needs one: that of QINGYUAN_TEST_REDIS
// when it is set, otherwise one of its own.
func Addr(tb testing.TB) string {
	tb.Helper()
	if addr := os.Getenv("QINGYUAN_TEST_REDIS"); addr != "" {
		return strings.TrimPrefix(addr, "redis://")
	}
	return Start(tb).Addr
}

func program(tb testing.TB) string {
	tb.Helper()
	for _, name := range []string{os.Getenv("QINGYUAN_TEST_REDIS_SERVER"), "redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		tb.Fatal("there is no redis-server; scripts/setup installs it")
	}
	tb.Skip("there is no redis-server; scripts/setup installs it")
	return ""
}

// Run starts the server again after Kill, with the data it left, and waits
// until it answers.
func (s *Server) Run() {
	s.tb.Helper()
	s.Begin()
	s.Wait()
}

// Begin is Run without the waiting.
func (s *Server) Begin() {
	s.tb.Helper()
	s.cmd = exec.Command(program(s.tb), s.args...)
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if err := s.cmd.Start(); err != nil {
		s.tb.Fatal(err)
	}
}

// Wait waits until the server answers anything at all.
func (s *Server) Wait() {
	s.tb.Helper()
	for until := time.Now().Add(30 * time.Second); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		conn, err := net.DialTimeout("tcp", s.Addr, time.Second)
		if err != nil {
			continue
		}
		conn.SetDeadline(time.Now().Add(time.Second))
		fmt.Fprint(conn, "PING\r\n")
		buf := make([]byte, 64)
		n, _ := conn.Read(buf)
		conn.Close()
		if n > 0 && !bytes.HasPrefix(buf[:n], []byte("-LOADING")) {
			return
		}
	}
	s.Kill()
	s.tb.Fatalf("the server did not come up:\n%s", s.out.String())
}

// Kill ends the server as kill -9 does.
func (s *Server) Kill() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
	s.cmd = nil
}

// Empty removes the data of a killed server.
func (s *Server) Empty() {
	s.tb.Helper()
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		s.tb.Fatal(err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(s.Dir, e.Name())); err != nil {
			s.tb.Fatal(err)
		}
	}
}

// Stop halts the server in the middle of what it does, as a machine that hangs.
func (s *Server) Stop() { s.cmd.Process.Signal(syscall.SIGSTOP) }

// Continue ends Stop.
func (s *Server) Continue() { s.cmd.Process.Signal(syscall.SIGCONT) }

// Client connects for commands of the test itself.
func (s *Server) Client() *goredis.Client {
	c := goredis.NewClient(&goredis.Options{Addr: s.Addr})
	s.tb.Cleanup(func() { c.Close() })
	return c
}

// Do runs one command and fails the test when it fails.
func (s *Server) Do(args ...any) any {
	s.tb.Helper()
	c := goredis.NewClient(&goredis.Options{Addr: s.Addr})
	defer c.Close()
	v, err := c.Do(context.Background(), args...).Result()
	if err != nil {
		s.tb.Fatalf("%v: %v", args, err)
	}
	return v
}
