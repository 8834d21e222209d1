package main

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	ctyyaml "github.com/zclconf/go-cty-yaml"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// object is a mapping of a YAML file.
type object = map[string]any

func ciFile(t *testing.T, name string) string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("..", "..", "plans", "ci", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

// readYAML reads a CI file, which must be well-formed. The key on is true in YAML 1.1.
func readYAML(t *testing.T, source string) (out object) {
	t.Helper()
	if strings.Contains(source, "\t") {
		t.Error("there is a tab")
	}
	for _, key := range repeatedKeys(source) {
		t.Errorf("the key %s is there twice", key)
	}
	typ, err := ctyyaml.Standard.ImpliedType([]byte(source))
	if err != nil {
		t.Fatal(err)
	}
	value, err := ctyyaml.Standard.Unmarshal([]byte(source), typ)
	if err != nil {
		t.Fatal(err)
	}
	b, err := ctyjson.Marshal(value, typ)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var yamlKey = regexp.MustCompile(`^( *)((?:- )*)([\w.-]+):(?: (.*))?$`)

// repeatedKeys are keys that a mapping in block style has twice, of which the parser takes the
// last one.
func repeatedKeys(source string) (repeated []string) {
	seen := map[int]map[string]bool{} // by indentation
	text := -1                        // indentation of the key whose value is a block of text
	for _, line := range strings.Split(source, "\n") {
		if text >= 0 && (strings.TrimSpace(line) == "" || len(line)-len(strings.TrimLeft(line, " ")) > text) {
			continue
		}
		text = -1
		m := yamlKey.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		item, at := len(m[1]), len(m[1])+len(m[2])
		maps.DeleteFunc(seen, func(indent int, _ map[string]bool) bool { return indent > at || m[2] != "" && indent > item })
		if seen[at] == nil {
			seen[at] = map[string]bool{}
		}
		if seen[at][m[3]] {
			repeated = append(repeated, m[3])
		}
		seen[at][m[3]] = true
		if m[4] == "|" {
			text = item
		}
	}
	return repeated
}

func TestRepeatedKeys(t *testing.T) {
	for source, want := range map[string]string{
		"a: 1\nb:\n  a: 2\nc:\n  a: 3\n":               "",
		"a: 1\nb: 2\na: 3\n":                           "a",
		"l:\n  - a: 1\n    b: 2\n  - a: 3\n    b: 4\n": "",
		"l:\n  - a: 1\n    a: 2\n":                     "a",
		"s: |\n  a: 1\n  a: 2\nt:\n  u: 1\n  u: 2\n":   "u",
	} {
		if got := strings.Join(repeatedKeys(source), " "); got != want {
			t.Errorf("%q: %q, want %q", source, got, want)
		}
	}
}

// asText is a value as it would be written, to look for words in it.
func asText(v any) string {
	b, _ := json.Marshal(v)
	return strings.NewReplacer(`\u0026`, "&", `\u003e`, ">", `\u003c`, "<").Replace(string(b))
}

func hasKeys(t *testing.T, job string, o object, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if o[key] == nil {
			t.Errorf("job %s has no %s", job, key)
		}
	}
}

// ofThisRepository is a condition that a pull request from a fork does not meet.
const ofThisRepository = "github.event.pull_request.head.repo.full_name == github.repository"

// TestGitHubWorkflowIsSafe holds what the workflow promises in its comments.
func TestGitHubWorkflowIsSafe(t *testing.T) {
	w := readYAML(t, ciFile(t, "github.yml"))
	if got := slices.Sorted(maps.Keys(w["true"].(object))); !slices.Equal(got, []string{"pull_request", "push", "workflow_dispatch"}) {
		t.Errorf("starts by %v", got)
	}
	if asText(w["permissions"]) != "{}" {
		t.Errorf("permissions of all jobs: %s", asText(w["permissions"]))
	}
	jobs := w["jobs"].(object)
	for name, j := range jobs {
		job := j.(object)
		hasKeys(t, name, job, "runs-on", "timeout-minutes", "permissions", "steps")
		source := asText(job)
		writes, runs := strings.Contains(asText(job["permissions"]), "write"), strings.Contains(source, "esxiplan ")
		if writes != (name == "comment") || writes && (runs || strings.Contains(source, "checkout")) {
			t.Errorf("job %s has a token that writes: %s", name, asText(job["permissions"]))
		}
		if secret := strings.Contains(source, "secrets.") || job["environment"] != nil; secret && !guarded(jobs, job) {
			t.Errorf("job %s has secrets, and a fork's pull request starts it", name)
		}
		for _, s := range job["steps"].([]any) {
			checkStep(t, name, s.(object))
		}
	}
	for _, name := range []string{"plan", "apply"} {
		hasKeys(t, name, jobs[name].(object), "concurrency", "environment")
	}
}

// guarded reports a job that no pull request from a fork starts, by itself or by a job before it.
func guarded(jobs, job object) bool {
	condition, _ := job["if"].(string)
	if strings.Contains(condition, ofThisRepository) || strings.Contains(condition, "github.event_name != 'pull_request' &&") {
		return true
	}
	before, ok := job["needs"].(string)
	return ok && guarded(jobs, jobs[before].(object))
}

var ciActions = []string{"actions/checkout@v4", "actions/upload-artifact@v4", "actions/download-artifact@v4", "actions/github-script@v7"}

func checkStep(t *testing.T, job string, step object) {
	t.Helper()
	script, _ := step["run"].(string)
	action, uses := step["uses"].(string)
	switch {
	case strings.Contains(script, "${{"):
		t.Errorf("job %s: text of GitHub is put into a script: %s", job, script)
	case uses && !slices.Contains(ciActions, action):
		t.Errorf("job %s uses %s", job, action)
	case action == "actions/checkout@v4" && asText(step["with"]) != `{"persist-credentials":false}`:
		t.Errorf("job %s: the token of the checkout stays on disk", job)
	}
}

var gitlabKeywords = []string{"workflow", "stages", "variables"}

// TestGitLabPipelineIsSafe holds what the pipeline promises in its comments.
func TestGitLabPipelineIsSafe(t *testing.T) {
	p := readYAML(t, ciFile(t, "gitlab-ci.yml"))
	for name, j := range p {
		if slices.Contains(gitlabKeywords, name) {
			continue
		}
		job := j.(object)
		hasKeys(t, name, job, "stage", "timeout", "rules", "script")
		if !slices.Contains(p["stages"].([]any), job["stage"]) {
			t.Errorf("job %s: no stage %v", name, job["stage"])
		}
		rules := asText(job["rules"])
		if job["environment"] != nil && !strings.Contains(rules, "$CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_PROJECT_ID") && !strings.Contains(rules, "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH") {
			t.Errorf("job %s has secrets, and a fork's merge request starts it: %s", name, rules)
		}
		if strings.Contains(asText(job["script"]), "COMMENT_TOKEN") != (name == "comment") {
			t.Errorf("job %s and the token that writes comments", name)
		}
	}
	apply := p["apply"].(object)
	hasKeys(t, "apply", apply, "resource_group", "manual_confirmation")
	if apply["allow_failure"] != false || apply["interruptible"] != false || !strings.Contains(asText(apply["rules"]), `"when":"manual"`) {
		t.Errorf("apply does not wait for a click, or does not block: %s", asText(apply))
	}
}

// TestJenkinsfileIsSafe holds what the pipeline promises in its comments, for each stage of its
// outermost level.
func TestJenkinsfileIsSafe(t *testing.T) {
	source := ciFile(t, "Jenkinsfile")
	if !strings.Contains(source, "\n  agent none\n") || strings.Contains(source, "\t") {
		t.Error("the pipeline has an agent of its own, or tabs")
	}
	pieces := strings.Split(source, "\n    stage('")
	if head, _, _ := strings.Cut(pieces[0], "\npipeline {"); strings.Contains(pieces[0], "credentials(") || strings.Count(head, "withCredentials(") != 1 {
		t.Error("every stage has the secrets")
	}
	for _, kind := range []string{"usernamePassword(credentialsId: 'bmc'", "string(credentialsId: 'esxi-root-password'"} {
		if !strings.Contains(pieces[0], kind) {
			t.Errorf("no credentials %s", kind)
		}
	}
	for _, guard := range []string{"def installs() {\n  return !env.CHANGE_ID && env.BRANCH_NAME in [null, 'main']\n}", "if (installs()) {\n          node('esxi')"} {
		if !strings.Contains(pieces[0]+pieces[len(pieces)-1], guard) {
			t.Errorf("other branches than main reach the machines: no %s", guard)
		}
	}
	if comment := regexp.MustCompile(`(?s)\ndef comment\(.*?\n}`).FindString(source); !regexp.MustCompile(`(?s)try \{.*pullRequest\..*\n  } catch \(MissingPropertyException e\) \{\n    echo `).MatchString(comment) {
		t.Errorf("without the plugin that comments, a change request fails:\n%s", comment)
	}
	asks := false
	for _, stage := range pieces[1:] {
		name, _, _ := strings.Cut(stage, "'")
		secret := strings.Contains(stage, "redentials(") || strings.Contains(stage, "withSecrets") || strings.Contains(stage, " hosts(")
		guarded := strings.Contains(stage, "expression { installs() }")
		if secret && !guarded && !strings.Contains(stage, "expression { env.CHANGE_ID && !env.CHANGE_FORK }") {
			t.Errorf("stage %s has secrets, and a fork's change or any branch starts it", name)
		}
		if changes := regexp.MustCompile(`esxiplan (run|apply|do) | input `).MatchString(stage); changes && !guarded {
			t.Errorf("stage %s changes machines, and not only main starts it", name)
		}
		if strings.Contains(stage, " input ") {
			asks = true
			if strings.Contains(stage, "agent {") {
				t.Errorf("stage %s waits with an executor", name)
			}
		}
	}
	if !asks || strings.Count(source, "{") != strings.Count(source, "}") {
		t.Error("no stage asks, or a brace is missing")
	}
}

// ciScript is a script of a CI file, with the exit codes that its job takes for no failure.
type ciScript struct {
	job, text string
	exits     []int
}

func githubScripts(t *testing.T, source string) (out []ciScript) {
	jobs := readYAML(t, source)["jobs"].(object)
	for _, name := range []string{"check", "plan", "propose", "apply"} {
		for _, s := range jobs[name].(object)["steps"].([]any) {
			if run, ok := s.(object)["run"].(string); ok && s.(object)["name"] != "Install esxiplan" {
				out = append(out, ciScript{name, run, []int{0}})
			}
		}
	}
	return out
}

func gitlabScripts(t *testing.T, source string) (out []ciScript) {
	p := readYAML(t, source)
	for _, name := range []string{"check", "plan", "propose", "apply"} {
		s := ciScript{job: name, exits: []int{0}}
		for _, line := range p[name].(object)["script"].([]any) {
			s.text += line.(string) + "\n"
		}
		if may, ok := p[name].(object)["allow_failure"].(object); ok {
			for _, code := range may["exit_codes"].([]any) {
				s.exits = append(s.exits, int(code.(float64)))
			}
		}
		out = append(out, s)
	}
	return out
}

// jenkinsScripts are the commands of the Jenkinsfile. What its function hosts runs may end with
// exit codes that make a build unstable.
func jenkinsScripts(_ *testing.T, source string) (out []ciScript) {
	for _, m := range regexp.MustCompile(`(\w+)(?:\(| |: )'(esxiplan [^']*)'`).FindAllStringSubmatch(source, -1) {
		s := ciScript{m[1], m[2], []int{0}}
		if m[1] == "hosts" {
			s.exits = []int{0, 2, 4, 6}
		}
		out = append(out, s)
	}
	return out
}

// ciCommand is esxiplan in a CI job: it notes how it was called, and its machines are simulated.
const ciCommand = `#!/bin/sh
echo "$*" >> "$CALLS"
case " $* " in
*" --offline "*) ;;
" rehearse "*) set -- "$@" --speed 200 ;;
" plan "* | " apply "* | " run "*) set -- "$@" --sim "$SIM" ;;
esac
ESXIPLAN_AS_COMMAND=1 exec "$COMMAND" "$@"
`

// ciJob is a machine of a CI system, with a checkout and simulated machines, of which one is in use.
type ciJob struct {
	*simulated
	env []string
}

func newCIJob(t *testing.T) *ciJob {
	t.Helper()
	plan, err := os.ReadFile(filepath.Join("..", "..", "plans", "site.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	j := &ciJob{simulated: simulatePlan(t, string(plan), "--speed", "300", "--fault", "10.172.18.191=busy")}
	for name, content := range map[string]string{"plans/site.hcl": string(plan), "bin/esxiplan": ciCommand} {
		path := filepath.Join(j.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(j.dir, name) }
	j.env = append(os.Environ(), "PATH="+at("bin")+":"+os.Getenv("PATH"), "COMMAND="+os.Args[0], "SIM="+at("sim.json"), "CALLS="+at("calls"), "CI=true",
		"PLAN=plans/site.hcl", "LIMIT=all", "STATE="+at("state"), "MAX_AGE=24h", "RUN=jenkins-lab-feature%2Frack-7", "GITHUB_STEP_SUMMARY="+at("summary"), "GITHUB_RUN_ID=7", "CI_PIPELINE_ID=7")
	return j
}

// run runs a script as CI systems do: it ends with the first command that fails.
func (j *ciJob) run(s ciScript) string {
	j.t.Helper()
	c := exec.Command("bash", "-eo", "pipefail", "-c", s.text)
	c.Dir, c.Env = j.dir, j.env
	out, _ := c.CombinedOutput()
	if code := c.ProcessState.ExitCode(); !slices.Contains(s.exits, code) {
		j.t.Errorf("job %s: exit %d of\n%s\n%s", s.job, code, s.text, out)
	}
	return string(out)
}

// TestCIFilesRun runs every command of the CI files, in their order, from a pull request to
// machines that are installed: the one that is in use is refused and left out.
func TestCIFilesRun(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("bash"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("CI must have bash, for which the scripts of CI files are: ", err)
		}
		t.Skip("the scripts of CI files are for bash: ", err)
	}
	for name, scripts := range map[string]func(*testing.T, string) []ciScript{"github.yml": githubScripts, "gitlab-ci.yml": gitlabScripts, "Jenkinsfile": jenkinsScripts} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := ciFile(t, name)
			j, said := newCIJob(t), ""
			for _, s := range scripts(t, source) {
				said += j.run(s)
			}
			for _, want := range []string{"10.172.18.191 refused", "left out, as in the plan: 10.172.18.191 (refused)"} {
				if !strings.Contains(said, want) {
					t.Errorf("%q was not said:\n%s", want, said)
				}
			}
			for host, want := range map[string]int{"10.172.18.191": 0, "10.172.18.192": 1, "10.172.18.201": 1} {
				if got := j.resets(host, "On"); got != want {
					t.Errorf("%s was started %d times, want %d", host, got, want)
				}
			}
			j.ran(source)
			j.hasMarker()
		})
	}
}

