package v1

// PortNameOfPod is the name of a pod's switch port for a provider, of its IP object and the iface-id of its interface.
func PortNameOfPod(namespace, name, provider string) string {
	if provider == "" || provider == Provider {
		return name + "." + namespace
	}
	return name + "." + namespace + "." + provider
}

// PortNameOfNode is the name of a node's switch port, of its IP object and the iface-id of its ovn0 interface.
func PortNameOfNode(node string) string { return "node-" + node }
