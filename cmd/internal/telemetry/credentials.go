package telemetry

import (
	"net/url"
	"regexp"
	"strings"
)

// The values of headers that count as credentials have at least that many bytes: those of
// headers that are called so, and of all others, where a service may have its own name for a key.
// A shorter value, such as the name of a tenant, may be a word that machines say, too; masked,
// it would be missing in what a run has logged.
const (
	shortestNamed = 8
	shortestOther = 12
)

// namesCredential is what the names of headers with credentials have in them.
var namesCredential = regexp.MustCompile(`(?i)auth|key|token|secret|pass|pwd|credential|cookie|session|license|dsn`)

// word is what a service or a tenant may be called.
var word = regexp.MustCompile(`^[A-Za-z]+([ _.-][A-Za-z]+)*$`)

// Credentials are those that are sent to the collector in headers, as they are sent, and those
// in them behind a scheme such as Bearer; none where the variables ask for no traces.
func Credentials(env func(string) string) (out []string) {
	if !wanted(env) {
		return nil
	}
	for pair := range strings.SplitSeq(env("OTEL_EXPORTER_OTLP_HEADERS")+","+env("OTEL_EXPORTER_OTLP_TRACES_HEADERS"), ",") {
		name, value, _ := strings.Cut(pair, "=")
		value = decoded(value)
		if _, bare, found := strings.Cut(value, " "); found && isCredential(name, bare) {
			out = append(out, bare)
		}
		if isCredential(name, value) {
			out = append(out, value)
		}
	}
	return out
}

// decoded is the value of a header as the exporter sends it. It does not send one that it cannot
// decode.
func decoded(value string) string {
	if plain, err := url.PathUnescape(value); err == nil {
		value = plain
	}
	return strings.TrimSpace(value)
}

func isCredential(header, value string) bool {
	if namesCredential.MatchString(header) {
		return len(value) >= shortestNamed
	}
	return len(value) >= shortestOther && !word.MatchString(value)
}