// ran demands that each command of the file was called.
func (j *ciJob) ran(source string) {
	j.t.Helper()
	called, err := os.ReadFile(filepath.Join(j.dir, "calls"))
	if err != nil {
		j.t.Fatal(err)
	}
	source = regexp.MustCompile(`(?m)^\s*(#|//).*$`).ReplaceAllString(source, "")
	commands := regexp.MustCompile(`\besxiplan [a-z]+ ["$\w.-]+`).FindAllString(source, -1)
	commands = slices.DeleteFunc(commands, func(c string) bool { return strings.HasPrefix(c, "esxiplan ended ") })
	if got := strings.Count(string(called), "\n"); got != len(commands) {
		j.t.Errorf("%d commands ran:\n%s\nthe file has %d: %s", got, called, len(commands), strings.Join(commands, ", "))
	}
}

// hasMarker demands the line by which a comment is found again.
func (j *ciJob) hasMarker() {
	j.t.Helper()
	markdown, err := os.ReadFile(filepath.Join(j.dir, "plan.md"))
	if want := "<!-- esxiplan plan: lab -->\n"; err != nil || !strings.HasPrefix(string(markdown), want) {
		j.t.Errorf("the comment does not begin with %q (%v):\n%.200s", want, err, markdown)
	}
}

// TestREADMEShowsAPlan holds the plan that the README shows against the demo's machines. How long
// they run depends on the day.
func TestREADMEShowsAPlan(t *testing.T) {
	t.Parallel()
	var sources []string
	for _, name := range []string{"README.md", filepath.Join("plans", "demo.hcl")} {
		source, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, string(source))
	}
	shown := regexp.MustCompile(`(?s)\$ esxiplan (plan plans/demo\.hcl [^\n]*)\n(.*?)\n` + "```").FindStringSubmatch(sources[0])
	if shown == nil {
		t.Fatal("the README shows no plan of the demo")
	}
	s := simulatePlan(t, sources[1], "--speed", "200", "--fault", "lenovo-2=busy")
	c := s.command(append(strings.Fields(strings.Replace(shown[1], "plans/demo.hcl", "fleet.hcl", 1)), "--sim", "sim.json")...)
	c.Env = append(c.Env, "COLUMNS=120", "LANG=C.UTF-8", "LC_ALL=")
	out, _ := c.CombinedOutput()
	for _, line := range strings.Split(strings.ReplaceAll(shown[2], "plans/demo.hcl", "fleet.hcl"), "\n") {
		if strings.TrimSpace(line) != "…" && !strings.HasPrefix(line, "  runs now:") && !strings.Contains(string(out), line+"\n") {
			t.Errorf("the README shows %q, and the plan is\n%s", line, out)
		}
	}
}
