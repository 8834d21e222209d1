package schema

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"syscall"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Bounds of what is read and parsed. A plan of 10,000 hosts has 1.6 MB and 620,000 signs.
const (
	// MaxFile is the size in bytes of the largest file that is read.
	MaxFile = 16 << 20

	mostSigns     = 1_000_000 // words, punctuation marks and line ends of all files of a plan
	mostLocals    = 100_000
	deepest       = 500     // brackets, strings and templates within one another
	longestChain  = 5_000   // those, and operators that apply to one another
	longestWord   = 1_000   // bytes of a name or a number
	mostExponent  = 4_096   // of a number, in bits
	deepestValue  = 1_000   // collections within one another
	mostProblems  = 1_000   // that are shown
	longestDetail = 4_000   // bytes of the text of a problem
	largeSource   = 200_000 // bytes
)

// ReadFile reads a regular file of at most [MaxFile] bytes. Anything else is refused before
// it is opened: a pipe or a device may have no end, or act on being opened.
func ReadFile(name string) ([]byte, error) {
	return readRegular(name, func() (fs.FileInfo, error) { return os.Stat(name) }, func(flags int) (*os.File, error) { return os.OpenFile(name, flags, 0) })
}

// readRegular checks a file before it opens it, and again after that: it may have been
// replaced in between.
func readRegular(name string, stat func() (fs.FileInfo, error), open func(flags int) (*os.File, error)) ([]byte, error) {
	f, err := openRegular(name, small, stat, open)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadAll(f, name) // the file may grow
}

// openRegular opens a file that is regular before and after it is opened.
func openRegular(name string, judge func(string, fs.FileInfo) error, stat func() (fs.FileInfo, error), open func(flags int) (*os.File, error)) (*os.File, error) {
	info, err := stat()
	if err != nil {
		return nil, err
	}
	if err := judge(name, info); err != nil {
		return nil, err
	}
	f, err := open(os.O_RDONLY | syscall.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	if info, err = f.Stat(); err == nil {
		err = judge(name, info)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// ReadAll reads a stream that the user names, at most [MaxFile] bytes.
func ReadAll(r io.Reader, name string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxFile+1))
	if err == nil && len(b) > MaxFile {
		err = tooLarge(name, "more than that")
	}
	return b, err
}

func regular(name string, info fs.FileInfo) error {
	switch {
	case info.IsDir():
		return fmt.Errorf("%s is a folder, not a file", name)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file but a %s; copy its content into a file", name, kindOfFile(info.Mode()))
	}
	return nil
}

// small is a regular file of at most [MaxFile] bytes.
func small(name string, info fs.FileInfo) error {
	if err := regular(name, info); err != nil {
		return err
	}
	if info.Size() > MaxFile {
		return tooLarge(name, fmt.Sprint(info.Size(), " bytes"))
	}
	return nil
}

func tooLarge(name, size string) error {
	return fmt.Errorf("%s is too large: it has %s, and the limit is 16 MiB", name, size)
}

func kindOfFile(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeNamedPipe != 0:
		return "named pipe"
	case mode&fs.ModeSocket != 0:
		return "socket"
	}
	return "device"
}

// sources reads the files of a plan, and checks each before it is parsed.
type sources struct{ signs int }

// CheckSource finds what in a plan file the parser must not see: too many signs, or
// expressions and blocks nested so deeply that its stack would overflow, which kills
// the process. It is nil if the source may be parsed, even if it has mistakes.
func CheckSource(source []byte, name string) *hcl.Diagnostic {
	return new(sources).check(source, name, hclsyntax.LexConfig)
}

// lexer is one of those of hclsyntax: for a file, an expression or a template.
type lexer func(src []byte, filename string, start hcl.Pos) (hclsyntax.Tokens, hcl.Diagnostics)

func (s *sources) check(source []byte, name string, lex lexer) *hcl.Diagnostic {
	if at, ok := s.count(source, name); !ok {
		return problem(at, "Plan too large", "The plan has more than %d words, punctuation marks and line ends. Put tables of machines into a CSV or YAML file, and read it with csvdecode(file(…)) or yamldecode(file(…)).", mostSigns)
	}
	if len(source) > largeSource { // what the lexer leaves behind takes more than the plan
		defer runtime.GC()
	}
	tokens, _ := lex(source, name, hcl.InitialPos) // the parser reports its problems
	var n nesting
	for _, t := range tokens {
		if d := n.take(t); d != nil {
			return d
		}
	}
	return nil
}

