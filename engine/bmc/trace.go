package bmc

import (
	"io"
	"net/http"
	"regexp"
	"time"
)

// Trace is called with every request and its answer.
type Trace func(Exchange)

// Exchange is a request and its answer, as they went over the wire: code that shows it cleans
// it, and bounds its bodies, which may have some megabytes. Passwords, tokens and keys are left out of
// the bodies, wherever a field's name shows them.
type Exchange struct {
	Time     time.Time // when the request was sent
	Took     time.Duration
	Method   string
	Path     string
	IfMatch  string
	Body     string // of the request
	Status   int    // 0: no answer
	Location string
	ETag     string
	Answer   string // body of the answer
	Err      error
}

// traced sends a request and traces it.
func (t *transport) traced(req *http.Request, asked *trip) (*http.Response, error) {
	if t.trace == nil {
		return t.send(req, asked)
	}
	x := Exchange{Time: time.Now(), Method: req.Method, Path: req.URL.RequestURI(), IfMatch: req.Header.Get("If-Match"), Body: sent(req)}
	resp, err := t.send(req, asked)
	x.Took, x.Err, x.Status = time.Since(x.Time), err, asked.status
	x.ETag, x.Answer = asked.header.Get("ETag"), withoutSecrets(asked.body)
	if !asked.session {
		x.Location = asked.header.Get("Location")
	}
	t.trace(x)
	return resp, err
}

func sent(req *http.Request) string {
	if req.GetBody == nil {
		return ""
	}
	body, err := req.GetBody()
	if err != nil {
		return ""
	}
	defer body.Close()
	text, _ := io.ReadAll(body)
	return withoutSecrets(text)
}

var secretField = regexp.MustCompile(`("[^"]*(?i:passw|passphrase|token|secret|community|hash|salt|` +
	`license_?key|licensestring|privatekey|encryptionkey|ipmikey|v3key)[^"]*"\s*:\s*)"(?:[^"\\]|\\.)*"`)

// login is user and password in a URL, such as that of an image that someone mounted.
var login = regexp.MustCompile(`(://)[^/@\s"]+@`)

func withoutSecrets(body []byte) string {
	return withoutUser(string(secretField.ReplaceAll(body, []byte(`$1"(sensitive)"`))))
}

func withoutUser(text string) string { return login.ReplaceAllString(text, "$1(sensitive)@") }
