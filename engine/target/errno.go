package target

import (
	"errors"
	"syscall"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// fromErrno names the failures that the operating system reports by number.
func fromErrno(err error) traffic.Failure {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return traffic.NoFailure
	}
	switch errno {
	case syscall.ECONNREFUSED:
		return traffic.Refused
	case syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED:
		return traffic.Reset
	case syscall.EHOSTUNREACH, syscall.ENETUNREACH:
		return traffic.Unreachable
	case syscall.EADDRNOTAVAIL, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM:
		return traffic.NoResources
	case syscall.ETIMEDOUT:
		return traffic.TimedOut
	}
	return traffic.NoFailure
}
