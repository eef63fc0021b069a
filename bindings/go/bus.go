// SPDX-License-Identifier: Apache-2.0

package tachyon

import (
	"context"
	"errors"
	"io"
	"iter"
	"runtime"
	"time"
	"unsafe"

	"tachyon-ipc/bindings/go/internal/native"
)

// A Bus is one end of a stream of messages.
type Bus struct{ endpoint }

// Listen waits for one peer at a path.
func Listen(path string, capacity int) (*Bus, error) {
	return ListenContext(context.Background(), path, capacity, nil)
}

// ListenContext is Listen with options, until the context ends.
func ListenContext(ctx context.Context, path string, capacity int, o *Options) (*Bus, error) {
	b := new(Bus)
	return opened(b, b.open(ctx, path, o, -1, func(o native.Options) int64 {
		return b.raw.Listen(path, int64(capacity), o)
	}, capacity))
}

// Connect tries once to attach to a listener.
func Connect(path string) (*Bus, error) { return ConnectContext(context.Background(), path, nil) }

// ConnectContext is Connect with options, until the context ends.
func ConnectContext(ctx context.Context, path string, o *Options) (*Bus, error) {
	b := new(Bus)
	return opened(b, b.open(ctx, path, o, 0, func(o native.Options) int64 {
		return b.raw.Connect(path, o)
	}))
}

// SetNumaNode says where the pages of the ring should be.
func (b *Bus) SetNumaNode(node int) error {
	_, err := b.do(func() int64 { return b.raw.SetNumaNode(node) })
	return err
}

// Stats counts what one end has done.
type Stats struct {
	Capacity, Used, Messages, RingBytes, Flushes, Full, Sleeps, Wakes uint64
}

// Stats reads the counters.
func (b *Bus) Stats() (stats Stats, err error) {
	_, err = b.do(func() int64 {
		s := b.raw.Stats()
		defer native.DeleteStats(s)
		stats = Stats{s.GetCapacity(), s.GetUsed(), s.GetMessages(), s.GetRingBytes(),
			s.GetFlushes(), s.GetFull(), s.GetSleeps(), s.GetWakes()}
		return b.closed()
	})
	return
}

// Send copies a message into the ring, if there is room.
func (b *Bus) Send(data []byte, typeID uint32) error { return b.SendContext(NoWait, data, typeID) }

// SendContext waits for room.
func (b *Bus) SendContext(ctx context.Context, data []byte, typeID uint32) error {
	patience, err := b.patience(ctx)
	if err != nil {
		return err
	}
	if result := b.raw.Send(data, typeID, patience); result < 0 {
		_, err = b.outcome(ctx, result, func(t float64) int64 { return b.raw.Send(data, typeID, t) })
	}
	runtime.KeepAlive(b)
	return err
}

// SendBatch copies items of one size into the ring; fewer than all only with an error.
func (b *Bus) SendBatch(ctx context.Context, items []byte, size int, typeID uint32) (int, error) {
	if size <= 0 || len(items)%size != 0 {
		return 0, failure(ErrInvalidSize, "%d bytes are no items of %d bytes", len(items), size)
	}
	for sent := 0; ; {
		n, err := b.wait(ctx, func(t float64) int64 {
			return b.raw.SendBatch(items[sent*size:], int64(size), uint(typeID), t)
		})
		if sent += n; err != nil || sent*size == len(items) {
			return sent, err
		}
	}
}

// Flush shows the peer what was committed.
func (b *Bus) Flush() error {
	_, err := b.do(b.raw.Flush)
	return err
}

// Recv waits for a message and copies it; spin is how often to look before going to sleep.
func (b *Bus) Recv(spin uint32) ([]byte, uint32, error) { return b.RecvContext(b.spinning(spin)) }

// RecvContext is Recv until the context ends.
func (b *Bus) RecvContext(ctx context.Context) ([]byte, uint32, error) {
	if err := b.enter(); err != nil {
		return nil, 0, err
	}
	defer b.busy.Store(false)
	return b.recv(ctx)
}

func (b *Bus) recv(ctx context.Context) ([]byte, uint32, error) {
	for {
		n, typeID, err := b.recvInto(ctx, b.buffer)
		if err == nil {
			return append([]byte{}, b.buffer[:n]...), typeID, nil
		}
		if n <= len(b.buffer) {
			return nil, 0, err
		}
		b.buffer = make([]byte, max(512, n))
	}
}

