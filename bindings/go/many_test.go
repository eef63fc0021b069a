// SPDX-License-Identifier: Apache-2.0

package tachyon_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	tachyon "tachyon-ipc/bindings/go"
)

// What a Bus and an RpcBus have for many peers.
type listener interface {
	Accept(context.Context) (tachyon.Event, error)
	Peers() ([]tachyon.PeerInfo, error)
	DropPeer(uint32) error
	Sender() (uint32, error)
	Close() error
}

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(background, 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// crowd listens; the path is for join.
func crowd(t testing.TB, o tachyon.Options) (*tachyon.Bus, string) {
	path := newPath()
	o.MaxPeers = max(o.MaxPeers, 4)
	b, err := tachyon.ListenContext(soon(t), path, capacity, &o)
	no(t, err)
	t.Cleanup(func() { b.Close() })
	return b, path
}

// joined is what connects while the other accepts.
func joined[T interface{ Abort() }](t testing.TB, l listener, o tachyon.Options,
	connect func(o *tachyon.Options) (T, error)) T {
	t.Helper()
	events := make(chan tachyon.Event, 1)
	go func() {
		event, err := l.Accept(soon(t))
		if err != nil {
			t.Error(err)
		}
		events <- event
	}()
	o.Timeout = 20 * time.Second
	b, err := connect(&o)
	no(t, err)
	t.Cleanup(b.Abort)
	event := <-events
	us := tachyon.Peer{PID: os.Getpid(), UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
	if event.Kind != tachyon.EventJoined || event.Name != o.Name || event.Who != us || event.Reason != 0 {
		t.Fatal(event)
	}
	return b
}

func join(t testing.TB, l *tachyon.Bus, path string, o tachyon.Options) *tachyon.Bus {
	t.Helper()
	return joined(t, l, o, func(o *tachyon.Options) (*tachyon.Bus, error) {
		return tachyon.ConnectContext(background, path, o)
	})
}

func left(t testing.TB, event tachyon.Event, err error, peer uint32, reason error) {
	t.Helper()
	no(t, err)
	if event.Kind != tachyon.EventLeft || event.Peer != peer || event.Reason != reason {
		t.Fatal(event)
	}
}

// text of a peer's message i.
func text(peer uint32, i int) string { return fmt.Sprintf("%d %03d", peer, i) }

// Every way to receive that copies takes from all, and each one's in order.
func TestACollectorReceivesFromAll(t *testing.T) {
	into := make([]byte, len(text(1, 0)))
	for name, next := range map[string]func(b *tachyon.Bus) (string, error){
		"RecvContext": func(b *tachyon.Bus) (string, error) {
			data, _, err := b.RecvContext(soon(t))
			return string(data), err
		},
		"RecvInto": func(b *tachyon.Bus) (string, error) {
			n, _, err := b.RecvInto(soon(t), into)
			return string(into[:n]), err
		},
		"RecvBatch": func(b *tachyon.Bus) (string, error) {
			_, _, err := b.RecvBatch(soon(t), into, len(into))
			return string(into), err
		},
		"Messages": func(b *tachyon.Bus) (string, error) {
			for m, err := range b.Messages(soon(t)) {
				if err != nil {
					return "", err
				}
				return string(m.Data()), nil
			}
			return "", errors.New("no message")
		},
	} {
		t.Run(name, func(t *testing.T) {
			collector, path := crowd(t, tachyon.Options{Role: tachyon.RoleConsumer})
			one := join(t, collector, path, tachyon.Options{Name: "one"})
			other := join(t, collector, path, tachyon.Options{})
			for i := range 100 {
				no(t, one.SendContext(background, []byte(text(1, i)), 0))
				no(t, other.SendContext(background, []byte(text(2, i)), 0))
			}
			seen := [3]int{}
			for range 200 {
				data, err := next(collector)
				no(t, err)
				peer, err := collector.Sender()
				no(t, err)
				if data != text(peer, seen[peer]) {
					t.Fatal(data, peer, seen)
				}
				seen[peer]++
			}
			peers, err := collector.Peers()
			no(t, err)
			slices.SortFunc(peers, func(a, b tachyon.PeerInfo) int { return int(a.Peer) - int(b.Peer) })
			if len(peers) != 2 || peers[0].Name != "one" || peers[1].Peer != 2 || peers[1].Name != "" ||
				peers[0].Messages != 100 || peers[1].Who.PID != os.Getpid() {
				t.Fatal(peers)
			}
			for _, err := range []error{second(collector.AcquireRxContext(tachyon.NoWait)),
				second(collector.TryDrainBatch(1)), second(collector.AcquireTx(8))} {
				is(t, err, tachyon.ErrInvalidSize)
				if !strings.Contains(err.Error(), "many peers") {
					t.Fatal(err)
				}
			}
			no(t, one.Close())
			other.Abort()
			is(t, third(collector.RecvContext(tachyon.NoWait)), tachyon.ErrEmpty)
			reasons := map[uint32]tachyon.ErrorCode{}
			for range 2 {
				event, err := collector.Accept(soon(t))
				left(t, event, err, event.Peer, event.Reason)
				reasons[event.Peer] = event.Reason
			}
			if reasons[1] != tachyon.ErrClosed || reasons[2] != tachyon.ErrAborted {
				t.Fatal(reasons)
			}
		})
	}
}

func TestALoopOverACollectorGoesThroughAll(t *testing.T) {
	collector, path := crowd(t, tachyon.Options{Role: tachyon.RoleConsumer})
	producer := join(t, collector, path, tachyon.Options{})
	for i := range 100 {
		no(t, producer.SendContext(background, []byte(text(1, i)), uint32(i)))
	}
	i := 0
	for m, err := range collector.Messages(soon(t)) {
		no(t, err)
		if string(m.Data()) != text(1, i) || m.TypeID() != uint32(i) {
			t.Fatal(i, m)
		}
		is(t, third(collector.RecvContext(tachyon.NoWait)), tachyon.ErrBusy)
		if i++; i == 100 {
			no(t, collector.Close()) // which ends it
		}
	}
	if i != 100 {
		t.Fatal(i)
	}
}

// nextOf a producer, who lets peers go as it sends.
func nextOf(t testing.TB, feed *tachyon.Bus) (event tachyon.Event, err error) {
	for range 1000 {
		no(t, feed.SendContext(soon(t), nil, 0))
		ctx, cancel := context.WithTimeout(background, 10*time.Millisecond)
		event, err = feed.Accept(ctx)
		if cancel(); err == nil {
			break
		}
	}
	return
}

func TestABroadcastReachesAll(t *testing.T) {
	feed, path := crowd(t, tachyon.Options{Role: tachyon.RoleProducer})
	early := join(t, feed, path, tachyon.Options{})
	receives := func(b *tachyon.Bus, want string) {
		t.Helper()
		data, _, err := b.RecvContext(soon(t))
		for err == nil && len(data) == 0 { // of nextOf
			data, _, err = b.RecvContext(soon(t))
		}
		if err != nil || string(data) != want {
			t.Fatal(string(data), err)
		}
	}
	no(t, feed.Send([]byte("a"), 0))
	g, err := feed.AcquireTx(1) // there is one ring, for all
	no(t, err)
	copy(g.Bytes(), "b")
	no(t, g.Commit(1, 0))
	late := join(t, feed, path, tachyon.Options{Start: tachyon.StartOldest})
	for _, b := range []*tachyon.Bus{early, late} {
		receives(b, "a")
		for m, err := range b.Messages(soon(t)) {
			if err != nil || string(m.Data()) != "b" {
				t.Fatal(m, err)
			}
			break
		}
	}
	position, epoch, err := late.Position()
	no(t, err)
	no(t, feed.Send([]byte("c"), 0))
	no(t, late.Close())
	event, err := nextOf(t, feed)
	left(t, event, err, 2, tachyon.ErrClosed)
	again := join(t, feed, path, tachyon.Options{Start: tachyon.StartPosition,
		StartPosition: position, StartEpoch: epoch})
	receives(again, "c")

	no(t, feed.DropPeer(1))
	receives(early, "c")
	err = nil
	for err == nil {
		_, _, err = early.RecvContext(soon(t))
	}
	is(t, err, tachyon.ErrClosed)
	event, err = nextOf(t, feed)
	left(t, event, err, 1, tachyon.ErrClosed)
	is(t, feed.DropPeer(1), tachyon.ErrInvalidSize)
	no(t, feed.Send([]byte("d"), 0))
	receives(again, "d")
}

func TestWhoIsSlowIsLetGo(t *testing.T) {
	feed, path := crowd(t, tachyon.Options{Role: tachyon.RoleProducer,
		SlowPeer: tachyon.SlowDisconnect, SlowAfter: time.Millisecond,
		WithoutPeers: tachyon.WithoutPeersFreeRun, KeepPlace: time.Minute})
	slow := join(t, feed, path, tachyon.Options{Role: tachyon.RoleConsumer})
	no(t, feed.Send([]byte("a"), 0))
	g, err := slow.AcquireRxContext(soon(t))
	no(t, err)
	for range 5 {
		no(t, feed.SendContext(soon(t), make([]byte, 30000), 0))
	}
	is(t, g.Commit(), tachyon.ErrLagged)
	event, err := feed.Accept(soon(t))
	left(t, event, err, 1, tachyon.ErrLagged)
}

// They wait beside each other, and each context ends its own wait.
func TestAcceptWaitsBesideTheOthers(t *testing.T) {
	collector, path := crowd(t, tachyon.Options{Role: tachyon.RoleConsumer})
	is(t, second(collector.Accept(tachyon.NoWait)), tachyon.ErrEmpty)
	is(t, second(collector.Accept(nil)), tachyon.ErrNullPtr)
	start := func(call func(ctx context.Context) error) (context.CancelFunc, chan error) {
		ctx, cancel := context.WithCancel(background)
		t.Cleanup(cancel)
		done := make(chan error, 1)
		go func() { done <- call(ctx) }()
		return cancel, done
	}
	still := func(done chan error) {
		t.Helper()
		select {
		case err := <-done:
			t.Fatal("it has ended: ", err)
		default:
		}
	}
	cancelRecv, received := start(func(ctx context.Context) error { return third(collector.RecvContext(ctx)) })
	for range 20 {
		ctx, cancel := context.WithTimeout(background, 2*time.Millisecond)
		is(t, second(collector.Accept(ctx)), tachyon.ErrTimeout)
		cancel()
		cancelAccept, accepted := start(func(ctx context.Context) error { return second(collector.Accept(ctx)) })
		time.Sleep(time.Millisecond)
		cancelAccept()
		within(t, func() { is(t, <-accepted, context.Canceled) })
		still(received)
	}
	var err error
	_, accepted := start(func(ctx context.Context) (err error) {
		for err = tachyon.ErrBusy; errors.Is(err, tachyon.ErrBusy); { // the loop below was first
			_, err = collector.Accept(ctx)
		}
		return
	})
	within(t, func() {
		for !errors.Is(err, tachyon.ErrBusy) {
			ctx, cancel := context.WithTimeout(background, time.Millisecond)
			err = second(collector.Accept(ctx))
			cancel()
		}
	})
	cancelRecv()
	within(t, func() { is(t, <-received, context.Canceled) })
	for range 20 {
		ctx, cancel := context.WithTimeout(background, time.Millisecond)
		is(t, third(collector.RecvContext(ctx)), tachyon.ErrTimeout)
		cancel()
	}
	still(accepted)
	_, err = tachyon.ConnectContext(background, path, &tachyon.Options{Timeout: 20 * time.Second})
	no(t, err)
	within(t, func() { no(t, <-accepted) })
}

func TestACalleeServesManyCallers(t *testing.T) {
	path := newPath()
	callee, err := tachyon.RpcListenContext(background, path, capacity, capacity, &tachyon.Options{MaxPeers: 2})
	no(t, err)
	defer callee.Close()
	connect := func(o *tachyon.Options) (*tachyon.RpcBus, error) {
		return tachyon.RpcConnectContext(background, path, o)
	}
	callers := []*tachyon.RpcBus{joined(t, callee, tachyon.Options{Name: "one"}, connect),
		joined(t, callee, tachyon.Options{}, connect)}
	for i, caller := range callers {
		id, err := caller.Call([]byte{byte(i + 1)}, 0)
		no(t, err)
		g, err := callee.ServeContext(soon(t))
		no(t, err)
		peer, err := callee.Sender()
		no(t, err)
		if int(peer) != i+1 || g.Data()[0] != byte(peer) {
			t.Fatal(peer, g.Data())
		}
		no(t, callee.Reply(g.CorrelationID(), g.Data(), 0))
		g, err = caller.WaitContext(soon(t), id)
		no(t, err)
		if g.Data()[0] != byte(peer) {
			t.Fatal(g.Data())
		}
	}
	if peers, err := callee.Peers(); err != nil || len(peers) != 2 {
		t.Fatal(peers, err)
	}
	id, err := callers[0].Call(nil, 0)
	no(t, err)
	no(t, callee.DropPeer(1))
	is(t, second(callers[0].WaitContext(soon(t), id)), tachyon.ErrClosed)
	no(t, callers[1].Close())
	for range 2 {
		is(t, second(callee.ServeContext(tachyon.NoWait)), tachyon.ErrEmpty)
		event, err := callee.Accept(soon(t))
		left(t, event, err, event.Peer, tachyon.ErrClosed)
	}
}

func TestWrongOptionsForManyAreRefused(t *testing.T) {
	listen := func(o tachyon.Options) error {
		return second(tachyon.ListenContext(background, newPath(), capacity, &o))
	}
	connect := func(o tachyon.Options) error {
		return second(tachyon.ConnectContext(background, newPath(), &o))
	}
	many := tachyon.Options{Role: tachyon.RoleProducer, MaxPeers: 2}
	with := func(change func(o *tachyon.Options)) tachyon.Options {
		o := many
		change(&o)
		return o
	}
	for _, c := range []struct {
		err  error
		text string // is in the message
	}{
		{listen(tachyon.Options{MaxPeers: 2}), "max_peers"},
		{listen(with(func(o *tachyon.Options) { o.MaxPeers = 1025 })), "1025"},
		{listen(with(func(o *tachyon.Options) { o.SlowPeer = 2 })), "slow_peer"},
		{listen(with(func(o *tachyon.Options) { o.SlowPeer = -1 })), "slow_peer"},
		{listen(with(func(o *tachyon.Options) { o.SlowPeer = tachyon.SlowDisconnect })), "slow_after"},
		{listen(with(func(o *tachyon.Options) { o.SlowAfter = 1 })), "slow_after"},
		{listen(with(func(o *tachyon.Options) { o.WithoutPeers = 2 })), "without_peers"},
		{listen(with(func(o *tachyon.Options) { o.KeepPlace = -1 })), "keep_place"},
		{listen(with(func(o *tachyon.Options) { o.Start = tachyon.StartOldest })), "start"},
		{listen(with(func(o *tachyon.Options) { o.Name = "x" })), "name"},
		{connect(many), "max_peers"},
		{connect(tachyon.Options{Start: 3}), "start"},
		{connect(tachyon.Options{StartPosition: 64}), "start_position"},
		{connect(tachyon.Options{Start: tachyon.StartPosition, StartPosition: 3}), "3"},
		{connect(tachyon.Options{Name: strings.Repeat("x", 32)}), "name"},
		{connect(tachyon.Options{Name: "a\x00b"}), `"a\x00b"`},
	} {
		if !errors.Is(c.err, tachyon.ErrInvalidSize) || !strings.Contains(c.err.Error(), c.text) {
			t.Errorf("%v, not about %s", c.err, c.text)
		}
	}
	single, _ := pair(t)
	for _, err := range []error{second(single.Accept(background)), second(single.Peers()), single.DropPeer(1)} {
		is(t, err, tachyon.ErrInvalidSize)
	}
}
