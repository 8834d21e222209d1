package view

import (
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
)

// model is a live view as bubbletea sees it.
type model struct{ *live }

// redraw asks for a frame; back says that the process was stopped, and is continued.
type (
	redraw struct{}
	back   struct{}
)

// Init implements tea.Model.
func (m model) Init() tea.Cmd { return nil }

// View implements tea.Model: the frame is made when something asks for one, not at each message.
func (m model) View() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closing || m.away {
		return ""
	}
	return m.drawn
}

// Update implements tea.Model.
func (m model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var do tea.Cmd
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		if msg.Width <= 0 || msg.Height <= 0 { // a terminal that does not know its size
			break
		}
		if m.screen.Reflows && msg.Width < m.width {
			io.WriteString(m.out, rewound(m.drawn, msg.Width))
		}
		m.width, m.height = msg.Width, msg.Height
		m.s.Width, m.s.OutWidth = msg.Width, msg.Width
	case tea.KeyMsg:
		for _, k := range each(msg) {
			do = m.press(k)
		}
	case back:
		m.away = false
	case redraw:
	default:
		return m, nil
	}
	m.drawn = m.frame(time.Now()).String()
	return m, do
}

// rewound erases a frame that a narrower terminal has broken into more lines, of which bubbletea
// does not know. The cursor is at the last line of the frame, and comes back to where that would
// be without them. Lines are erased one by one: tmux keeps what is erased as a whole screen.
func rewound(drawn string, width int) string {
	lines := strings.Split(drawn, "\n")
	below, more := len(lines)-1, 0
	for _, line := range lines[:below] {
		more += max(0, ansi.StringWidth(line)-1) / max(1, width)
	}
	if more == 0 {
		return ""
	}
	return ansi.EraseEntireLine + strings.Repeat(ansi.CursorUp(1)+ansi.EraseEntireLine, below+more) + ansi.CursorDown(below)
}

// frame is the picture of this moment.
func (l *live) frame(real time.Time) *picture {
	return newPicture(picture{board: l.board, look: l.look, s: l.s, t: l.theme, names: l.plain.width, width: l.width, height: l.height,
		keys: l.screen.Keys != nil, now: l.s.now()}, real)
}

// each takes keys apart that were pressed so fast that they came as one.
func each(k tea.KeyMsg) (keys []tea.KeyMsg) {
	if k.Type != tea.KeyRunes {
		return []tea.KeyMsg{k}
	}
	for _, r := range k.Runes {
		keys = append(keys, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}})
	}
	return keys
}

// press does what a key means.
func (l *live) press(k tea.KeyMsg) tea.Cmd {
	switch {
	case k.Type == tea.KeyCtrlZ:
		l.away = true
		return l.stop
	case l.look.asking:
		l.answer(k)
	case l.look.typing:
		l.edit(k)
	default:
		l.command(k.String())
	}
	return nil
}

// stop gives the terminal back and stops the process, until somebody continues it. What a keyboard
// sends for that is caught, and Go does not let go of a signal that it has caught; so it is the
// one that cannot be.
func (l *live) stop() tea.Msg {
	continued := make(chan os.Signal, 1)
	signal.Notify(continued, syscall.SIGCONT)
	defer signal.Stop(continued)
	l.program.ReleaseTerminal()
	syscall.Kill(0, syscall.SIGSTOP)
	<-continued // this thread may run on for a moment
	if l.inForeground(continued) {
		l.program.RestoreTerminal()
	}
	return back{}
}

// inForeground waits until a shell has the process in the foreground: one that touches the
// terminal from the background is stopped. It reports false where the run ends before that; then
// what is left to do to the terminal must not stop it either.
func (l *live) inForeground(continued <-chan os.Signal) bool {
	signal.Ignore(syscall.SIGTTOU)
	looks := time.NewTicker(time.Second)
	defer looks.Stop()
	for l.screen.Foreground != nil && !l.screen.Foreground() {
		select {
		case <-continued:
		case <-looks.C:
		case <-l.over:
			return false
		}
	}
	signal.Reset(syscall.SIGTTOU)
	return true
}

// answer takes the answer whether the run is to stop after the present hosts.
func (l *live) answer(k tea.KeyMsg) {
	l.look.asking = false
	if k.String() == "y" && !l.look.held {
		l.look.held = true
		l.screen.Hold()
	}
}

// longestFilter is that of a filter, in bytes.
const longestFilter = 100

// edit changes the filter.
func (l *live) edit(k tea.KeyMsg) {
	switch k.Type {
	case tea.KeyEnter:
		l.look.typing = false
	case tea.KeyEsc:
		l.look.typing, l.look.filter = false, ""
	case tea.KeyBackspace:
		_, n := utf8.DecodeLastRuneInString(l.look.filter)
		l.look.filter = l.look.filter[:len(l.look.filter)-n]
	case tea.KeyRunes, tea.KeySpace:
		if text := l.look.filter + Clean(string(k.Runes)); len(text) <= longestFilter {
			l.look.filter = text
		}
	}
}

// command does what a key is for.
func (l *live) command(key string) {
	switch key {
	case "q":
		l.screen.Interrupt()
	case "/":
		l.look.typing, l.look.filter = true, ""
	case "f":
		l.look.failed, l.look.filter = !l.look.failed, ""
	case "s":
		l.look.asking = !l.look.held
	case "?":
		l.look.help = !l.look.help
	case "esc":
		l.look = look{held: l.look.held}
	case "enter", " ":
		if l.look.open = !l.look.open; l.look.chosen == "" {
			l.choose(0)
		}
	case "up", "k":
		l.choose(-1)
	case "down", "j":
		l.choose(1)
	case "pgup":
		l.choose(-10)
	case "pgdown":
		l.choose(10)
	}
}

// choose moves the cursor by so many rows; without one it comes to the first row.
func (l *live) choose(by int) {
	failed, running, _ := l.frame(time.Now()).wanted()
	all := slices.Concat(failed, running)
	if len(all) == 0 {
		return
	}
	at := slices.IndexFunc(all, func(s *seat) bool { return s.Name == l.look.chosen })
	if at < 0 {
		at, by = 0, 0
	}
	l.look.chosen = all[min(max(0, at+by), len(all)-1)].Name
}
