// SPDX-License-Identifier: Apache-2.0

package tachyon_test

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	tachyon "tachyon-ipc/bindings/go"
)

func second[T any](_ T, err error) error        { return err }
func third[T, U any](_ T, _ U, err error) error { return err }

// Every method of a bus, with arguments that would be right.
func everyCall(b *tachyon.Bus) map[string]func() error {
	into := make([]byte, 8)
	return map[string]func() error{
		"Send":             func() error { return b.Send(into, 0) },
		"SendContext":      func() error { return b.SendContext(background, into, 0) },
		"SendBatch":        func() error { return second(b.SendBatch(background, into, 8, 0)) },
		"Flush":            b.Flush,
		"AcquireTx":        func() error { return second(b.AcquireTx(8)) },
		"AcquireTxContext": func() error { return second(b.AcquireTxContext(background, 8)) },
		"AcquireTxBatch":   func() error { return second(b.AcquireTxBatch(background, 8, 1)) },
		"Messages": func() error {
			for _, err := range b.Messages(background) {
				return err
			}
			return tachyon.ErrClosed
		},
		"Recv":              func() error { return third(b.Recv(0)) },
		"RecvContext":       func() error { return third(b.RecvContext(background)) },
		"RecvInto":          func() error { return third(b.RecvInto(background, into)) },
		"RecvBatch":         func() error { return third(b.RecvBatch(background, into, 8)) },
		"AcquireRx":         func() error { return second(b.AcquireRx(0)) },
		"AcquireRxContext":  func() error { return second(b.AcquireRxContext(background)) },
		"DrainBatch":        func() error { return second(b.DrainBatch(1, 0)) },
		"DrainBatchContext": func() error { return second(b.DrainBatchContext(background, 1)) },
		"TryDrainBatch":     func() error { return second(b.TryDrainBatch(1)) },
		"Accept":            func() error { return second(b.Accept(background)) },
		"Peers":             func() error { return second(b.Peers()) },
		"DropPeer":          func() error { return b.DropPeer(1) },
		"Sender":            func() error { return second(b.Sender()) },
		"Position":          func() error { return third(b.Position()) },
		"MaxPayload":        func() error { return second(b.MaxPayload()) },
		"Peer":              func() error { return second(b.Peer()) },
		"Stats":             func() error { return second(b.Stats()) },
		"SetNumaNode":       func() error { return b.SetNumaNode(0) },
		"SetPollingMode":    func() error { return b.SetPollingMode(0) },
	}
}

func everyRpcCall(b *tachyon.RpcBus) map[string]func() error {
	return map[string]func() error{
		"Call":           func() error { return second(b.Call(nil, 0)) },
		"CallContext":    func() error { return second(b.CallContext(background, nil, 0)) },
		"Reply":          func() error { return b.Reply(1, nil, 0) },
		"ReplyContext":   func() error { return b.ReplyContext(background, 1, nil, 0) },
		"Cancel":         func() error { return b.Cancel(1) },
		"Wait":           func() error { return second(b.Wait(1, 0)) },
		"WaitContext":    func() error { return second(b.WaitContext(background, 1)) },
		"Serve":          func() error { return second(b.Serve(0)) },
		"ServeContext":   func() error { return second(b.ServeContext(background)) },
		"Accept":         func() error { return second(b.Accept(background)) },
		"Peers":          func() error { return second(b.Peers()) },
		"DropPeer":       func() error { return b.DropPeer(1) },
		"Sender":         func() error { return second(b.Sender()) },
		"MaxPayload":     func() error { return second(b.MaxPayload()) },
		"Peer":           func() error { return second(b.Peer()) },
		"Stats":          func() error { return second(b.Stats()) },
		"SetPollingMode": func() error { return b.SetPollingMode(0) },
	}
}