// RecvInto waits for a message and copies it. A longer one stays: ErrInvalidSize, and its size.
func (b *Bus) RecvInto(ctx context.Context, into []byte) (size int, typeID uint32, err error) {
	if b.busy.Load() {
		return 0, 0, errBusy
	}
	return b.recvInto(ctx, into)
}

func (b *Bus) recvInto(ctx context.Context, into []byte) (size int, typeID uint32, err error) {
	patience, err := b.patience(ctx)
	if err != nil {
		return
	}
	if result := b.raw.RecvInto(into, patience); result < 0 {
		_, err = b.outcome(ctx, result, func(t float64) int64 { return b.raw.RecvInto(into, t) })
	}
	if err == nil || errors.Is(err, ErrInvalidSize) {
		size, typeID = b.fields.Size(), b.fields.TypeID()
	}
	runtime.KeepAlive(b)
	return
}

// RecvBatch waits for messages of this size and of one type, and copies what fits.
func (b *Bus) RecvBatch(ctx context.Context, into []byte, size int) (count int, typeID uint32, err error) {
	if b.busy.Load() {
		return 0, 0, errBusy
	}
	count, err = b.wait(ctx, func(t float64) int64 {
		n := b.raw.RecvBatchInto(into, int64(size), t)
		typeID = b.fields.TypeID()
		return n
	})
	return
}

// An RxMsg is one message of a batch, and what a guard holds. It keeps the ring mapped.
type RxMsg struct {
	e      *endpoint // nil: it is a copy
	turn   uint64    // of the guard that it belongs to
	data   []byte
	typeID uint32
}

// Data is the message, to be read until it is committed; nil after that.
func (m *RxMsg) Data() []byte {
	if m.e != nil && m.turn != m.e.turn {
		return nil
	}
	return m.data
}

// Size is the length of the message.
func (m *RxMsg) Size() int { return len(m.data) }

// TypeID is the type of the message.
func (m *RxMsg) TypeID() uint32 { return m.typeID }

// begin opens a guard of what the call finds in the ring, at an offset and of a size.
func (e *endpoint) begin(ctx context.Context, call func(t float64) (offset int64, size int)) (m RxMsg, err error) {
	if err = e.enter(); err != nil {
		return
	}
	defer e.busy.Store(false)
	return e.place(ctx, call)
}

// place is for who has entered.
func (e *endpoint) place(ctx context.Context, call func(t float64) (offset int64, size int)) (m RxMsg, err error) {
	if e.ring == nil && e.raw != 0 {
		if e.ring = e.raw.RingMemory(); e.ring != nil {
			runtime.AddCleanup(e, func(raw native.SwigcptrBus) { raw.Unref() }, e.raw)
		}
	}
	size := 0
	at, err := e.wait(ctx, func(t float64) (offset int64) {
		offset, size = call(t)
		return
	})
	if err == nil {
		e.turn++
		m = RxMsg{e, e.turn, e.ring[at : at+size : at+size], e.fields.TypeID()}
	}
	return
}

// finish ends a guard, unless the call refuses a size.
func (m *RxMsg) finish(call func() int64) error {
	if m.e != nil {
		if err := m.e.enter(); err != nil {
			return err
		}
		defer m.e.busy.Store(false)
	}
	if m.e == nil || m.turn != m.e.turn {
		return failure(ErrEmpty, "the guard has ended")
	}
	result := call()
	if result != -int64(ErrInvalidSize) && result != -int64(ErrBusy) {
		m.e.turn++
	}
	_, err := m.e.check(result)
	return err
}

// commit is finish, of so many bytes or messages.
func (m *RxMsg) commit(size int, call func() int64) error {
	if size < 0 {
		return failure(ErrInvalidSize, "%d cannot be committed", size)
	}
	return m.finish(call)
}

// A TxGuard is room for one message, until it is committed or rolled back.
type TxGuard struct{ room RxMsg }

// AcquireTx reserves room, if there is some; a reservation that is open ends.
func (b *Bus) AcquireTx(size int) (*TxGuard, error) { return b.AcquireTxContext(NoWait, size) }

