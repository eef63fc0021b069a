// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

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

func call(path string, wait time.Duration) {
	group, every := number(key["outstanding"]), number(key["cancel"])
	key["end"] = "connect"
	b := open(nil, func(ctx context.Context, o *tachyon.Options) (*tachyon.RpcBus, error) {
		return tachyon.RpcConnectContext(ctx, path, o)
	})
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

const tick = 32

func set(b []byte, i int) {
	copy(b, "TCHY\x00\x00\x00\x00")
	binary.NativeEndian.PutUint64(b[8:], math.Float64bits(100+float64(i)*0.25))
	binary.NativeEndian.PutUint64(b[16:], uint64(i%1000)) // and a pad
	binary.NativeEndian.PutUint64(b[24:], uint64(i))
}

type sums struct {
	count, qty int
	price      float64
	start      time.Time
}

func (s *sums) add(b []byte, typeID uint32) {
	check(typeID == 7 && len(b) == tick && string(b[:8]) == "TCHY\x00\x00\x00\x00" &&
		binary.NativeEndian.Uint32(b[20:]) == 0 &&
		binary.NativeEndian.Uint64(b[24:]) == uint64(s.count), s.count)
	s.count++
	s.qty += int(binary.NativeEndian.Uint32(b[16:]))
	s.price += math.Float64frombits(binary.NativeEndian.Uint64(b[8:]))
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
	items, how, start := make([]byte, 1000*tick), key["how"], time.Now()
	for i := 0; i < count && err == nil; i++ {
		switch how {
		case "batch":
			n := min(1000, count-i)
			for k := range n {
				set(items[k*tick:], i+k)
			}
			sent := 0
			err = within(wait, func(ctx context.Context) error {
				n, err := b.SendBatch(ctx, items[sent*tick:n*tick], tick, 7)
				sent += n
				return err
			})
			i += n - 1
		case "in_place":
			err = within(wait, func(ctx context.Context) error {
				g, err := b.AcquireTxContext(ctx, tick)
				if err != nil {
					return err
				}
				set(g.Bytes(), i)
				return g.CommitUnflushed(tick, 7)
			})
		default:
			set(items, i)
			err = within(wait, func(ctx context.Context) error { return b.SendContext(ctx, items[:tick], 7) })
		}
	}
	b.Flush()
	ns, s := time.Since(start), sums{}
	for i := range count {
		set(items, i)
		s.add(items[:tick], 7)
	}
	s.report(err, ns)
}

func consume(b *tachyon.Bus, wait time.Duration) {
	s, into, how := sums{}, make([]byte, 1000*tick), key["how"]
	var err error
	for err == nil {
		err = within(wait, func(ctx context.Context) error {
			n, size, typeID := 1, tick, uint32(0)
			var err error
			switch how {
			case "batch":
				n, typeID, err = b.RecvBatch(ctx, into, tick)
			case "in_place":
				batch, err := b.DrainBatchContext(ctx, 1000)
				if err != nil {
					return err
				}
				if s.start.IsZero() {
					s.start = time.Now()
				}
				for m := range batch.Iter() {
					s.add(m.Data(), m.TypeID())
				}
				return batch.Commit()
			default:
				size, typeID, err = b.RecvInto(ctx, into)
			}
			if s.start.IsZero() {
				s.start = time.Now()
			}
			for k := 0; err == nil && k < n; k++ {
				s.add(into[k*tick:k*tick+size], typeID)
			}
			return err
		})
	}
	if errors.Is(err, tachyon.ErrClosed) {
		err = nil
	}
	s.report(err, time.Since(s.start))
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
	}
	b := open(func(ctx context.Context, o *tachyon.Options) (*tachyon.Bus, error) {
		return tachyon.ListenContext(ctx, path, number(key["capacity"]), o)
	}, func(ctx context.Context, o *tachyon.Options) (*tachyon.Bus, error) {
		return tachyon.ConnectContext(ctx, path, o)
	})
	i, n := 0, 0
	var err error
	switch os.Args[1] {
	case "open":
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
	case "consume":
		consume(b, wait)
		b.Close()
	default:
		usage(os.Args[1])
	}
}
