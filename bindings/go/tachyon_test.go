// SPDX-License-Identifier: Apache-2.0

package tachyon_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	tachyon "tachyon-ipc/bindings/go"
)

const capacity = 65536

var background = context.Background()

var paths atomic.Int64

func newPath() string { return fmt.Sprintf("@tachyon-go-%d-%d", os.Getpid(), paths.Add(1)) }

func no(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func is(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, not %v", err, want)
	}
}

// within lets a test that hangs fail by itself.
func within(t testing.TB, call func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		call()
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("it hangs")
	}
}

func both[T any](t testing.TB, listen, connect func(ctx context.Context) (*T, error)) (*T, *T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(background, 20*time.Second)
	defer cancel()
	listener := make(chan *T)
	go func() {
		b, err := listen(ctx)
		if err != nil {
			t.Error(err)
		}
		listener <- b
	}()
	b, err := connect(ctx)
	other := <-listener
	no(t, err)
	return b, other
}

// pair opens both ends; either may send.
func pair(t testing.TB) (*tachyon.Bus, *tachyon.Bus) {
	path := newPath()
	a, b := both(t, func(ctx context.Context) (*tachyon.Bus, error) {
		return tachyon.ListenContext(ctx, path, capacity, nil)
	}, func(ctx context.Context) (*tachyon.Bus, error) {
		return tachyon.ConnectContext(ctx, path, &tachyon.Options{Timeout: -1})
	})
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// rpcPair opens a caller and who serves it.
func rpcPair(t testing.TB) (*tachyon.RpcBus, *tachyon.RpcBus) {
	path := newPath()
	caller, callee := both(t, func(ctx context.Context) (*tachyon.RpcBus, error) {
		return tachyon.RpcListenContext(ctx, path, capacity, capacity, nil)
	}, func(ctx context.Context) (*tachyon.RpcBus, error) {
		return tachyon.RpcConnectContext(ctx, path, &tachyon.Options{Timeout: -1})
	})
	t.Cleanup(func() { caller.Close(); callee.Close() })
	return caller, callee
}

func TestMessagesArriveAsTheyWereSent(t *testing.T) {
	tx, rx := pair(t)
	largest, err := tx.MaxPayload()
	no(t, err)
	if largest != capacity-128 {
		t.Fatal(largest)
	}
	for i, size := range []int{0, 1, 31, 32, 33, 64, 65, 511, 512, 513, 4096, largest} {
		data := bytes.Repeat([]byte{byte(i + 1)}, size)
		no(t, tx.Send(data, uint32(i)<<30|7))
		got, typeID, err := rx.Recv(100)
		no(t, err)
		if !bytes.Equal(got, data) || typeID != uint32(i)<<30|7 {
			t.Fatal(size, len(got), typeID)
		}
	}
	no(t, tx.Send(nil, 1))
	if got, _, err := rx.Recv(0); err != nil || got == nil || len(got) != 0 {
		t.Fatal(got, err)
	}
}

func TestAMessageThatIsTooLongForTheBufferStays(t *testing.T) {
	tx, rx := pair(t)
	no(t, tx.Send([]byte("four"), 5))
	small := make([]byte, 3)
	n, typeID, err := rx.RecvInto(background, small)
	is(t, err, tachyon.ErrInvalidSize)
	if n != 4 || !bytes.Equal(small, make([]byte, 3)) {
		t.Fatal(n, small)
	}
	large := make([]byte, n+1)
	n, typeID, err = rx.RecvInto(background, large)
	no(t, err)
	if string(large[:n]) != "four" || typeID != 5 {
		t.Fatal(large, typeID)
	}
}

func TestBatchesAreCopied(t *testing.T) {
	tx, rx := pair(t)
	items := make([]byte, 8*300)
	for i := range 300 {
		binary.NativeEndian.PutUint64(items[8*i:], uint64(i))
	}
	n, err := tx.SendBatch(tachyon.NoWait, items, 8, 9)
	no(t, err)
	if n != 300 {
		t.Fatal(n)
	}
	into, got := make([]byte, 8*128), 0
	for got < 300 {
		n, typeID, err := rx.RecvBatch(background, into, 8)
		no(t, err)
		if n < 1 || n > 128 || typeID != 9 || !bytes.Equal(into[:8*n], items[8*got:8*(got+n)]) {
			t.Fatal(n, typeID)
		}
		got += n
	}
	// More than the ring holds: so much, then the error; with a context all of it.
	much := make([]byte, 2*capacity)
	sent, err := tx.SendBatch(tachyon.NoWait, much, 32, 9)
	if !tachyon.IsFull(err) || sent == 0 || sent*32 >= len(much) {
		t.Fatal(sent, err)
	}
	total := make(chan int)
	go func() {
		count := 0
		for count*32 < sent*32+len(much) {
			n, _, err := rx.RecvBatch(background, make([]byte, 3200), 32)
			if err != nil {
				t.Error(err)
				break
			}
			count += n
		}
		total <- count
	}()
	ctx, cancel := context.WithTimeout(background, 10*time.Second)
	defer cancel()
	n, err = tx.SendBatch(ctx, much, 32, 9)
	no(t, err)
	if count := <-total; n*32 != len(much) || count != n+sent {
		t.Fatal(n, count, sent)
	}
}

func TestValuesAreSentAsTheyLieInMemory(t *testing.T) {
	type tick struct {
		Symbol   [8]byte
		Price    float64
		Quantity uint32
		Sides    [2]struct{ A, B int16 }
	}
	tx, rx := pair(t)
	ticks := make([]tick, 100)
	for i := range ticks {
		ticks[i] = tick{[8]byte{'T'}, float64(i) / 4, uint32(i), [2]struct{ A, B int16 }{{1, 2}, {3, int16(i)}}}
	}
	n, err := tachyon.SendItems(background, tx, ticks, 3)
	no(t, err)
	got := make([]tick, 200)
	count, typeID, err := tachyon.RecvItems(background, rx, got)
	no(t, err)
	if n != 100 || count != 100 || typeID != 3 || !slices.Equal(got[:100], ticks) {
		t.Fatal(n, count, typeID)
	}
	is(t, second(tachyon.SendItems(background, tx, []string{"no"}, 0)), tachyon.ErrInvalidSize)
	is(t, second(tachyon.SendItems(background, tx, []*tick{nil}, 0)), tachyon.ErrInvalidSize)
	is(t, second(tachyon.SendItems(background, tx, []struct{ P any }{{1}}, 0)), tachyon.ErrInvalidSize)
	is(t, second(tachyon.SendItems(background, tx, make([]struct{}, 5), 0)), tachyon.ErrInvalidSize)
	is(t, third(tachyon.RecvItems(background, rx, make([]bool, 8))), tachyon.ErrInvalidSize)
	is(t, third(tachyon.RecvItems(background, rx, []int64(nil))), tachyon.ErrNullPtr)
	if n, err := tachyon.SendItems(background, tx, []tick(nil), 0); n != 0 || err != nil {
		t.Fatal(n, err)
	}
}

func TestGuardsWriteAndReadInPlace(t *testing.T) {
	tx, rx := pair(t)
	g, err := tx.AcquireTx(100)
	no(t, err)
	if len(g.Bytes()) != 100 {
		t.Fatal(len(g.Bytes()))
	}
	copy(g.Bytes(), "in place")
	no(t, g.CommitUnflushed(8, 3))
	if _, _, err := rx.RecvContext(tachyon.NoWait); !errors.Is(err, tachyon.ErrEmpty) {
		t.Fatal(err)
	}
	no(t, tx.Flush())
	r, err := rx.AcquireRx(10)
	no(t, err)
	if string(r.Data()) != "in place" || r.Size() != 8 || r.TypeID() != 3 {
		t.Fatal(r.Data(), r.Size(), r.TypeID())
	}
	again, err := rx.AcquireRx(10) // the same, since it was not committed
	no(t, err)
	if string(again.Data()) != "in place" || r.Data() != nil {
		t.Fatal(again.Data(), r.Data())
	}
	is(t, r.Commit(), tachyon.ErrEmpty)
	no(t, again.Commit())
	if again.Data() != nil {
		t.Fatal("data after the commit")
	}
	is(t, again.Commit(), tachyon.ErrEmpty)

	g, err = tx.AcquireTx(10)
	no(t, err)
	is(t, g.Commit(11, 0), tachyon.ErrInvalidSize)
	is(t, g.Commit(-1, 0), tachyon.ErrInvalidSize)
	no(t, g.Rollback()) // it was kept
	is(t, g.Rollback(), tachyon.ErrEmpty)
	is(t, g.Commit(1, 0), tachyon.ErrEmpty)
	if g.Bytes() != nil {
		t.Fatal("bytes after the end")
	}
	g, err = tx.AcquireTx(10)
	no(t, err)
	no(t, g.Commit(0, 4))
	if data, typeID, err := rx.Recv(0); err != nil || len(data) != 0 || typeID != 4 {
		t.Fatal(data, typeID, err)
	}
}

func TestBatchesInPlace(t *testing.T) {
	tx, rx := pair(t)
	batch, err := rx.TryDrainBatch(10)
	no(t, err)
	if batch.Len() != 0 {
		t.Fatal(batch.Len())
	}
	no(t, batch.Commit())
	for i := range 20 {
		no(t, tx.Send(bytes.Repeat([]byte{byte(i)}, i), uint32(i)))
	}
	next := 0
	for next < 20 {
		batch, err = rx.DrainBatch(7, 100)
		no(t, err)
		if batch.Len() < 1 || batch.Len() > 7 || batch.At(0).Size() != next {
			t.Fatal(batch.Len(), next)
		}
		for m := range batch.Iter() {
			if m.Size() != next || m.TypeID() != uint32(next) ||
				!bytes.Equal(m.Data(), bytes.Repeat([]byte{byte(next)}, next)) {
				t.Fatal(next, m.Size(), m.TypeID())
			}
			next++
		}
		no(t, batch.Commit())
		if batch.Len() != 0 {
			t.Fatal("messages after the commit")
		}
		for range batch.Iter() {
			t.Fatal("messages after the commit")
		}
		is(t, batch.Commit(), tachyon.ErrEmpty)
	}
	sent := 0
	for tx.Send(nil, 0) == nil {
		sent++
	}
	batch, err = rx.DrainBatch(1<<40, 0)
	no(t, err)
	if batch.Len() != min(sent, 1024) {
		t.Fatal(batch.Len(), sent)
	}
}

func TestTheEndOfTheStreamIsEOF(t *testing.T) {
	tx, rx := pair(t)
	no(t, tx.Send([]byte("last"), 1))
	no(t, tx.Close())
	data, _, err := rx.Recv(0)
	no(t, err)
	if string(data) != "last" {
		t.Fatal(data)
	}
	for range 3 {
		_, _, err = rx.RecvContext(background)
		is(t, err, tachyon.ErrClosed)
		is(t, err, io.EOF)
	}
}

func TestAnAbortedStreamIsNoWholeOne(t *testing.T) {
	tx, rx := pair(t)
	no(t, tx.Send([]byte("sent"), 1))
	tx.Abort()
	tx.Abort()
	no(t, tx.Close())
	_, _, err := rx.Recv(0)
	no(t, err)
	_, _, err = rx.Recv(0)
	is(t, err, tachyon.ErrAborted)
	if errors.Is(err, io.EOF) {
		t.Fatal("an abort is no end of file")
	}
}

func TestCallsAreAnsweredInAnyOrder(t *testing.T) {
	caller, callee := rpcPair(t)
	var ids []uint64
	for i := range 64 {
		id, err := caller.Call(bytes.Repeat([]byte{byte(i)}, 20*i), uint32(i))
		no(t, err)
		ids = append(ids, id)
	}
	no(t, caller.Cancel(ids[5]))
	is(t, caller.Cancel(ids[5]), tachyon.ErrInvalidSize)
	var requests []*tachyon.RpcRxGuard
	for i := range ids {
		g, err := callee.Serve(100)
		no(t, err)
		if g.CorrelationID() != ids[i] || g.TypeID() != uint32(i) || g.Size() != 20*i {
			t.Fatal(g.CorrelationID(), g.TypeID(), g.Size())
		}
		no(t, g.Commit())
		requests = append(requests, g)
	}
	for i := range requests {
		g := requests[len(requests)-1-i]
		no(t, callee.Reply(g.CorrelationID(), g.Data(), g.TypeID()+1))
	}
	is(t, callee.Reply(ids[0], nil, 0), tachyon.ErrInvalidSize)
	for i, id := range ids {
		g, err := caller.Wait(id, 100)
		if i == 5 {
			is(t, err, tachyon.ErrInvalidSize)
			continue
		}
		no(t, err)
		if g.CorrelationID() != id || g.TypeID() != uint32(i)+1 ||
			!bytes.Equal(g.Data(), bytes.Repeat([]byte{byte(i)}, 20*i)) {
			t.Fatal(i, g.CorrelationID(), g.TypeID())
		}
		no(t, g.Commit())
	}
	stats, err := caller.Stats()
	no(t, err)
	if stats.Calls != 64 || stats.Replies != 63 || stats.Dropped != 1 || stats.Outstanding != 0 {
		t.Fatalf("%+v", stats)
	}
	id, err := caller.Call(nil, 1)
	no(t, err)
	g, err := callee.Serve(0)
	no(t, err)
	no(t, callee.Reply(g.CorrelationID(), nil, 2))
	if g, err = caller.Wait(0, 0); err != nil || g.CorrelationID() != id || g.Size() != 0 {
		t.Fatal(g, err)
	}
	no(t, callee.Close())
	_, err = caller.WaitContext(background, 0)
	is(t, err, tachyon.ErrInvalidSize) // none is outstanding
	for err = nil; err == nil; {
		_, err = caller.CallContext(background, nil, 0)
	}
	is(t, err, tachyon.ErrClosed)
}

func TestOptionsAreSaidToTheCore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	refused := func(o tachyon.Options, want error) {
		t.Helper()
		ctx, cancel := context.WithCancel(background)
		done := make(chan error)
		go func() {
			_, err := tachyon.ListenContext(ctx, path, capacity,
				&tachyon.Options{Mode: 0o640, Role: tachyon.RoleProducer, Schema: 7})
			done <- err
		}()
		for {
			info, err := os.Stat(path)
			if err == nil && info.Mode().Perm() == 0o640 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		o.Timeout = 10 * time.Second // the file is there before the socket listens
		_, err := tachyon.ConnectContext(background, path, &o)
		is(t, err, want)
		cancel()
		is(t, <-done, context.Canceled)
	}
	refused(tachyon.Options{Role: tachyon.RoleProducer, Schema: 7}, tachyon.ErrBusy)
	refused(tachyon.Options{Role: tachyon.RoleConsumer, Schema: 8}, tachyon.ErrABIMismatch)
	start := time.Now()
	_, err := tachyon.ConnectContext(background, path, &tachyon.Options{Timeout: 50 * time.Millisecond})
	if took := time.Since(start); err == nil || took < 50*time.Millisecond || took > 10*time.Second {
		t.Fatal(err, took)
	}
	for _, o := range []tachyon.Options{{Types: "a\x00"}, {Types: "a"}, {TypesRequired: true}} {
		_, err = tachyon.ConnectContext(background, path, &o)
		is(t, err, tachyon.ErrInvalidSize)
	}
	_, err = tachyon.ListenContext(background, path, capacity, &tachyon.Options{Timeout: time.Millisecond})
	is(t, err, tachyon.ErrTimeout)
	is(t, err, os.ErrDeadlineExceeded)
}

func TestTheOtherEndAndTheCounters(t *testing.T) {
	tx, rx := pair(t)
	no(t, tx.SetPollingMode(1))
	no(t, tx.SetPollingMode(0))
	no(t, tx.Send(make([]byte, 100), 1))
	stats, err := tx.Stats()
	no(t, err)
	if stats.Capacity != capacity || stats.Messages != 1 || stats.Flushes != 1 || stats.Used < 100 {
		t.Fatalf("%+v", stats)
	}
	peer, err := rx.Peer()
	no(t, err)
	if peer != (tachyon.Peer{PID: os.Getpid(), UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}) {
		t.Fatalf("%+v", peer)
	}
	caller, _ := rpcPair(t)
	if peer, err := caller.Peer(); err != nil || peer.PID != os.Getpid() {
		t.Fatal(peer, err)
	}
	is(t, tx.SetNumaNode(64), tachyon.ErrInvalidSize)
}

func TestTypesOfRouteAndMessage(t *testing.T) {
	id := tachyon.MakeTypeID(0xABCD, 0x1234)
	if id != 0xABCD1234 || tachyon.RouteID(id) != 0xABCD || tachyon.MsgType(id) != 0x1234 {
		t.Fatalf("%x", id)
	}
}

func TestEveryErrorHasItsNumberAndText(t *testing.T) {
	names := strings.Fields(`NULL_PTR MEM OPEN TRUNCATE CHMOD SEAL MAP INVALID_SZ FULL EMPTY NETWORK
		SYSTEM INTERRUPTED ABI_MISMATCH PEER_DEAD CLOSED TIMEOUT BUSY CORRUPT ADDR_IN_USE PERMISSION
		FORKED ABORTED`)
	texts := map[string]bool{}
	for i, name := range names {
		code := tachyon.ErrorCode(i + 1)
		if code.String() != "TACHYON_ERR_"+name {
			t.Error(i+1, code.String(), name)
		}
		texts[code.Error()] = true
	}
	if len(texts) != len(names) || tachyon.ErrAborted != tachyon.ErrorCode(len(names)) {
		t.Error(len(texts), "texts,", len(names), "names")
	}
	err := error(&tachyon.TachyonError{Code: tachyon.ErrFull})
	if !tachyon.IsFull(err) || tachyon.IsInterrupted(err) || tachyon.IsABIMismatch(err) {
		t.Error("IsFull")
	}
	if tachyon.IsFull(nil) || tachyon.IsFull(io.EOF) {
		t.Error("IsFull of what is none")
	}
	is(t, fmt.Errorf("wrapped: %w", &tachyon.TachyonError{Code: tachyon.ErrPermission}), os.ErrPermission)
}