// AcquireTxContext waits for room.
func (b *Bus) AcquireTxContext(ctx context.Context, size int) (*TxGuard, error) {
	if size < 0 {
		return nil, failure(ErrInvalidSize, "a message of %d bytes", size)
	}
	room, err := b.begin(ctx, func(t float64) (int64, int) { return b.raw.Reserve(int64(size), t), size })
	return opened(&TxGuard{room}, err)
}

// Bytes is where to write, until the guard ends.
func (g *TxGuard) Bytes() []byte { return g.room.Data() }

// Commit sends the first size bytes.
func (g *TxGuard) Commit(size int, typeID uint32) error {
	return g.room.commit(size, func() int64 { return g.room.e.raw.Publish(int64(size), uint(typeID)) })
}

// CommitUnflushed lets them be seen with the next flush.
func (g *TxGuard) CommitUnflushed(size int, typeID uint32) error {
	return g.room.commit(size, func() int64 { return g.room.e.raw.Commit(int64(size), uint(typeID)) })
}

// Rollback sends nothing.
func (g *TxGuard) Rollback() error {
	return g.room.finish(func() int64 { return g.room.e.raw.Rollback() })
}

// A TxBatch is room for messages of one size, until it is committed or rolled back.
type TxBatch struct {
	room         RxMsg
	size, stride int
}

// AcquireTxBatch waits for room and takes what there is of it, for up to max messages.
func (b *Bus) AcquireTxBatch(ctx context.Context, size, max int) (*TxBatch, error) {
	if size <= 0 || max <= 0 {
		return nil, failure(ErrInvalidSize, "%d messages of %d bytes", max, size)
	}
	room, err := b.begin(ctx, func(t float64) (int64, int) {
		offset := b.raw.ReserveBatch(int64(size), int64(max), t)
		return offset, b.fields.Count() * b.fields.Stride()
	})
	if err != nil {
		return nil, err
	}
	return &TxBatch{room, size, b.fields.Stride()}, nil
}

// Len is how many messages there is room for, 0 after the end.
func (g *TxBatch) Len() int {
	if g.stride == 0 {
		return 0
	}
	return len(g.room.Data()) / g.stride
}

// At is where to write message i.
func (g *TxBatch) At(i int) []byte { return g.room.Data()[i*g.stride:][:g.size:g.size] }

// Commit sends the first count messages.
func (g *TxBatch) Commit(count int, typeID uint32) error {
	return g.room.commit(count, func() int64 {
		if result := g.room.e.raw.CommitBatch(int64(count), uint(typeID)); result < 0 {
			return result
		}
		return g.room.e.raw.Flush()
	})
}

// Rollback sends nothing.
func (g *TxBatch) Rollback() error {
	return g.room.finish(func() int64 { return g.room.e.raw.Rollback() })
}

// An RxGuard is a message in the ring, until it is committed.
type RxGuard struct{ RxMsg }

// AcquireRx waits for a message.
func (b *Bus) AcquireRx(spin uint32) (*RxGuard, error) { return b.AcquireRxContext(b.spinning(spin)) }

// AcquireRxContext is AcquireRx until the context ends.
func (b *Bus) AcquireRxContext(ctx context.Context) (*RxGuard, error) {
	m, err := b.begin(ctx, func(t float64) (int64, int) {
		offset := b.raw.Acquire(t)
		return offset, b.fields.Size()
	})
	return opened(&RxGuard{m}, err)
}

// Commit gives the room back.
func (g *RxGuard) Commit() error { return g.finish(func() int64 { return g.e.raw.Release(0) }) }

// An RxBatch is messages in the ring, until they are committed.
type RxBatch struct {
	all  RxMsg
	msgs []RxMsg
}

type view struct{ offset, size, typeID, _ uint32 }

const maxViews = 1024 // MAX_VIEWS of the facade

// DrainBatch waits for a message and takes up to max of those that are there.
func (b *Bus) DrainBatch(max int, spin uint32) (*RxBatch, error) {
	return b.DrainBatchContext(b.spinning(spin), max)
}

// TryDrainBatch takes those that are there, which may be none.
func (b *Bus) TryDrainBatch(max int) (*RxBatch, error) {
	batch, err := b.DrainBatchContext(NoWait, max)
	if errors.Is(err, ErrEmpty) {
		return &RxBatch{}, nil
	}
	return batch, err
}

