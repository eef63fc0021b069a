// SPDX-License-Identifier: Apache-2.0

// Package tachyon is messaging between processes of one machine through shared memory.
//
// Send, AcquireTx, Call and Reply do not wait: IsFull tells that there is no room. What
// receives waits for ever. The variants with a context wait until that ends. A goroutine
// that waits keeps a thread; the others go on.
//
// One goroutine at a time uses a bus, a second one gets ErrBusy. Any may close or abort
// it, which ends a call that waits with ErrClosed; and any may Accept, one at a time.
//
// With MaxPeers who listens has many peers: a producer with as many consumers, of which each
// gets every message; a consumer with as many producers; an RpcBus with as many callers.
package tachyon

import (
	"context"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"tachyon-ipc/bindings/go/internal/native"
)

// Options of opening; zero values are the defaults.
type Options struct {
	Timeout time.Duration // 0: Listen waits for ever, Connect tries once; less: for ever
	Mode    os.FileMode   // of the socket; 0: 0600
	UIDs    []uint32      // who may connect; none: only our own user
	Role    int           // RoleProducer or RoleConsumer; 0: by the first send or receive
	Schema  uint64        // of the messages: two that differ are refused; 0: not compared

	// One listener, many peers: with a role, MaxPeers at most; 0: a single one, ever.
	MaxPeers     uint32
	SlowPeer     SlowPeer      // of a producer, and what follows
	SlowAfter    time.Duration // until SlowDisconnect lets it go
	WithoutPeers WithoutPeers
	KeepPlace    time.Duration // of a consumer with a name that has died

	// Of who connects to one. A start that is not StartNow makes a consumer of it.
	Name                      string // of at most 31 bytes
	Start                     Start
	StartPosition, StartEpoch uint64 // what Position has told

	// Types describes the messages, as the generated files do, and sets Schema. Of two
	// ends that differ each one's error says in what.
	Types         string
	TypesRequired bool // refuse a peer that does not say its types
}

// Roles that an end may declare.
const (
	RoleProducer = 1 + iota
	RoleConsumer
)

// Peer is who is at the other end, as the kernel said.
type Peer struct {
	PID      int
	UID, GID uint32
}

// An endpoint is what a Bus and an RpcBus have in common; in C they are one type.
type endpoint struct {
	raw    native.SwigcptrBus // 0: not open
	fields *native.Fields
	busy   atomic.Bool // with what follows, which is Go's
	buffer []byte      // of what is received
	ring   []byte      // the ring's memory, once something is in place
	views  []view      // C's words on a batch in it
	batch  []RxMsg     // and ours
	turn   uint64      // of the guard that is open
}

type opener func(native.Options) int64

func (e *endpoint) open(ctx context.Context, path string, o *Options, timeout float64, call opener,
	capacities ...int) error {
	for _, capacity := range capacities {
		if capacity < 0 {
			return failure(ErrInvalidSize, "the capacity is %d", capacity)
		}
	}
	switch {
	case ctx == nil:
		return failure(ErrNullPtr, "the context is nil")
	case ctx.Err() != nil:
		return ended(ctx)
	case strings.IndexByte(path, 0) >= 0:
		return failure(ErrInvalidSize, "a NUL is in the path %q", path)
	case o == nil:
		o = &Options{}
	case o.Role < 0 || o.Role > RoleConsumer:
		return failure(ErrInvalidSize, "the role is %d", o.Role)
	case strings.IndexByte(o.Types, 0) >= 0:
		return failure(ErrInvalidSize, "a NUL is in the types")
	case strings.IndexByte(o.Name, 0) >= 0:
		return failure(ErrInvalidSize, "a NUL is in the name %q", o.Name)
	}
	if o.Timeout != 0 {
		timeout = o.Timeout.Seconds()
	}
	options := native.NewOptions()
	defer native.DeleteOptions(options)
	options.SetTimeout(timeout)
	options.SetMode(uint(o.Mode))
	options.SetRole(o.Role)
	options.SetSchema(o.Schema)
	options.SetMaxPeers(uint(o.MaxPeers))
	options.SetSlowPeer(int(o.SlowPeer))
	options.SetSlowAfter(o.SlowAfter.Seconds())
	options.SetWithoutPeers(int(o.WithoutPeers))
	options.SetKeepPlace(o.KeepPlace.Seconds())
	options.SetStart(int(o.Start))
	options.SetStartPosition(o.StartPosition)
	options.SetStartEpoch(o.StartEpoch)
	options.SetName(o.Name)
	if o.Types != "" {
		options.SetTypes(o.Types)
	}
	if o.TypesRequired {
		options.SetTypesRequired(1)
	}
	for _, uid := range o.UIDs {
		options.AllowUid(uint(uid))
	}
	e.raw = native.SwigcptrBus(native.NewBus().Swigcptr())
	cleanup := runtime.AddCleanup(e, func(raw native.SwigcptrBus) { native.DeleteBus(raw) }, e.raw)
	e.fields = native.FieldsOf(e.raw)
	_, err := e.interruptible(ctx, func() int64 { return call(options) })
	if err != nil { // nobody will have it, and the collector does not know how large it is
		cleanup.Stop()
		native.DeleteBus(e.raw)
	}
	return err
}

