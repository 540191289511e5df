package cni

import (
	"encoding/json"
	"os"
	"strings"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"
)

// DefaultSocket is where the daemon listens when the network configuration names no other place.
const DefaultSocket = "/run/woven/cni.sock"

// Path is the one HTTP path of the socket.
const Path = "/cni"

// CodeAttachmentDiffers answers CHECK: the attachment is not as ADD left it. Codes from 100 on are a plugin's own.
const CodeAttachmentDiffers uint = 100

// Versions are the versions of the CNI specification that Woven answers in.
var Versions = version.PluginSupports("0.3.1", "0.4.0", "1.0.0", "1.1.0")

// Request is one call of a container runtime: its CNI_* environment and its standard input, both as they came.
type Request struct {
	Env    map[string]string `json:"env"`
	Config json.RawMessage   `json:"config"`
}

// Environ gathers the CNI_* variables of this process.
func Environ() map[string]string {
	env := map[string]string{}
	for _, kv := range os.Environ() {
		if key, value, ok := strings.Cut(kv, "="); ok && strings.HasPrefix(key, "CNI_") {
			env[key] = value
		}
	}
	return env
}

// Command is the verb: ADD, DEL, CHECK, STATUS or GC.
func (r Request) Command() string { return r.Env["CNI_COMMAND"] }

// NetConf is what of the network configuration both sides read.
type NetConf struct {
	types.PluginConf

	// ServerSocket is the daemon's unix socket.
	ServerSocket string `json:"server_socket,omitempty"`
}

// ReadConf reads a network configuration and puts in the default socket.
func ReadConf(config []byte) (NetConf, error) {
	conf := NetConf{ServerSocket: DefaultSocket}
	if err := json.Unmarshal(config, &conf); err != nil {
		return conf, types.NewError(types.ErrDecodingFailure, "decoding the network configuration", err.Error())
	}
	return conf, nil
}
