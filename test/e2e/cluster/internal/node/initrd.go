package node

import (
	"bytes"
	"fmt"
	"io"
)

// initrdFile is a file of an initial RAM disk.
type initrdFile struct {
	name    string
	mode    uint32
	content []byte
}

// writeInitrd writes an initial RAM disk: a cpio archive of the format "newc", which the kernel unpacks into its first
// root (Documentation/driver-api/early-userspace/buffer-format.rst).
func writeInitrd(w io.Writer, files []initrdFile) error {
	var b bytes.Buffer
	const regular, trailer = 0o100000, "TRAILER!!!"
	for i, f := range append(files, initrdFile{name: trailer}) {
		mode := f.mode | regular
		if f.name == trailer {
			mode = 0
		}
		// Inode, mode, uid, gid, links, mtime, size, device (2), special device (2), length of the name, checksum.
		fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
			i+1, mode, 0, 0, 1, 0, len(f.content), 0, 0, 0, 0, len(f.name)+1, 0)
		b.WriteString(f.name + "\x00")
		pad(&b)
		b.Write(f.content)
		pad(&b)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// pad fills up to a multiple of four bytes.
func pad(b *bytes.Buffer) { b.Write(make([]byte, -b.Len()&3)) }
