package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// untilSignal gives a context that ends with the first SIGINT or SIGTERM. From
// then on the second ends the process at once.
func untilSignal(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
		case <-ctx.Done():
		}
		signal.Stop(signals) // first: whoever sees ctx end may count on it
		cancel()
	}()
	return ctx, cancel
}

// stopTime is how long an orderly stop may take. After it the process ends as
// if it were killed, which loses nothing either: leases run out, and what was
// not acknowledged is fetched again.
const stopTime = 10 * time.Second

// orderlyStop tells a person what happens from the end of ctx on.
type orderlyStop struct {
	w    io.Writer
	lang string
	view *liveView      // says so too; nil: there is none
	exit func(code int) // os.Exit
	most time.Duration  // stopTime
	end  chan struct{}
	was  chan struct{} // closed when ctx has ended and that was said
	quit func() bool
	at   time.Time
}

// watchStop waits for the end of ctx; done must be called when all is closed.
func watchStop(ctx context.Context, w io.Writer, lang string, view *liveView, most time.Duration, exit func(int)) *orderlyStop {
	s := &orderlyStop{w: w, lang: lang, view: view, exit: exit, most: most, end: make(chan struct{}), was: make(chan struct{})}
	s.quit = context.AfterFunc(ctx, s.begin)
	return s
}

func (s *orderlyStop) say(zh, en string, args ...any) {
	if s.lang != "en" {
		en = zh
	}
	fmt.Fprintf(s.w, en+"\n", args...)
}

func (s *orderlyStop) begin() {
	s.at = time.Now()
	if s.view != nil {
		s.view.stop()
	}
	s.say("正在停止：归还在途页面，写完索引和归档，最多 %d 秒。再按一次 Ctrl-C 立即退出，同样不丢数据。",
		"Stopping: pages in work are given back, index and archive are written to the end, within %d s. Ctrl-C again ends at once; nothing is lost then either.", int(s.most.Seconds()))
	close(s.was)
	t := time.NewTimer(s.most)
	defer t.Stop()
	select {
	case <-s.end:
	case <-t.C:
		s.say("未能在 %d 秒内停下，现在退出。未确认的页面会在下次启动时重新抓取，数据不丢。",
			"Not done after %d s; the process ends now. Pages that were not acknowledged are fetched again next time, nothing is lost.", int(s.most.Seconds()))
		s.exit(1)
	}
}

// done says how the stop went, when there was one.
func (s *orderlyStop) done(queued int, err error) {
	if s.quit() {
		return // ctx has not ended
	}
	<-s.was
	close(s.end)
	if err != nil {
		return // which tells more
	}
	s.say("已停止，用时 %s：在途页面已归还，数据已写完；%d 页待下次抓取。", "Stopped after %s: pages in work are given back, all is written; %d pages wait for the next run.",
		time.Since(s.at).Round(10*time.Millisecond), queued)
}
