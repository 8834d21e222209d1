package telemetry

import (
	"slices"
	"testing"
)

// TestCredentials: what is masked of the headers to a collector is what is secret in them, as it is
// sent, and no word that a machine may say.
func TestCredentials(t *testing.T) {
	for name, c := range map[string]struct {
		headers string
		want    []string
	}{
		"none":                         {"", nil},
		"names":                        {"x-scope-orgid=dell,x-dataset=esxiplan-lab,tenant=1", nil},
		"a key":                        {"x-scope-orgid=dell, api-key = 0123456789", []string{"0123456789"}},
		"a key that may be a word":     {"X-Session-Name=lab,x-key-id=1", nil},
		"encoded":                      {"api-key=01%2B23%2F45%3D", []string{"01+23/45="}},
		"behind a scheme":              {"Authorization=Bearer%20abcdef0123", []string{"abcdef0123", "Bearer abcdef0123"}},
		"a long one by any other name": {"x-honeycomb-team=hcaik_0123456789abcdef", []string{"hcaik_0123456789abcdef"}},
		"a password, for short":        {"x-pwd=S3cret.1", []string{"S3cret.1"}},
		"a key of sixteen bytes":       {"x-vendor=0123456789abcdef", []string{"0123456789abcdef"}},
		"a long name":                  {"x-dataset=esxiplan-production-lab", nil},
		"not encoded as it must be":    {"api-key=0123%ZZ789", []string{"0123%ZZ789"}},
		"no pair":                      {"api-key,,=", nil},
	} {
		for _, variable := range []string{"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"} {
			env := map[string]string{variable: c.headers, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
			get := func(name string) string { return env[name] }
			if got := Credentials(get); !slices.Equal(got, c.want) {
				t.Errorf("%s, %s: %q", name, variable, got)
			}
			for off, value := range map[string]string{"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": ""} {
				before := env[off]
				if env[off] = value; Credentials(get) != nil {
					t.Errorf("%s: %s=%s sends nothing, but has credentials", name, off, value)
				}
				env[off] = before
			}
		}
	}
}
