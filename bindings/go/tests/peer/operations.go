// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"
	"unsafe"

	tachyon "tachyon-ipc/bindings/go"
)

func serve(path string, wait time.Duration) {
	capacity, group := number(key["capacity"]), number(key["outstanding"])
	key["end"] = "listen"
	b := open(func(ctx context.Context, o *tachyon.Options) (*tachyon.RpcBus, error) {
		return tachyon.RpcListenContext(ctx, path, capacity, capacity, o)
	}, nil)
	served := 0
	var err error
	for err == nil {
		var requests []*tachyon.RpcRxGuard
		for len(requests) < group && err == nil {
			err = within(wait, func(ctx context.Context) error {
				g, err := b.ServeContext(ctx)
				if err == nil {
					requests = append(requests, g)
				}
				return err
			})
		}
		if key["order"] == "reverse" {
			slices.Reverse(requests)
		}
		for k := 0; k < len(requests) && err == nil; k++ {
			g, data := requests[k], slices.Clone(requests[k].Data())
			slices.Reverse(data)
			err = within(wait, func(ctx context.Context) error {
				return b.ReplyContext(ctx, g.CorrelationID(), data, g.TypeID()+1)
			})
			if err == nil {
				served++
			}
		}
	}
	fmt.Println("served", served)
	say(err)
	b.Close()
}

func connectRpc(path string) *tachyon.RpcBus {
	key["end"] = "connect"
	return open(nil, func(ctx context.Context, o *tachyon.Options) (*tachyon.RpcBus, error) {
		return tachyon.RpcConnectContext(ctx, path, o)
	})
}

func call(path string, wait time.Duration) {
	group, every := number(key["outstanding"]), number(key["cancel"])
	b := connectRpc(path)
	answered, cancelled, i := 0, 0, 0
	var err error
	for first := 0; first < count && err == nil; first = i {
		var ids []uint64
		for ; i < min(first+group, count) && err == nil; i++ {
			err = within(wait, func(ctx context.Context) error {
				id, err := b.CallContext(ctx, message(i), typeOf(i))
				if err == nil {
					ids = append(ids, id)
				}
				return err
			})
		}
		for k := 0; k < len(ids) && err == nil; k++ {
			if every > 0 && (first+k+1)%every == 0 {
				err = b.Cancel(ids[k])
				cancelled++
				continue
			}
			err = within(wait, func(ctx context.Context) error {
				g, err := b.WaitContext(ctx, ids[k])
				if err == nil {
					want := message(first + k)
					slices.Reverse(want)
					check(g.TypeID() == typeOf(first+k)+1 && slices.Equal(g.Data(), want), first+k)
					answered++
				}
				return err
			})
		}
	}
	fmt.Println("answered", answered)
	if say(err); err == nil {
		fmt.Println("cancelled", cancelled)
	}
	finish(b)
}

type tick struct {
	symbol   [8]byte
	price    float64
	qty, pad uint32
	ts       uint64
}

var symbol = [8]byte{'T', 'C', 'H', 'Y'}

const tickSize = int(unsafe.Sizeof(tick{}))

// set goes field by field: a value on its way would stall the processor.
func (t *tick) set(i int) {
	t.symbol, t.price, t.ts = symbol, 100+float64(i)*0.25, uint64(i)
	t.qty, t.pad = uint32(i%1000), 0
}

func (t *tick) bytes() []byte { return unsafe.Slice((*byte)(unsafe.Pointer(t)), tickSize) }

func at(b []byte) *tick { return (*tick)(unsafe.Pointer(unsafe.SliceData(b))) }

type sums struct {
	count, qty int
	price      float64
	start      time.Time
}

func (s *sums) add(t *tick) {
	if t.ts != uint64(s.count) || t.pad != 0 || t.symbol != symbol {
		check(false, s.count)
	}
	s.count++
	s.qty += int(t.qty)
	s.price += t.price
}

func (s *sums) report(err error, ns time.Duration) {
	if err != nil {
		say(err)
		os.Exit(1)
	}
	fmt.Printf("count %d qty %d price %.2f ns %.1f\n", s.count, s.qty, s.price,
		float64(ns)/float64(max(s.count, 1)))
}

func produce(b *tachyon.Bus, wait time.Duration) {
	var err error
	ticks, how, start := make([]tick, 1000), key["how"], time.Now()
	for i := 0; i < count && err == nil; i++ {
		switch how {
		case "batch":
			n := min(len(ticks), count-i)
			for k := range n {
				ticks[k].set(i + k)
			}
			sent := 0
			err = within(wait, func(ctx context.Context) error {
				more, err := tachyon.SendItems(ctx, b, ticks[sent:n], 7)
				sent += more
				return err
			})
			i += n - 1
		case "in_place":
			err = within(wait, func(ctx context.Context) error {
				g, err := b.AcquireTxContext(ctx, tickSize)
				if err != nil {
					return err
				}
				at(g.Bytes()).set(i)
				return g.CommitUnflushed(tickSize, 7)
			})
		default:
			ticks[0].set(i)
			err = within(wait, func(ctx context.Context) error { return b.SendContext(ctx, ticks[0].bytes(), 7) })
		}
	}
	b.Flush()
	ns, s := time.Since(start), sums{}
	for i := range count {
		ticks[0].set(i)
		s.add(&ticks[0])
	}
	s.report(err, ns)
}