func TestAClosedOrNeverOpenedBusSaysSo(t *testing.T) {
	tx, rx := pair(t)
	aborted, _ := pair(t)
	caller, callee := rpcPair(t)
	for range 2 {
		no(t, tx.Close())
		no(t, rx.Close())
		no(t, caller.Close())
		no(t, callee.Close())
		aborted.Abort()
	}
	never, rpcNever := &tachyon.Bus{}, &tachyon.RpcBus{}
	no(t, never.Close())
	never.Abort()
	no(t, rpcNever.Close())
	for kind, calls := range map[string]map[string]func() error{
		"closed producer": everyCall(tx), "closed consumer": everyCall(rx),
		"aborted": everyCall(aborted), "never opened": everyCall(never),
		"closed caller": everyRpcCall(caller), "closed callee": everyRpcCall(callee),
		"rpc never opened": everyRpcCall(rpcNever),
	} {
		for name, call := range calls {
			within(t, func() {
				if err := call(); !errors.Is(err, tachyon.ErrClosed) {
					t.Errorf("%s of a bus that is %s: %v", name, kind, err)
				}
			})
		}
	}
}

func TestBadArgumentsAreRefused(t *testing.T) {
	tx, rx := pair(t)
	no(t, tx.Send([]byte("12345678"), 0))
	caller, callee := rpcPair(t)
	largest, err := tx.MaxPayload()
	no(t, err)
	huge := math.MaxInt
	buffer := make([]byte, 8)
	socket := filepath.Join(t.TempDir(), "socket")
	listen := func(path string, capacity int) error { return second(tachyon.Listen(path, capacity)) }
	connect := func(o tachyon.Options) error {
		return second(tachyon.ConnectContext(background, socket, &o))
	}
	guard, err := tx.AcquireTx(8)
	no(t, err)
	invalid, null := tachyon.ErrInvalidSize, tachyon.ErrNullPtr
	for i, c := range []struct {
		err  error
		want error
		text string // is in the message
	}{
		{listen(newPath(), -1), invalid, "-1"},
		{listen(newPath(), math.MinInt), invalid, "-9223372036854775808"},
		{listen(newPath(), 0), invalid, "0"},
		{listen(newPath(), 3*4096), invalid, "12288"},
		{listen(newPath(), huge), invalid, "9223372036854775807"},
		{listen(newPath(), 1<<62), invalid, "4611686018427387904"},
		{listen("", capacity), invalid, "path"},
		{listen("a\x00b", capacity), invalid, `"a\x00b"`},
		{listen("@"+strings.Repeat("x", 1000), capacity), invalid, "path"},
		{listen(filepath.Join(socket, "no", "such"), capacity), tachyon.ErrNetwork, "No such"},
		{listen(t.TempDir(), capacity), tachyon.ErrAddrInUse, ""},
		{second(tachyon.RpcListen(newPath(), 4096, -4096)), invalid, "-4096"},
		{second(tachyon.RpcListen(newPath(), 4096, 4097)), invalid, "4097"},
		{second(tachyon.Connect(socket)), tachyon.ErrNetwork, socket},
		{second(tachyon.RpcConnect("a\x00")), invalid, `"a\x00"`},
		{connect(tachyon.Options{Role: 3}), invalid, "3"},
		{connect(tachyon.Options{Role: -1}), invalid, ""},
		{connect(tachyon.Options{Role: 1 << 40}), invalid, ""},
		{connect(tachyon.Options{Mode: 0o1777}), invalid, "1777"},
		{second(tachyon.ListenContext(background, newPath(), capacity,
			&tachyon.Options{Mode: 1 << 31})), invalid, ""},
		{second(tachyon.RpcListenContext(background, newPath(), capacity, capacity,
			&tachyon.Options{Role: tachyon.RoleProducer})), invalid, ""},
		{second(tachyon.ListenContext(nil, newPath(), capacity, nil)), null, "context"},
		{second(tachyon.ConnectContext(nil, socket, nil)), null, "context"},
		{tx.SendContext(nil, nil, 0), null, "context"},
		{third(rx.RecvContext(nil)), null, "context"},
		{second(caller.CallContext(nil, nil, 0)), null, "context"},
		{tx.Send(make([]byte, largest+1), 0), invalid, "65409"},
		{tx.SendContext(background, make([]byte, largest+1), 0), invalid, "65409"},
		{second(tx.SendBatch(background, buffer, 0, 0)), invalid, "0 bytes"},
		{second(tx.SendBatch(background, buffer, -8, 0)), invalid, "-8 bytes"},
		{second(tx.SendBatch(background, buffer, 3, 0)), invalid, "3 bytes"},
		{second(tx.SendBatch(background, buffer, huge, 0)), invalid, "8 bytes"},
		{second(tx.SendBatch(background, nil, 0, 0)), invalid, "0 bytes"},
		{second(tx.SendBatch(background, make([]byte, largest+1), largest+1, 0)), invalid, ""},
		{second(tx.AcquireTx(-1)), invalid, "-1"},
		{second(tx.AcquireTx(huge)), invalid, ""},
		{second(tx.AcquireTx(largest + 1)), invalid, "65409"},
		{second(tx.AcquireTxContext(background, largest+1)), invalid, "65409"},
		{guard.Commit(-1, 0), invalid, "-1"},
		{guard.CommitUnflushed(math.MinInt, 0), invalid, "-9223372036854775808"},
		{second(tx.AcquireTxBatch(background, -1, 1)), invalid, "-1"},
		{second(tx.AcquireTxBatch(background, 8, 0)), invalid, "0 messages"},
		{second(tx.AcquireTxBatch(background, largest+1, 1)), invalid, "65409"},
		{second(tx.AcquireTxBatch(nil, 8, 1)), null, "context"},
		{third(rx.RecvBatch(background, buffer, 0)), invalid, ""},
		{third(rx.RecvBatch(background, buffer, -1)), invalid, ""},
		{third(rx.RecvBatch(background, nil, 8)), null, ""},
		{third(rx.RecvBatch(background, buffer, 4)), invalid, ""}, // it has 8 bytes
		{second(rx.DrainBatch(0, 0)), invalid, "0 messages"},
		{second(rx.DrainBatch(-5, 0)), invalid, "-5 messages"},
		{second(rx.TryDrainBatch(math.MinInt)), invalid, ""},
		{third(tx.Recv(0)), tachyon.ErrBusy, ""}, // it sends
		{rx.Send(nil, 0), tachyon.ErrBusy, ""},
		{tx.SetNumaNode(-1), invalid, "-1"},
		{second(caller.Serve(0)), tachyon.ErrBusy, ""},
		{second(callee.Call(nil, 0)), tachyon.ErrBusy, ""},
		{second(caller.Wait(math.MaxUint64, 0)), invalid, ""},
		{callee.Reply(0, nil, 0), invalid, "0"},
		{callee.Reply(math.MaxUint64, nil, 0), invalid, ""},
		{second(caller.Call(make([]byte, 1<<20), 0)), invalid, "1048576"},
		{(&tachyon.TxGuard{}).Commit(0, 0), tachyon.ErrEmpty, ""},
		{(&tachyon.TxGuard{}).CommitUnflushed(0, 0), tachyon.ErrEmpty, ""},
		{(&tachyon.TxGuard{}).Rollback(), tachyon.ErrEmpty, ""},
		{(&tachyon.TxBatch{}).Commit(0, 0), tachyon.ErrEmpty, ""},
		{(&tachyon.RxGuard{}).Commit(), tachyon.ErrEmpty, ""},
	} {
		var e *tachyon.TachyonError
		if !errors.Is(c.err, c.want) || !errors.As(c.err, &e) || !strings.Contains(e.Message, c.text) {
			t.Errorf("line %d: %v, not %v with %q", i, c.err, c.want, c.text)
		}
	}
	if data, _, err := rx.Recv(0); err != nil || string(data) != "12345678" {
		t.Fatal(data, err) // nothing has touched it
	}
	if (&tachyon.TxGuard{}).Bytes() != nil || (&tachyon.RxBatch{}).Len() != 0 ||
		(&tachyon.TxBatch{}).Len() != 0 {
		t.Fatal("something in nothing")
	}
	is(t, listen(newPath(), -1), invalid)
}

