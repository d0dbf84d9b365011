package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const configsDir = "../../configs"

// composeFile is what the tests read of configs/compose.yaml.
type composeFile struct {
	Services map[string]struct {
		Command any
		Configs []struct{ Source, Target string }
		Secrets []string
		Volumes []string
		Tmpfs   []string
		Health  struct{ Test any } `yaml:"healthcheck"`
	}
	Configs map[string]struct{ Content, File string }
	Secrets map[string]struct{ File string }
}

func readCompose(t *testing.T) composeFile {
	t.Helper()
	var c composeFile
	if err := yaml.Unmarshal(readText(t, "compose.yaml"), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func readText(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(configsDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// manifest is what the tests read of an object in configs/kubernetes.yaml.
type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     struct {
		Template struct {
			Spec struct {
				Containers []struct {
					Name  string
					Image string
					Args  []string

					Resources struct{ Limits map[string]string }

					SecurityContext struct {
						ReadOnlyRootFilesystem bool `yaml:"readOnlyRootFilesystem"`
					} `yaml:"securityContext"`
					StartupProbe   map[string]any `yaml:"startupProbe"`
					LivenessProbe  map[string]any `yaml:"livenessProbe"`
					ReadinessProbe map[string]any `yaml:"readinessProbe"`
					VolumeMounts   []struct {
						Name      string
						MountPath string `yaml:"mountPath"`
						SubPath   string `yaml:"subPath"`
					} `yaml:"volumeMounts"`
				}
			}
		}
	}
}

func readManifests(t *testing.T) []manifest {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader(readText(t, "kubernetes.yaml")))
	var out []manifest
	for {
		var m manifest
		err := d.Decode(&m)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
}

// loadText loads a config as the program would.
func loadText(t *testing.T, where, text string) config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "qingyuan.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := loadConfig(file)
	if err != nil {
		t.Errorf("%s: %v", where, err)
	}
	return c
}

// Every config that is shipped, also inside of others, loads without a mistake.
func TestShippedConfigsLoad(t *testing.T) {
	if _, err := loadConfig(filepath.Join(configsDir, "qingyuan.yaml")); err != nil {
		t.Error(err)
	}
	n := 0
	for name, c := range readCompose(t).Configs {
		if c.Content != "" {
			loadText(t, "compose.yaml, config "+name, c.Content)
			n++
		}
	}
	for _, m := range readManifests(t) {
		for name, text := range m.Data {
			loadText(t, "kubernetes.yaml, "+m.Metadata.Name+"/"+name, text)
			n++
		}
	}
	if n != 6 {
		t.Errorf("%d configs were found in compose.yaml and kubernetes.yaml, want 6", n)
	}
}

// What a config in compose.yaml names is mounted where it says.
func TestComposeMountsWhatItsConfigsName(t *testing.T) {
	c := readCompose(t)
	secret := regexp.MustCompile(`/run/secrets/(\w+)`)
	for name, s := range c.Services {
		text := fmt.Sprint(s.Command, s.Health.Test)
		for _, from := range s.Configs {
			conf, ok := c.Configs[from.Source]
			if !ok {
				t.Errorf("%s: there is no config %s", name, from.Source)
			}
			text += conf.Content
			if conf.File != "" {
				readText(t, conf.File)
			}
			if conf.Content == "" {
				continue
			}
			data := loadText(t, name, conf.Content).Data
			if !slices.ContainsFunc(append(s.Volumes, s.Tmpfs...), func(v string) bool {
				return strings.HasSuffix(v, ":"+data) || strings.HasPrefix(v, data+":")
			}) {
				t.Errorf("%s: nothing is mounted at %s", name, data)
			}
			if !strings.Contains(fmt.Sprint(s.Command), from.Target) {
				t.Errorf("%s: its command does not read %s", name, from.Target)
			}
		}
		for _, m := range secret.FindAllStringSubmatch(text, -1) {
			if !slices.Contains(s.Secrets, m[1]) {
				t.Errorf("%s reads the secret %s and is not given it", name, m[1])
			}
		}
		for _, have := range s.Secrets {
			if c.Secrets[have].File != "./secrets/"+have {
				t.Errorf("%s: the secret %s is in no file", name, have)
			}
			if !regexp.MustCompile(`\b` + have + `\b`).Match(readText(t, "compose-secrets.sh")) {
				t.Errorf("compose-secrets.sh does not make %s", have)
			}
		}
	}
}

// Every container of ours in kubernetes.yaml is confined, bounded and asked.
func TestKubernetesContainers(t *testing.T) {
	configs := map[string]string{}
	for _, m := range readManifests(t) {
		for name, text := range m.Data {
			configs["/etc/qingyuan/"+name] = text
		}
	}
	n := 0
	for _, m := range readManifests(t) {
		for _, c := range m.Spec.Template.Spec.Containers {
			n++
			if !c.SecurityContext.ReadOnlyRootFilesystem || c.Resources.Limits["memory"] == "" || c.Resources.Limits["cpu"] == "" {
				t.Errorf("%s: its root is not read-only, or it has no limits", c.Name)
			}
			if m.Kind == "StatefulSet" && (c.StartupProbe == nil || c.ReadinessProbe == nil) {
				t.Errorf("%s has no probes", c.Name)
			}
			var mounts []string
			for _, v := range c.VolumeMounts {
				mounts = append(mounts, v.MountPath)
			}
			for i, a := range c.Args {
				if i == 0 || c.Args[i-1] != "-config" {
					continue
				}
				text, ok := configs[a]
				if !ok || !slices.Contains(mounts, a) {
					t.Errorf("%s: its config %s is not in the ConfigMap or not mounted", c.Name, a)
					continue
				}
				if data := loadText(t, c.Name, text).Data; !slices.Contains(mounts, data) {
					t.Errorf("%s: nothing is mounted at %s", c.Name, data)
				}
			}
		}
	}
	if n != 4 {
		t.Errorf("%d containers, want 4", n)
	}
}

// Every command line of ours that is shipped has a command and flags that there are.
func TestShippedCommandLines(t *testing.T) {
	var lines [][]string
	for _, s := range readCompose(t).Services {
		if args, ok := s.Command.([]any); ok && len(args) > 0 && args[0] != "sh" {
			lines = append(lines, argsOf(args))
		}
		if args, ok := s.Health.Test.([]any); ok && len(args) > 1 && args[1] == "/qingyuan" {
			lines = append(lines, argsOf(args[2:]))
		}
	}
	for _, m := range readManifests(t) {
		for _, c := range m.Spec.Template.Spec.Containers {
			if len(c.Args) > 0 {
				lines = append(lines, c.Args)
			}
			for _, p := range []map[string]any{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
				run, _ := p["exec"].(map[string]any)
				if args, ok := run["command"].([]any); ok && args[0] == "/qingyuan" {
					lines = append(lines, argsOf(args[1:]))
				}
			}
		}
	}
	units, err := filepath.Glob(filepath.Join(configsDir, "systemd", "*"))
	if err != nil {
		t.Fatal(err)
	}
	exe := regexp.MustCompile(`(?m)^Exec\w+=/usr/bin/qingyuan (.*)$`)
	for _, u := range units {
		for _, m := range exe.FindAllStringSubmatch(string(readText(t, "systemd/"+filepath.Base(u))), -1) {
			lines = append(lines, strings.Fields(m[1]))
		}
	}
	if len(lines) < 15 {
		t.Fatalf("only %d command lines were found", len(lines))
	}
	for _, line := range lines {
		var errs strings.Builder
		if code := run(t.Context(), stdio{out: io.Discard, err: &errs}, []string{line[0], "-h"}); code != 0 {
			t.Errorf("%v: there is no such command", line)
			continue
		}
		for _, a := range line[1:] {
			if strings.HasPrefix(a, "-") && !regexp.MustCompile(`(?m)^  `+regexp.QuoteMeta(a)+`\b`).MatchString(errs.String()) {
				t.Errorf("%v: %s has no flag %s", line, line[0], a)
			}
		}
	}
}

func argsOf(args []any) []string {
	var out []string
	for _, a := range args {
		out = append(out, fmt.Sprint(a))
	}
	return out
}

// What the Dockerfile builds and copies is there, and not left out by .dockerignore.
func TestDockerfilePaths(t *testing.T) {
	text, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := os.ReadFile("../../.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, m := range regexp.MustCompile(`(?m)^COPY ([^-].*) \S+$`).FindAllStringSubmatch(string(text), -1) {
		for _, path := range strings.Fields(m[1]) {
			n++
			if _, err := os.Stat(filepath.Join("../..", path)); err != nil {
				t.Error(err)
			}
			if slices.Contains(strings.Fields(string(ignored)), path) {
				t.Errorf(".dockerignore leaves out %s", path)
			}
		}
	}
	for _, want := range []string{"./cmd/qingyuan\n", "\nUSER 1000:1000\n", "\nFROM scratch\n", "CGO_ENABLED=0"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the Dockerfile lacks %q", want)
		}
	}
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	need := regexp.MustCompile(`(?m)^go (1\.\d+)`).FindStringSubmatch(string(mod))
	if n != 5 || need == nil || !strings.Contains(string(text), "golang:"+need[1]+"-") {
		t.Errorf("%d paths are copied, want 5; go.mod needs Go %v", n, need)
	}
}

// The units are ones that systemd understands.
func TestSystemdUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is missing") // it comes with systemd, which a container has not
	}
	dir := t.TempDir()
	units, err := filepath.Glob(filepath.Join(configsDir, "systemd", "*"))
	if err != nil || len(units) < 5 {
		t.Fatal(units, err)
	}
	var args []string
	for _, u := range units {
		name := strings.Replace(filepath.Base(u), "@.", "@1.", 1)
		text := strings.ReplaceAll(string(readText(t, "systemd/"+filepath.Base(u))), "/usr/bin/qingyuan", "/bin/true")
		to := filepath.Join(dir, name)
		if strings.HasSuffix(name, ".conf") {
			to = filepath.Join(dir, "qingyuan.service.d", "browser.conf")
			if err := os.Mkdir(filepath.Dir(to), 0o755); err != nil {
				t.Fatal(err)
			}
		} else {
			args = append(args, to)
		}
		if err := os.WriteFile(to, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), analyze, append([]string{"verify", "--man=no"}, args...)...).CombinedOutput()
	if err != nil || strings.Contains(string(out), dir) {
		t.Errorf("%v\n%s", err, out)
	}
}
