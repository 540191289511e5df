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
	const registry = "registry.k8s.io/"
	images := []image{
		{tags: []string{registry + "pause:3.10.2"}, layers: []string{"pause"}, entrypoint: []string{"/pause"}},
		{tags: []string{registry + "coredns/coredns:" + build.CoreDNSVersion}, layers: []string{"coredns"}, entrypoint: []string{"/coredns"}},
		// agnhost runs CoreDNS too, in some of Kubernetes' tests.
		{tags: []string{registry + "e2e-test-images/agnhost:2.63.0"}, layers: []string{"debian", "coredns", "agnhost"},
			entrypoint: []string{"/agnhost"}, cmd: []string{"pause"}},
	}
	return build.Artefact{
		Name: "images",
		// The directories' names are hashes of recipes: they stand for their content.
		Recipe: []string{"v2", filepath.Base(m.Kubernetes), filepath.Base(m.CoreDNS), filepath.Base(m.NodeRoot)},
		Slow:   "writing the images pause, CoreDNS and agnhost",
		Make: func(_ context.Context, dir string) error {
			layers := map[string]string{"debian": filepath.Join(m.NodeRoot, "root.tar")}
			for name, entries := range map[string][]entry{
				"pause":   {{name: "pause", from: filepath.Join(m.Kubernetes, "pause")}},
				"coredns": {{name: "coredns", from: filepath.Join(m.CoreDNS, "coredns")}},
				"agnhost": {
					{name: "agnhost", from: filepath.Join(m.Kubernetes, "agnhost")},
					{name: "agnhost-2", link: "agnhost"},
					{name: "localhost.crt", from: filepath.Join(m.Kubernetes, "localhost.crt")},
					{name: "localhost.key", from: filepath.Join(m.Kubernetes, "localhost.key")},
					{name: "uploads/"},
				},
			} {
				layers[name] = filepath.Join(dir, name+".layer")
				if err := writeLayer(layers[name], entries); err != nil {
					return err
				}
			}
			return writeArchive(filepath.Join(dir, KubernetesArchive), layers, images)
		},
	}
}