func consume(b *tachyon.Bus, wait time.Duration) {
	s, ticks, how := sums{}, make([]tick, 1000), key["how"]
	take := func(ctx context.Context) error {
		if how == "batch" {
			n, typeID, err := tachyon.RecvItems(ctx, b, ticks)
			if s.start.IsZero() {
				s.start = time.Now()
			}
			check(err != nil || typeID == 7, s.count)
			for k := range n {
				s.add(&ticks[k])
			}
			return err
		}
		batch, err := b.DrainBatchContext(ctx, len(ticks))
		if err != nil {
			return err
		}
		if s.start.IsZero() {
			s.start = time.Now()
		}
		for m := range batch.Iter() {
			check(m.TypeID() == 7 && m.Size() == tickSize, s.count)
			s.add(at(m.Data()))
		}
		return batch.Commit()
	}
	var err error
	if how == "single" {
		t := ticks[0].bytes()
		for m, end := range b.Messages(context.Background()) {
			if err = end; err != nil {
				break
			}
			if s.start.IsZero() {
				s.start = time.Now()
			}
			check(m.TypeID() == 7 && copy(t, m.Data()) == m.Size() && m.Size() == tickSize, s.count)
			s.add(&ticks[0])
		}
		s.report(err, time.Since(s.start))
		return
	}
	for err == nil {
		err = within(wait, take)
	}
	if errors.Is(err, tachyon.ErrClosed) {
		err = nil
	}
	s.report(err, time.Since(s.start))
}

// trips makes count round trips.
func trips(bus ending, ask func(ctx context.Context, data []byte) ([]byte, error)) {
	ctx, data := context.Background(), message(0)
	for i := range count {
		last, err := ask(ctx, data)
		if err != nil {
			say(err)
			os.Exit(1)
		}
		check(bytes.Equal(last, data), i)
	}
	fmt.Println("answered", count)
	bus.Close()
}

func ping(b, back *tachyon.Bus) {
	trips(b, func(ctx context.Context, data []byte) (last []byte, err error) {
		if err = b.SendContext(ctx, data, 1); err == nil {
			last, _, err = back.RecvContext(ctx)
		}
		return
	})
}

func ask(b *tachyon.RpcBus) {
	trips(b, func(ctx context.Context, data []byte) (last []byte, err error) {
		id, err := b.CallContext(ctx, data, 1)
		if err != nil {
			return
		}
		reply, err := b.WaitContext(ctx, id)
		if err == nil {
			last = reply.Data()
		}
		return
	})
}

func main() {
	if len(os.Args) < 3 {
		usage("OPERATION PATH")
	}
	path := os.Args[2]
	for _, argument := range os.Args[3:] {
		name, value, found := strings.Cut(argument, "=")
		if _, known := key[name]; !found || !known {
			usage(argument)
		}
		key[name] = value
	}
	for _, size := range strings.Split(key["size"], ",") {
		sizes = append(sizes, number(size))
	}
	count, seed = number(key["count"]), number(key["seed"])
	wait := seconds(key["wait"])
	switch os.Args[1] {
	case "serve":
		serve(path, wait)
		return
	case "call":
		call(path, wait)
		return
	case "ask":
		ask(connectRpc(path))
		return
	case "meet":
		fmt.Println("ready")
		tellsWhy = true
	}
	openBus := func(path string) *tachyon.Bus {
		return open(func(ctx context.Context, o *tachyon.Options) (*tachyon.Bus, error) {
			return tachyon.ListenContext(ctx, path, number(key["capacity"]), o)
		}, func(ctx context.Context, o *tachyon.Options) (*tachyon.Bus, error) {
			return tachyon.ConnectContext(ctx, path, o)
		})
	}
	b := openBus(path)
	i, n := 0, 0
	var err error
	switch os.Args[1] {
	case "open", "meet":
		fmt.Println("opened")
		finish(b)
	case "send":
		for i < count && err == nil {
			n, err = sendNext(b, i, wait)
			i += n
		}
		b.Flush()
		fmt.Println("sent", i)
		say(err)
		finish(b)
	case "recv":
		for err == nil {
			n, err = recvNext(b, i, wait)
			i += n
		}
		fmt.Println("received", i)
		say(err)
		b.Close()
	case "fill":
		for count = math.MaxInt; err == nil; i += n {
			n, err = sendNext(b, i, 0)
		}
		fmt.Println("sent", i)
		say(err)
		_, err = sendNext(b, i, wait)
		say(err)
		b.Flush()
		finish(b)
	case "drain":
		fmt.Println("ready")
		for _, wait := range []time.Duration{0, wait} {
			_, err = recvNext(b, 0, wait)
			say(err)
		}
		b.Close()
	case "hold":
		fmt.Println("ready")
		time.Sleep(math.MaxInt64)
	case "misuse":
		b.Close()
		b.Close()
		for _, b := range []*tachyon.Bus{b, {}} {
			_, err = sendNext(b, 0, wait)
			say(err)
			_, err = recvNext(b, 0, wait)
			say(err)
			b.Flush()
		}
	case "produce":
		produce(b, wait)
		finish(b)
	case "ping":
		ping(b, openBus(path+"-back"))
	case "consume":
		consume(b, wait)
		b.Close()
	default:
		usage(os.Args[1])
	}
}