// DrainBatchContext is DrainBatch until the context ends.
func (b *Bus) DrainBatchContext(ctx context.Context, max int) (*RxBatch, error) {
	if max <= 0 {
		return nil, failure(ErrInvalidSize, "a batch of %d messages", max)
	}
	if err := b.enter(); err != nil {
		return nil, err
	}
	defer b.busy.Store(false)
	return b.drain(ctx, max)
}

func (b *Bus) drain(ctx context.Context, max int) (*RxBatch, error) {
	batch := new(RxBatch)
	var err error
	batch.all, err = b.place(ctx, func(t float64) (int64, int) {
		n := b.raw.Take(uint(min(max, maxViews)), t)
		if n < 0 {
			return n, 0
		}
		batch.msgs = b.taken(int(n))
		return 0, 0
	})
	return opened(batch, err)
}

// Messages goes through what comes, until the end of the stream; an error is the last of
// it. A message is done with when the loop asks for the next one. What it has not seen when
// it is left stays in the ring. Nothing else may receive in the loop: ErrBusy.
//
// A loop that is fast takes up to 32 messages that are there, and gives them back, with two
// calls of C for all. One that has been slow, more than 20 µs, goes back to one at a time
// within 8 messages; so no sender that waits for room waits for long for what is done with.
func (b *Bus) Messages(ctx context.Context) iter.Seq2[*RxMsg, error] {
	return func(yield func(*RxMsg, error) bool) {
		err := b.enter()
		if err == nil {
			defer b.busy.Store(false)
		}
		for n := 1; n > 0 && err == nil; {
			n, err = b.some(ctx, n, yield)
		}
		if errors.Is(err, ErrInvalidSize) { // of many peers, each with a ring of its own
			err = b.copies(ctx, yield)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			yield(nil, err)
		}
	}
}

// some messages, up to most: how many there may be next time, 0: the loop has been left.
func (b *Bus) some(ctx context.Context, most int, yield func(*RxMsg, error) bool) (next int, err error) {
	batch, err := b.drain(ctx, most)
	if err != nil {
		return
	}
	start, done := time.Now(), 0
	defer func() { // also after a panic
		b.turn++
		b.raw.Release(uint(done)) // an error is also that of the next call
		runtime.KeepAlive(b)
	}()
	for next = min(2*most, 32); next > 1 && done < len(batch.msgs); {
		done++
		if !yield(&batch.msgs[done-1], nil) {
			return 0, nil
		}
		if (done%8 == 0 || done == len(batch.msgs)) && time.Since(start) > 20*time.Microsecond {
			next = 1
		}
	}
	return
}

func (b *Bus) copies(ctx context.Context, yield func(*RxMsg, error) bool) error {
	for {
		data, typeID, err := b.recv(ctx)
		if err != nil || !yield(&RxMsg{data: data, typeID: typeID}, nil) {
			return err
		}
	}
}

// taken describes in Go what C has written down of a batch.
func (e *endpoint) taken(n int) []RxMsg {
	if e.views == nil {
		memory := e.raw.ViewMemory()
		runtime.AddCleanup(e, func(raw native.SwigcptrBus) { raw.Unref() }, e.raw)
		e.views = unsafe.Slice((*view)(unsafe.Pointer(&memory[0])), maxViews)
		e.batch = make([]RxMsg, maxViews)
	}
	for i, v := range e.views[:n] {
		end := int(v.offset) + int(v.size)
		m := &e.batch[i] // field by field: a value on its way would stall the processor
		m.e, m.turn, m.data, m.typeID = e, e.turn+1, e.ring[v.offset:end:end], v.typeID
	}
	return e.batch[:n]
}

// Len is how many messages there are, 0 after the commit.
func (b *RxBatch) Len() int {
	if b.all.Data() == nil {
		return 0
	}
	return len(b.msgs)
}

// At is message i, valid until the commit.
func (b *RxBatch) At(i int) *RxMsg { return &b.msgs[:b.Len()][i] }

// Iter goes through them.
func (b *RxBatch) Iter() iter.Seq[*RxMsg] {
	return func(yield func(*RxMsg) bool) {
		for i := 0; i < b.Len() && yield(b.At(i)); i++ {
		}
	}
}

// Commit gives their room back.
func (b *RxBatch) Commit() error {
	if b.all.e == nil { // none were there
		return nil
	}
	return b.all.finish(func() int64 { return b.all.e.raw.Release(0) })
}