func TestAnIndexOutOfABatchPanicsAsOfASlice(t *testing.T) {
	tx, rx := pair(t)
	no(t, tx.Send(nil, 0))
	batch, err := rx.DrainBatch(1, 0)
	no(t, err)
	for _, i := range []int{-1, 1, math.MaxInt} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error(i, "is in it")
				}
			}()
			batch.At(i)
		}()
	}
}

func TestASecondGoroutineIsRefused(t *testing.T) {
	_, rx := pair(t)
	done := make(chan error)
	go func() { done <- third(rx.Recv(0)) }()
	for stats, _ := rx.Stats(); stats.Sleeps == 0; stats, _ = rx.Stats() {
		time.Sleep(time.Millisecond)
	}
	anyone := map[string]bool{"Stats": true, "Peer": true, "MaxPayload": true,
		"SetPollingMode": true, "SetNumaNode": true, "Accept": true, "Peers": true,
		"DropPeer": true, "Sender": true, "Position": true}
	for name, call := range everyCall(rx) {
		if err := call(); anyone[name] == errors.Is(err, tachyon.ErrBusy) {
			t.Error(name, err)
		}
	}
	no(t, rx.Close())
	is(t, <-done, tachyon.ErrClosed)
}

// Whatever goroutines do to one bus at once, it is an error at most.
func TestManyGoroutinesAtOnce(t *testing.T) {
	for range 20 {
		tx, rx := pair(t)
		ctx, cancel := context.WithCancel(background)
		var group sync.WaitGroup
		start := func(call func()) {
			group.Add(1)
			go func() {
				defer group.Done()
				call()
			}()
		}
		for _, b := range []*tachyon.Bus{tx, rx} {
			for i := range 4 {
				start(func() {
					for ctx.Err() == nil {
						switch i {
						case 0:
							b.Stats()
						case 1:
							if g, err := b.AcquireTxContext(ctx, 100); err == nil {
								copy(g.Bytes(), "words")
								g.Commit(5, 0)
							}
						case 2:
							if g, err := b.AcquireRxContext(ctx); err == nil {
								_ = string(g.Data())
								g.Commit()
							}
						case 3:
							b.SendContext(ctx, []byte("words"), 0)
						}
					}
				})
			}
		}
		time.Sleep(5 * time.Millisecond)
		start(func() { tx.Close() })
		start(func() { rx.Abort() })
		time.Sleep(time.Millisecond)
		cancel()
		within(t, group.Wait)
	}
}

