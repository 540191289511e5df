package v1

import "strings"

// PortNameOfPod is the name of a pod's switch port for a provider, of its IP object and the iface-id of its interface.
func PortNameOfPod(namespace, name, provider string) string {
	if provider == "" || provider == Provider {
		return name + "." + namespace
	}
	return name + "." + namespace + "." + provider
}

// ProviderOfPort is the provider of a pod's port by the port's name: empty for the pod's own network. It is not ok for a name that
// is none of the pod's.
func ProviderOfPort(port, namespace, name string) (provider string, ok bool) {
	first := PortNameOfPod(namespace, name, "")
	if port == first {
		return "", true
	}
	provider, ok = strings.CutPrefix(port, first+".")
	return provider, ok && provider != "" && provider != Provider
}

// PortNameOfNode is the name of a node's switch port, of its IP object and the iface-id of its ovn0 interface.
func PortNameOfNode(node string) string { return "node-" + node }
