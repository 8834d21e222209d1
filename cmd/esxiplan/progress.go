package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// How often a progress line is drawn: on a terminal, and in a log.
const (
	redrawn   = 500 * time.Millisecond
	heartbeat = time.Minute
)

// progress says on standard error how many of many BMCs have answered or failed: on a terminal in
// one line that is redrawn and goes at the end, elsewhere in a line every minute. What is over
// sooner leaves nothing. It may be used by several goroutines.
type progress struct {
	lines  io.Writer // masked; it holds back a line without an end
	screen io.Writer // the terminal itself, for a line that holds numbers only; nil: stderr is not a terminal
	total  int
	began  time.Time
	end    chan struct{}
	ended  sync.WaitGroup

	mu     sync.Mutex
	done   int
	failed int
	drawn  bool // the line is on the terminal
}

// newProgress begins to count so many BMCs, until close.
func (a *app) newProgress(total int) *progress {
	p := &progress{lines: a.streams.Err, total: total}
	if term.IsTerminal(int(os.Stderr.Fd())) && os.Getenv("TERM") != "dumb" {
		p.screen = os.Stderr
	}
	p.start()
	return p
}

func (p *progress) start() {
	p.began, p.end = time.Now(), make(chan struct{})
	every := heartbeat
	if p.screen != nil {
		every = redrawn
	}
	p.ended.Go(func() {
		ticks := time.NewTicker(every)
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
				p.draw()
			case <-p.end:
				return
			}
		}
	})
}

// count takes in that one more BMC has answered, or failed.
func (p *progress) count(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	if err != nil {
		p.failed++
	}
}

// say writes a line of its own, above the progress line.
func (p *progress) say(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	fmt.Fprintln(p.lines, text)
}

// close takes the line away.
func (p *progress) close() {
	close(p.end)
	p.ended.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}

func (p *progress) draw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.screen == nil {
		fmt.Fprintln(p.lines, p.line())
		return
	}
	p.clear()
	write(p.screen, p.line())
	p.drawn = true
}

func (p *progress) clear() {
	if p.drawn {
		write(p.screen, "\r\x1b[K")
		p.drawn = false
	}
}

// line is at most 60 columns wide, so that it never takes two lines of a terminal.
func (p *progress) line() string {
	text := fmt.Sprintf("read %d of %d BMCs", p.done, p.total)
	if p.failed > 0 {
		text += fmt.Sprintf(", %d failed", p.failed)
	}
	return text + fmt.Sprintf(", %s so far", time.Since(p.began).Round(time.Second))
}
