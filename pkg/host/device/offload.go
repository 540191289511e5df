package device

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ethtoolValue is struct ethtool_value of linux/ethtool.h.
type ethtoolValue struct {
	cmd  uint32
	data uint32
}

// ifreqData is struct ifreq of linux/if.h with a pointer in its union.
type ifreqData struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte
}

// TxChecksumOff turns transmit checksum offload off on an interface of the calling thread's network namespace.
func TxChecksumOff(ifname string) error {
	if err := ethtool(ifname, &ethtoolValue{cmd: unix.ETHTOOL_STXCSUM}); err != nil {
		return fmt.Errorf("turning transmit checksums off on %s: %w", ifname, err)
	}
	return nil
}

// TxChecksum tells whether such an interface leaves checksums to its device.
func TxChecksum(ifname string) (offloaded bool, err error) {
	value := ethtoolValue{cmd: unix.ETHTOOL_GTXCSUM}
	err = ethtool(ifname, &value)
	return value.data != 0, err
}

func ethtool(ifname string, value *ethtoolValue) error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening a socket: %w", err)
	}
	defer unix.Close(socket)
	request := ifreqData{data: unsafe.Pointer(value)}
	copy(request.name[:unix.IFNAMSIZ-1], ifname)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(socket), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	runtime.KeepAlive(value)
	if errno != 0 {
		return errno
	}
	return nil
}
