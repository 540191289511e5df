package images

import (
	"context"
	"path/filepath"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/build"
)

// KubernetesArchive is the file name of the archive that Kubernetes makes.
const KubernetesArchive = "kubernetes.tar"

// Made are the directories of the artefacts that images are made of.
type Made struct{ Kubernetes, CoreDNS, NodeRoot string }

// Kubernetes is an archive of the images that a cluster and Kubernetes' own tests want, under their real names. They
// are made by hand from the same programs.
func Kubernetes(m Made) build.Artefact {
	return build.Artefact{
		Name: "images",
		// The directories' names are hashes of recipes: they stand for their content.
		Recipe: []string{"v3", filepath.Base(m.Kubernetes), filepath.Base(m.CoreDNS), filepath.Base(m.NodeRoot)},
		Slow:   "writing the images pause, CoreDNS, agnhost and those of the upstream suites",
		Make: func(_ context.Context, dir string) error {
			layers := map[string]string{"debian": filepath.Join(m.NodeRoot, "root.tar")}
			for name, entries := range map[string][]entry{
				"pause":   {{name: "pause", from: filepath.Join(m.Kubernetes, "pause")}},
				"coredns": {{name: "coredns", from: filepath.Join(m.CoreDNS, "coredns")}},
				// The program has the second of its two names, so that a layer above can put something else at the first.
				"agnhost": {
					{name: "agnhost-2", from: filepath.Join(m.Kubernetes, "agnhost")},
					{name: "agnhost", link: "agnhost-2"},
					{name: "localhost.crt", from: filepath.Join(m.Kubernetes, "localhost.crt")},
					{name: "localhost.key", from: filepath.Join(m.Kubernetes, "localhost.key")},
					{name: "uploads/"},
				},
				"patient": {{name: "agnhost", text: patient}},
				"busybox": busybox(m.NodeRoot),
				"issue":   {{name: "regression-issue-74839", from: filepath.Join(m.Kubernetes, "regression-issue-74839")}},
			} {
				layers[name] = filepath.Join(dir, name+".layer")
				if err := writeLayer(layers[name], entries); err != nil {
					return err
				}
			}
			return writeArchive(filepath.Join(dir, KubernetesArchive), layers, kubernetesImages())
		},
	}
}

// kubernetesImages are the images by the names that Kubernetes and its tests call them by.
func kubernetesImages() []image {
	const (
		registry = "registry.k8s.io/"
		tests    = registry + "e2e-test-images/"
	)
	agnhost := []string{"/agnhost"}
	return []image{
		{tags: []string{registry + "pause:3.10.2"}, layers: []string{"pause"}, entrypoint: []string{"/pause"}},
		{tags: []string{registry + "coredns/coredns:" + build.CoreDNSVersion}, layers: []string{"coredns"}, entrypoint: []string{"/coredns"}},
		// agnhost runs CoreDNS too, in some of the tests.
		{tags: []string{tests + "agnhost:2.63.0"}, layers: []string{"debian", "coredns", "agnhost"}, entrypoint: agnhost, cmd: []string{"pause"}},
		{tags: []string{tests + "agnhost:2.45"}, layers: []string{"debian", "agnhost", "patient"}, entrypoint: agnhost, cmd: []string{"pause"}},
		{tags: []string{tests + "busybox:1.37.0-1"}, layers: []string{"busybox"}, cmd: []string{"sh"}},
		{tags: []string{tests + "nginx:1.15-4", tests + "nginx:1.27-0"}, layers: []string{"debian"}, cmd: []string{"nginx", "-g", "daemon off;"}},
		{tags: []string{tests + "glibc-dns-testing:2.0.0"}, layers: []string{"debian"}, cmd: []string{"sleep", "3600"}},
		{tags: []string{tests + "regression-issue-74839:1.4"}, layers: []string{"issue"}, entrypoint: []string{"/regression-issue-74839"}},
		{tags: []string{registry + "build-image/distroless-iptables:v0.9.6"}, layers: []string{"debian"}, cmd: []string{"bash"}},
	}
}

// patient is agnhost for network-policy-api's suite, which uses an older one. Each of its pods has two servers of SCTP;
// where the kernel has no SCTP they would end at once, no pod would get ready, and not one test would run.
const patient = `#!/bin/sh
case $1 in
porter)
    /agnhost-2 "$@"
    exec /agnhost-2 pause
    ;;
esac
exec /agnhost-2 "$@"
`

// busybox is a small system of one program with all the names that it answers to.
func busybox(nodeRoot string) []entry {
	entries := []entry{
		{name: "bin/"},
		{name: "tmp/"},
		{name: "etc/"},
		{name: "bin/busybox", from: filepath.Join(nodeRoot, "root", "usr", "bin", "busybox")},
		{name: "etc/passwd", text: "root:x:0:0:root:/root:/bin/sh\n"},
		{name: "etc/group", text: "root:x:0:\n"},
	}
	for _, name := range applets {
		entries = append(entries, entry{name: "bin/" + name, link: "busybox"})
	}
	return entries
}

// applets are the programs of busybox that tests call.
var applets = []string{
	"ash", "cat", "chmod", "cp", "cut", "date", "dd", "df", "echo", "env", "expr", "false", "grep", "head",
	"hostname", "httpd", "id", "ip", "kill", "ln", "ls", "mkdir", "mount", "mv", "nc", "netstat", "nslookup", "ping", "ping6",
	"printf", "ps", "pwd", "rm", "route", "sed", "seq", "sh", "sleep", "sort", "stat", "sync", "tail", "tar", "tee", "telnet",
	"test", "timeout", "top", "touch", "tr", "traceroute", "true", "tty", "uname", "uniq", "vi", "watch", "wc", "wget", "which",
	"xargs", "yes",
}
