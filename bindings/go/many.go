// SPDX-License-Identifier: Apache-2.0

package tachyon

import (
	"context"
	"runtime"

	"tachyon-ipc/bindings/go/internal/native"
)

// SlowPeer is what a producer with many consumers does with one that is slow.
type SlowPeer int32

// A producer waits for the slow, or lets them go after SlowAfter: they get ErrLagged.
const (
	SlowBlock SlowPeer = iota
	SlowDisconnect
)

// WithoutPeers is what a producer with many consumers does while there is none.
type WithoutPeers int32

// A producer fills the ring and waits for a consumer, or goes on and overwrites.
const (
	WithoutPeersWait WithoutPeers = iota
	WithoutPeersFreeRun
)

// Start is where a consumer of a producer with many begins.
type Start int32

// With what is sent from now on, the oldest message that is still there, or a position.
const (
	StartNow Start = iota
	StartOldest
	StartPosition
)

// EventKind is what has happened to a peer.
type EventKind uint32

// EventMissed counts, as its Peer, events that nobody has fetched in time.
const (
	EventJoined EventKind = 1 + iota
	EventLeft
	EventMissed
)

// An Event is a peer that has come or gone.
type Event struct {
	Kind   EventKind
	Peer   uint32 // its number, which grows and is not used again
	Name   string // as it has connected
	Who    Peer
	Reason ErrorCode // of EventLeft: ErrClosed, ErrAborted, ErrPeerDead, ErrCorrupt, ErrLagged; else 0
}

// PeerInfo is a peer that is connected.
type PeerInfo struct {
	Peer          uint32
	Name          string
	Who           Peer
	Messages      uint64 // received from it; of a consumer 0
	Behind        uint64 // of a consumer of many: bytes it has still to read
	Sleeps, Wakes uint64 // of this end for it alone
}

// who is in C a part of several structs.
type who interface {
	GetPid() int
	GetUid() uint
	GetGid() uint
}

func peerOf(w who) Peer { return Peer{w.GetPid(), uint32(w.GetUid()), uint32(w.GetGid())} }

// Accept lets peers in and out, until one has come or gone or the context ends. Any
// goroutine may, while another sends or receives; a second one gets ErrBusy. Who waits in
// another call lets them in as well, and a bus that never waits has need of this.
func (e *endpoint) Accept(ctx context.Context) (event Event, err error) {
	_, err = e.wait(ctx, func(t float64) int64 {
		raw := e.raw.Accept(t)
		defer native.DeleteEvent(raw)
		event = Event{EventKind(raw.GetKind()), uint32(raw.GetPeer()), raw.GetName(), peerOf(raw),
			ErrorCode(raw.GetReason())}
		if event.Kind != 0 {
			return 0
		}
		return -int64(event.Reason)
	})
	if err != nil {
		event = Event{}
	}
	return
}

// Peers tells who is connected, in no order.
func (e *endpoint) Peers() (peers []PeerInfo, err error) {
	_, err = e.do(func() int64 {
		runtime.LockOSThread() // the error is its own
		defer runtime.UnlockOSThread()
		list := e.raw.Peers()
		if list.Swigcptr() == 0 {
			return e.raw.ErrorHere()
		}
		defer native.DeletePeers(list)
		for i := range list.GetCount() {
			p := list.At(i)
			peers = append(peers, PeerInfo{uint32(p.GetPeer()), p.GetName(), peerOf(p),
				p.GetMessages(), p.GetBehind(), p.GetSleeps(), p.GetWakes()})
			native.DeletePeerInfo(p)
		}
		return 0
	})
	return
}

// DropPeer disconnects the peer of a number; the event EventLeft follows.
func (e *endpoint) DropPeer(peer uint32) error {
	_, err := e.do(func() int64 { return e.raw.DropPeer(uint(peer)) })
	return err
}

// Sender is the number of the peer whose message or request was received last, 0: none.
func (e *endpoint) Sender() (peer uint32, err error) {
	n, err := e.do(e.raw.Sender)
	return uint32(n), err
}

// Position is where this end of a broadcast stands: what Options take as StartPosition and
// StartEpoch.
func (b *Bus) Position() (position, epoch uint64, err error) {
	n, err := b.do(func() int64 {
		n := b.raw.Position()
		epoch = b.fields.Epoch()
		return n
	})
	return uint64(n), epoch, err
}