// They are refused, or they get what nobody else gets.
func TestManyGoroutinesReceiveEveryReplyOnce(t *testing.T) {
	caller, callee := rpcPair(t)
	const count = 100_000
	go func() {
		for request, err := callee.Serve(100); err == nil; request, err = callee.Serve(100) {
			callee.ReplyContext(background, request.CorrelationID(), request.Data(), request.TypeID())
		}
	}()
	ctx, cancel := context.WithTimeout(background, 20*time.Second)
	defer cancel()
	var got atomic.Int64
	seen := make([]atomic.Bool, count)
	receive := func() {
		for got.Load() < count && ctx.Err() == nil {
			m, err := caller.WaitContext(tachyon.NoWait, 0)
			if err != nil {
				runtime.Gosched()
				continue
			}
			got.Add(1)
			i := int(m.TypeID())
			if seen[i].Swap(true) || m.Size() != i%300+1 || m.Data()[i%300] != byte(i) {
				t.Errorf("reply %d of %d bytes", i, m.Size())
			}
		}
	}
	var group sync.WaitGroup
	for range 3 {
		group.Add(1)
		go func() {
			defer group.Done()
			receive()
		}()
	}
	for i := 0; i < count && ctx.Err() == nil; {
		data := make([]byte, i%300+1)
		data[i%300] = byte(i)
		if _, err := caller.Call(data, uint32(i)); err == nil {
			i++
		} else {
			runtime.Gosched()
		}
	}
	group.Wait()
	if got.Load() != count {
		t.Errorf("%d replies of %d", got.Load(), count)
	}
}
