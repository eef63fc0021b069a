// SPDX-License-Identifier: Apache-2.0

package tachyon

import (
	"context"

	"tachyon-ipc/bindings/go/internal/native"
)

// An RpcBus is one end of calls and replies: who listens serves, who connects calls.
type RpcBus struct{ endpoint }

// RpcStats counts what one end has done.
type RpcStats struct{ Calls, Replies, Dropped, Kept, Outstanding uint64 }

func (b *RpcBus) rpc() native.SwigcptrRpcBus { return native.SwigcptrRpcBus(b.raw) }

// RpcListen waits for one caller at a path; forward is for requests, reverse for replies.
func RpcListen(path string, forward, reverse int) (*RpcBus, error) {
	return RpcListenContext(context.Background(), path, forward, reverse, nil)
}

// RpcListenContext is RpcListen with options, until the context ends.
func RpcListenContext(ctx context.Context, path string, forward, reverse int, o *Options) (*RpcBus, error) {
	b := new(RpcBus)
	return opened(b, b.open(ctx, path, o, -1, func(o native.Options) int64 {
		return b.rpc().Listen(path, int64(forward), int64(reverse), o)
	}, forward, reverse))
}

// RpcConnect tries once to attach to a listener.
func RpcConnect(path string) (*RpcBus, error) {
	return RpcConnectContext(context.Background(), path, nil)
}

// RpcConnectContext is RpcConnect with options, until the context ends.
func RpcConnectContext(ctx context.Context, path string, o *Options) (*RpcBus, error) {
	b := new(RpcBus)
	return opened(b, b.open(ctx, path, o, 0, func(o native.Options) int64 {
		return b.rpc().Connect(path, o)
	}))
}

// Stats reads the counters.
func (b *RpcBus) Stats() (stats RpcStats, err error) {
	_, err = b.do(func() int64 {
		s := b.rpc().Stats()
		defer native.DeleteRpcStats(s)
		stats = RpcStats{s.GetCalls(), s.GetReplies(), s.GetDropped(), s.GetKept(), s.GetOutstanding()}
		return b.closed()
	})
	return
}

// Call sends a request, if there is room, and gives it a number.
func (b *RpcBus) Call(data []byte, msgType uint32) (id uint64, err error) {
	return b.CallContext(NoWait, data, msgType)
}

// CallContext waits for room.
func (b *RpcBus) CallContext(ctx context.Context, data []byte, msgType uint32) (id uint64, err error) {
	n, err := b.wait(ctx, func(t float64) int64 { return b.rpc().Call(data, uint(msgType), t) })
	return uint64(n), err
}

// Reply answers a request, if there is room.
func (b *RpcBus) Reply(id uint64, data []byte, msgType uint32) error {
	return b.ReplyContext(NoWait, id, data, msgType)
}

// ReplyContext waits for room.
func (b *RpcBus) ReplyContext(ctx context.Context, id uint64, data []byte, msgType uint32) error {
	_, err := b.wait(ctx, func(t float64) int64 { return b.rpc().Reply(id, data, uint(msgType), t) })
	return err
}

// Cancel gives a call up: its reply will be dropped.
func (b *RpcBus) Cancel(id uint64) error {
	_, err := b.do(func() int64 { return b.rpc().Cancel(id) })
	return err
}

// Wait waits for the reply to one call, with 0 for any.
func (b *RpcBus) Wait(id uint64, spin uint32) (*RpcRxGuard, error) {
	return b.WaitContext(b.spinning(spin), id)
}

// WaitContext is Wait until the context ends; the call stays, to be waited for again.
func (b *RpcBus) WaitContext(ctx context.Context, id uint64) (*RpcRxGuard, error) {
	return b.receive(ctx, func(t float64) int64 { return b.rpc().NextReply(id, t) })
}

// Serve waits for a request.
func (b *RpcBus) Serve(spin uint32) (*RpcRxGuard, error) { return b.ServeContext(b.spinning(spin)) }

// ServeContext is Serve until the context ends.
func (b *RpcBus) ServeContext(ctx context.Context) (*RpcRxGuard, error) {
	return b.receive(ctx, func(t float64) int64 { return b.rpc().NextRequest(t) })
}

// An RpcRxGuard is a request or a reply. It is a copy, so it stands in nobody's way.
type RpcRxGuard struct {
	RxMsg
	id uint64
}

func (b *RpcBus) receive(ctx context.Context, call func(t float64) int64) (*RpcRxGuard, error) {
	if err := b.enter(); err != nil {
		return nil, err
	}
	defer b.busy.Store(false)
	g := new(RpcRxGuard)
	_, err := b.wait(ctx, func(t float64) int64 {
		n := call(t)
		if n < 0 {
			return n
		}
		g.data, g.typeID, g.id = make([]byte, n), b.fields.TypeID(), b.fields.ID()
		return b.rpc().CopyHeld(g.data)
	})
	return opened(g, err)
}

// CorrelationID is the number of the call.
func (g *RpcRxGuard) CorrelationID() uint64 { return g.id }

// Commit has nothing left to do.
func (g *RpcRxGuard) Commit() error { return nil }
