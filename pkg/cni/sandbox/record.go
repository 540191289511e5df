package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"

	"github.com/woven-cni/woven/pkg/host/device"
)

// Attachment names one interface of one container, as the CNI specification does.
type Attachment struct {
	ContainerID string
	IfName      string
}

// HostName is the name of the host end. It follows from the attachment alone, so that DEL needs no memory, a crashed
// ADD is found again, and a repeated one meets itself.
func (a Attachment) HostName() string {
	return device.PodName(a.ContainerID + "/" + a.IfName)
}

// Record is what the host end remembers about its attachment, in its alias. It lives exactly as long as the link: no
// file can be left behind, and when Open vSwitch loses its database, the ports can be made again from it. An alias has
// room for 255 bytes; the pod's name, which alone may be that long, is found again by its UID.
type Record struct {
	ContainerID string `json:"id"`
	IfName      string `json:"if"`
	PodUID      string `json:"uid"`
	NetNS       string `json:"ns,omitempty"`
}

const aliasMax = 255

// Attachment is the attachment that the record is about.
func (r Record) Attachment() Attachment {
	return Attachment{ContainerID: r.ContainerID, IfName: r.IfName}
}

func (r Record) alias() (string, error) {
	text, err := json.Marshal(r)
	if err == nil && len(text) > aliasMax {
		r.NetNS = ""
		text, err = json.Marshal(r)
	}
	if err != nil {
		return "", fmt.Errorf("encoding the record: %w", err)
	}
	if len(text) > aliasMax {
		return "", fmt.Errorf("the record of container %s is longer than an alias can be", r.ContainerID)
	}
	return string(text), nil
}

// HostEnd is a host end that exists.
type HostEnd struct {
	Name   string
	Index  int
	Record *Record // nil when ADD was cut off before it wrote one
	Doomed bool    // DEL has been here; the link waits for the end of its namespace
}

// HostEnds lists the host ends of this node.
func HostEnds() ([]HostEnd, error) {
	links, err := netlink.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("listing links: %w", err)
	}
	var ends []HostEnd
	for _, link := range links {
		attrs := link.Attrs()
		if link.Type() != "veth" || !device.IsPodName(attrs.Name) {
			continue
		}
		ends = append(ends, hostEnd(attrs))
	}
	return ends, nil
}

// FindHostEnd is the host end of a name, or nil.
func FindHostEnd(name string) (*HostEnd, error) {
	attrs, err := hostAttrs(name)
	if err != nil || attrs == nil {
		return nil, err
	}
	end := hostEnd(attrs)
	return &end, nil
}

func hostEnd(attrs *netlink.LinkAttrs) HostEnd {
	end := HostEnd{Name: attrs.Name, Index: attrs.Index, Doomed: attrs.Group == doomedGroup}
	var record Record
	if json.Unmarshal([]byte(attrs.Alias), &record) == nil && record.Attachment().HostName() == attrs.Name {
		end.Record = &record
	}
	return end
}

// HostEndUp tells whether a host end exists and is up.
func HostEndUp(name string) (bool, error) {
	attrs, err := hostAttrs(name)
	return attrs != nil && attrs.Flags&net.FlagUp != 0, err
}

// HostEndLives tells whether a host end exists and is not doomed.
func HostEndLives(name string) (bool, error) {
	attrs, err := hostAttrs(name)
	return attrs != nil && attrs.Group != doomedGroup, err
}

func hostAttrs(name string) (*netlink.LinkAttrs, error) {
	link, err := netlink.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking at link %s: %w", name, err)
	}
	return link.Attrs(), nil
}