func opened[T any](bus *T, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	return bus, nil
}

// Close ends the stream, for the peer behind what was sent; any goroutine may, also again.
func (e *endpoint) Close() error {
	if e.raw != 0 {
		e.raw.Close()
	}
	runtime.KeepAlive(e)
	return nil
}

// Abort ends the stream so that the peer does not take it for whole.
func (e *endpoint) Abort() {
	if e.raw != 0 {
		e.raw.Abort()
	}
	runtime.KeepAlive(e)
}

// Peer tells who is at the other end.
func (e *endpoint) Peer() (peer Peer, err error) {
	_, err = e.do(func() int64 {
		p := e.raw.Peer()
		defer native.DeletePeer(p)
		peer = peerOf(p)
		return e.closed()
	})
	return
}

// MaxPayload is the size of the largest message.
func (e *endpoint) MaxPayload() (int, error) { return e.do(e.raw.MaxPayload) }

// SetPollingMode says with 1 that this end never sleeps while it waits.
func (e *endpoint) SetPollingMode(pureSpin int) error {
	_, err := e.do(func() int64 {
		e.raw.SetPollingMode(pureSpin)
		return e.closed()
	})
	return err
}

// NoWait is for what takes a context, and then does not wait: ErrFull, ErrEmpty.
var NoWait context.Context = &noWait{context.Background()}

type noWait struct{ context.Context }

// do makes a call that cannot wait.
func (e *endpoint) do(call func() int64) (int, error) {
	return e.wait(NoWait, func(float64) int64 { return call() })
}

// wait makes a call with a time-out in seconds, for as long as the context lets it.
func (e *endpoint) wait(ctx context.Context, call func(timeout float64) int64) (int, error) {
	patience, err := e.patience(ctx)
	if err != nil {
		return 0, err
	}
	return e.outcome(ctx, call(patience), call)
}

// patience is how long a call may wait at first: most waits are short, and spared what it
// costs to watch a context.
func (e *endpoint) patience(ctx context.Context) (float64, error) {
	if e.raw == 0 {
		return 0, failure(ErrClosed, "the bus is not open")
	}
	if _, never := ctx.(*noWait); never {
		return 0, nil
	}
	switch {
	case ctx == nil:
		return 0, failure(ErrNullPtr, "the context is nil")
	case ctx.Done() == nil:
		return -1, nil
	case ctx.Err() != nil:
		return 0, ended(ctx)
	}
	return 50e-6, nil
}

// outcome is that of a call, which goes on if it was only out of patience.
func (e *endpoint) outcome(ctx context.Context, result int64, call func(timeout float64) int64) (int, error) {
	if result == -int64(ErrTimeout) || result == -int64(ErrInterrupted) {
		return e.interruptible(ctx, func() int64 { return call(-1) })
	}
	return e.check(result)
}

// interruptible makes a call that the context ends. An interrupt is for who sends or receives
// and for who accepts, whichever of them finds it: for another it is in vain, and comes again.
func (e *endpoint) interruptible(ctx context.Context, call func() int64) (int, error) {
	returned, done := make(chan struct{}), make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		for {
			e.raw.Interrupt()
			select {
			case <-returned:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	result := call()
	for result == -int64(ErrInterrupted) && ctx.Err() == nil {
		result = call()
	}
	close(returned)
	if !stop() { // it may have come too late
		<-done
		e.raw.ClearInterrupt()
		if result == -int64(ErrInterrupted) {
			return 0, ended(ctx)
		}
	}
	return e.check(result)
}

func (e *endpoint) check(result int64) (int, error) {
	if result >= 0 {
		runtime.KeepAlive(e)
		return int(result), nil
	}
	return 0, e.failed(result)
}

func (e *endpoint) failed(result int64) error {
	switch ErrorCode(-result) {
	case ErrFull:
		return full
	case ErrEmpty:
		return empty
	}
	err := failure(ErrorCode(-result), "%s", e.raw.ErrorText())
	runtime.KeepAlive(e)
	return err
}

// closed is the error of a call that has no result; other goroutines may write others.
func (e *endpoint) closed() int64 {
	if e.raw.GetError() != int(ErrClosed) {
		return 0
	}
	return -int64(ErrClosed)
}

// enter keeps other goroutines away from what is Go's, as C does for its own part.
func (e *endpoint) enter() error {
	if e.busy.Swap(true) {
		return errBusy
	}
	return nil
}

// spinning sets the looks before going to sleep, for a call that waits for ever.
func (e *endpoint) spinning(spin uint32) context.Context {
	if e.raw != 0 {
		e.fields.SetSpin(spin)
	}
	return context.Background()
}
