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

// TxChecksumOff turns transmit checksum offload off, by a socket in the interface's namespace.
func TxChecksumOff(socket int, ifname string) error {
	if err := ethtool(socket, ifname, &ethtoolValue{cmd: unix.ETHTOOL_STXCSUM}); err != nil {
		return fmt.Errorf("turning transmit checksums off on %s: %w", ifname, err)
	}
	return nil
}

// SetTxChecksumOff does the same to an interface of the host.
func SetTxChecksumOff(ifname string) error {
	return onHost(func(fd int) error { return TxChecksumOff(fd, ifname) })
}

// TxChecksum tells whether an interface of the host leaves checksums to its device.
func TxChecksum(ifname string) (offloaded bool, err error) {
	err = onHost(func(fd int) error {
		offloaded, err = TxChecksumBy(fd, ifname)
		return err
	})
	return offloaded, err
}

// TxChecksumBy is TxChecksum, by a socket in the interface's namespace.
func TxChecksumBy(socket int, ifname string) (offloaded bool, err error) {
	value := ethtoolValue{cmd: unix.ETHTOOL_GTXCSUM}
	err = ethtool(socket, ifname, &value)
	return value.data != 0, err
}

func onHost(do func(socket int) error) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening a socket: %w", err)
	}
	defer unix.Close(fd)
	return do(fd)
}

func ethtool(socket int, ifname string, value *ethtoolValue) error {
	request := ifreqData{data: unsafe.Pointer(value)}
	copy(request.name[:unix.IFNAMSIZ-1], ifname)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(socket), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	runtime.KeepAlive(value)
	if errno != 0 {
		return errno
	}
	return nil
}
