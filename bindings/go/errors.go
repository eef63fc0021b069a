// SPDX-License-Identifier: Apache-2.0

package tachyon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"tachyon-ipc/bindings/go/internal/native"
)

// ErrorCode is one of the core's errors, and what errors.Is compares a TachyonError with.
type ErrorCode int

// The numbers are those of tachyon_error_t.
const (
	ErrNullPtr ErrorCode = iota + 1
	ErrMem
	ErrOpen
	ErrTruncate
	ErrChmod
	ErrSeal
	ErrMap
	ErrInvalidSize
	ErrFull
	ErrEmpty
	ErrNetwork
	ErrSystem
	ErrInterrupted
	ErrABIMismatch
	ErrPeerDead
	ErrClosed
	ErrTimeout
	ErrBusy
	ErrCorrupt
	ErrAddrInUse
	ErrPermission
	ErrForked
	ErrAborted
	ErrLagged
)

// String is the name of the error in C.
func (c ErrorCode) String() string { return native.Error_name(native.Tachyon_error_t(c)) }

func (c ErrorCode) Error() string { return native.Strerror(native.Tachyon_error_t(c)) }

// TachyonError is what every call fails with. It is, for errors.Is, also what Go knows:
// ErrClosed io.EOF, ErrTimeout os.ErrDeadlineExceeded, ErrPermission os.ErrPermission, and
// the error of the context that has ended the call.
type TachyonError struct {
	Code    ErrorCode
	Message string // with cause and value
	cause   error
}

func (e *TachyonError) Error() string { return e.Message }

// Unwrap gives the error of the context, if it was that.
func (e *TachyonError) Unwrap() error { return e.cause }

// Timeout and Temporary make it a net.Error.
func (e *TachyonError) Timeout() bool { return e.Code == ErrTimeout }

// Temporary tells that the same call may succeed later.
func (e *TachyonError) Temporary() bool { return e.Code == ErrFull || e.Code == ErrEmpty }

// Is says what the error is besides itself.
func (e *TachyonError) Is(target error) bool {
	switch target {
	case io.EOF:
		return e.Code == ErrClosed
	case os.ErrDeadlineExceeded:
		return e.Code == ErrTimeout
	case os.ErrPermission:
		return e.Code == ErrPermission
	}
	return target == e.Code
}

// What is no news needs no text of its own.
var (
	full  = failure(ErrFull, "%v", ErrFull)
	empty = failure(ErrEmpty, "%v", ErrEmpty)

	errBusy = failure(ErrBusy, "another goroutine, or a loop over Messages, uses the bus")
)

func failure(code ErrorCode, format string, values ...any) error {
	return &TachyonError{Code: code, Message: fmt.Sprintf(format, values...)}
}

func ended(ctx context.Context) error {
	code := ErrInterrupted
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		code = ErrTimeout
	}
	return &TachyonError{code, context.Cause(ctx).Error(), ctx.Err()}
}

// IsFull tells that there is no room in the ring yet.
func IsFull(err error) bool { return errors.Is(err, ErrFull) }

// IsInterrupted tells that a wait was ended from outside.
func IsInterrupted(err error) bool { return errors.Is(err, ErrInterrupted) }

// IsABIMismatch tells that the peer speaks another protocol.
func IsABIMismatch(err error) bool { return errors.Is(err, ErrABIMismatch) }

// MakeTypeID makes a type of a route and a message type.
func MakeTypeID(route, msgType uint16) uint32 { return uint32(route)<<16 | uint32(msgType) }

// RouteID is the route of a type, MsgType its message type.
func RouteID(typeID uint32) uint16 { return uint16(typeID >> 16) }

// MsgType is the message type of a type.
func MsgType(typeID uint32) uint16 { return uint16(typeID) }