// count counts signs: at least as many as the source has tokens, which take a hundred times
// the memory of their text. ok is false if they are too many, from a place on.
func (s *sources) count(source []byte, name string) (at hcl.Range, ok bool) {
	pos, inWord := hcl.InitialPos, false
	for i, c := range source {
		word := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c >= 0x80
		if !word && c != ' ' && c != '\t' && c != '\r' || word && !inWord {
			s.signs++
		}
		inWord = word
		if s.signs > mostSigns {
			pos.Byte = i
			return hcl.Range{Filename: name, Start: pos, End: pos}, false
		}
		if pos.Column++; c == '\n' {
			pos.Line, pos.Column = pos.Line+1, 1
		}
	}
	return hcl.Range{}, true
}

// nesting follows how deeply the parser would recurse. Brackets nest, and so do
// operators that apply to one another, such as !!x or a ? b : c ? d : e.
type nesting struct {
	chains   []int // operators of the current item, of each bracket that is open
	chained  int   // the sum
	controls int   // %{ if } and %{ for } without their ends
	operand  bool  // the last token ended an operand
	control  bool  // the last token began a %{ }
}

func (n *nesting) take(t hclsyntax.Token) *hcl.Diagnostic {
	if len(n.chains) == 0 {
		n.chains = append(n.chains, 0)
	}
	control := n.control
	n.control = false
	switch t.Type {
	case hclsyntax.TokenOBrack:
		if n.operand { // an index
			n.chain(1)
		}
		n.open()
	case hclsyntax.TokenOBrace, hclsyntax.TokenOParen, hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc, hclsyntax.TokenTemplateInterp:
		n.item()
		n.open()
	case hclsyntax.TokenTemplateControl:
		n.item()
		n.open()
		n.control = true
	case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc, hclsyntax.TokenTemplateSeqEnd:
		n.close()
	case hclsyntax.TokenComma, hclsyntax.TokenEqual:
		n.chain(-n.chains[len(n.chains)-1])
		n.operand = false
	case hclsyntax.TokenNewline, hclsyntax.TokenComment, hclsyntax.TokenEOF, hclsyntax.TokenDot:
	case hclsyntax.TokenIdent, hclsyntax.TokenNumberLit, hclsyntax.TokenQuotedLit, hclsyntax.TokenStringLit:
		n.item()
		n.operand = true
		if control {
			n.controls = max(0, n.controls+map[string]int{"if": 1, "for": 1, "endif": -1, "endfor": -1}[string(t.Bytes)])
		}
	default:
		n.chain(1)
		n.operand = false
	}
	return n.excess(t)
}

func (n *nesting) chain(by int) {
	n.chains[len(n.chains)-1] += by
	n.chained += by
}

// item ends the chain where one operand follows another: a line of a file or of an object.
func (n *nesting) item() {
	if n.operand {
		n.chain(-n.chains[len(n.chains)-1])
	}
}

func (n *nesting) open() {
	n.chains = append(n.chains, 0)
	n.operand = false
}

func (n *nesting) close() {
	n.chain(-n.chains[len(n.chains)-1])
	n.chains = n.chains[:max(1, len(n.chains)-1)]
	n.operand = true
}

// excess reports what is too much for the parser, with this token.
func (n *nesting) excess(t hclsyntax.Token) *hcl.Diagnostic {
	depth := len(n.chains) - 1 + n.controls
	switch word := t.Type == hclsyntax.TokenIdent || t.Type == hclsyntax.TokenNumberLit; {
	case depth > deepest:
		return problem(t.Range, "Nested too deeply", "Brackets, strings and templates are nested more than %d deep here. Name parts of the expression as locals.", deepest)
	case depth+n.chained > longestChain:
		return problem(t.Range, "Nested too deeply", "More than %d operators are chained here. Name parts of the expression as locals, or replace comparisons by contains(list, x).", longestChain)
	case word && len(t.Bytes) > longestWord:
		return problem(t.Range, "Name or number too long", "A name or number has at most %d characters.", longestWord)
	}
	return nil
}
