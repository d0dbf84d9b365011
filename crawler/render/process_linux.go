package render

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is one browser with all its processes, in a process group of its
// own, and its profile.
type process struct {
	r       io.ReadCloser  // what the browser says
	w       io.WriteCloser // what it is told
	pid     int            // of the browser, and of the group
	profile string
	out     *tail
	done    chan struct{} // closed when the browser has ended and was reaped
	killing sync.Once
}

// nobody is whom a browser runs as when we are root: Chromium has no sandbox for
// root, and what breaks out of a page should find nothing of ours.
const nobody = 65534

// fences lists what to put round a browser, the best first. Without its sandbox
// it runs as nobody only.
func fences(shared bool) []fence {
	list := []fence{{network: true, sandbox: true}, {sandbox: true}}
	if os.Geteuid() == 0 {
		list = []fence{{network: true, sandbox: true}, {network: true}, {sandbox: true}, {}}
	}
	if shared {
		list = slices.DeleteFunc(list, func(f fence) bool { return f.network })
	}
	return list
}

// startProcess starts Chromium within a fence.
func startProcess(ctx context.Context, o Options, path string, f fence) (*process, error) {
	// Not below the data folder: Chromium makes sockets in it, whose paths may
	// have no more than 107 bytes.
	profile, err := os.MkdirTemp("", profilePrefix+strconv.Itoa(os.Getpid())+"-")
	if err != nil {
		return nil, fmt.Errorf("making a profile: %w", err)
	}
	p := &process{profile: profile, out: &tail{}, done: make(chan struct{})}
	toR, toW, err := os.Pipe()
	if err != nil {
		os.RemoveAll(profile)
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	fromR, fromW, err := os.Pipe()
	if err != nil {
		toR.Close()
		toW.Close()
		os.RemoveAll(profile)
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	p.r, p.w = fromR, toW
	cmd := exec.Command(path, flagsOf(o, profile, f)...)
	cmd.ExtraFiles = []*os.File{toR, fromW} // 3 and 4
	cmd.Stdout, cmd.Stderr = p.out, p.out
	cmd.WaitDelay = 2 * time.Second
	cmd.Dir = profile
	// Nothing of our environment: it may hold secrets, and proxies.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + profile, "XDG_CONFIG_HOME=" + profile, "XDG_CACHE_HOME=" + profile,
		"XDG_RUNTIME_DIR=" + profile, "TMPDIR=" + profile, "LANG=C.UTF-8", "DBUS_SESSION_BUS_ADDRESS=disabled:"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if f.network {
		isolate(cmd.SysProcAttr)
	}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		err = os.Chown(profile, nobody, nobody)
	}
	if err == nil {
		err = p.start(cmd)
	}
	toR.Close()
	fromW.Close()
	if err != nil {
		toW.Close()
		fromR.Close()
		os.RemoveAll(profile)
		return nil, fmt.Errorf("starting %s: %w", path, err)
	}
	if ctx.Err() != nil {
		p.kill()
		return nil, ctx.Err()
	}
	return p, nil
}

// isolate asks for an empty network. Who is not root gets it inside a user
// namespace, in which he is still himself.
func isolate(a *syscall.SysProcAttr) {
	a.Cloneflags |= syscall.CLONE_NEWNET
	if uid, gid := os.Geteuid(), os.Getegid(); uid != 0 {
		a.Cloneflags |= syscall.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
	}
}

// start runs cmd on a thread that lives as long as the browser does, for the
// kernel sends Pdeathsig when the thread ends that started it.
func (p *process) start(cmd *exec.Cmd) error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // killed or crashed: the reader of the pipe sees its end
		close(p.done)
	}()
	return <-started
}

// kill ends every process of the browser, waits until they are gone and
// removes the profile. It may be called more than once.
func (p *process) kill() {
	p.killing.Do(func() {
		p.w.Close()
		p.r.Close()
		for range 200 {
			if err := syscall.Kill(-p.pid, syscall.SIGKILL); errors.Is(err, syscall.ESRCH) {
				break
			}
			// In a container whose first process we are, its children are ours when
			// it is dead, and nobody else would bury them.
			for {
				if n, err := syscall.Wait4(-p.pid, nil, syscall.WNOHANG, nil); n <= 0 || err != nil || n == p.pid {
					break
				}
			}
			time.Sleep(10 * time.Millisecond)
		}
		<-p.done
		for range 20 {
			if err := os.RemoveAll(p.profile); err == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	<-p.done
}

// rss is the memory of all processes of the browser, in bytes: what is theirs
// alone and what they share among each other, without files.
func (p *process) rss() int64 {
	var sum int64
	for _, pid := range groupOf(p.pid) {
		status, err := os.ReadFile("/proc/" + pid + "/status")
		if err != nil {
			continue
		}
		for line := range bytes.Lines(status) {
			name, value, _ := strings.Cut(string(line), ":")
			if name != "RssAnon" && name != "RssShmem" {
				continue
			}
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err == nil {
				sum += kb << 10
			}
		}
	}
	return sum
}

// groupOf lists the processes of a group.
func groupOf(group int) []string {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	var out []string
	for _, name := range names {
		if name[0] < '0' || name[0] > '9' {
			continue
		}
		stat, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue
		}
		// "pid (name) state parent group": the name may hold anything.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) > 2 && fields[2] == strconv.Itoa(group) && fields[0] != "Z" {
			out = append(out, name)
		}
	}
	return out
}

func (p *process) output() string { return p.out.String() }

// sweepProfiles removes profiles in dir whose process died without doing so.
func sweepProfiles(dir string, told func(string)) {
	found, err := filepath.Glob(filepath.Join(dir, profilePrefix+"*"))
	if err != nil {
		return
	}
	for _, profile := range found {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(profile), profilePrefix), "-")
		n, err := strconv.Atoi(pid)
		if err != nil || n <= 1 || !errors.Is(syscall.Kill(n, 0), syscall.ESRCH) {
			continue
		}
		if os.RemoveAll(profile) == nil {
			told(profile)
		}
	}
}

// tail keeps the end of what a browser prints, for the error when it dies.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

const maxTail = 4 << 10

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	if n := len(t.kept) - maxTail; n > 0 {
		t.kept = append(t.kept[:0], t.kept[n:]...)
	}
	return len(p), nil
}

// String returns what is kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.kept)
}
