// Package device is what the daemon's parts know in common of single links: the names of the pods' links on the host, and
// whether a device computes checksums.
package device

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// podPrefix starts the name of every pod's link on the host. With the digits after it, it is ours.
const (
	podPrefix  = "w"
	podNameLen = 12
)

// PodName is the name of the host's end of an attachment's link. It follows from what names the attachment alone.
func PodName(attachment string) string {
	sum := sha256.Sum256([]byte(attachment))
	return podPrefix + hex.EncodeToString(sum[:])[:podNameLen-len(podPrefix)]
}

// IsPodName tells whether a link of this name is a pod's.
func IsPodName(name string) bool {
	digits, ok := strings.CutPrefix(name, podPrefix)
	if !ok || len(name) != podNameLen {
		return false
	}
	return strings.Trim(digits, "0123456789abcdef") == ""
}
