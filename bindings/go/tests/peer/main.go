// SPDX-License-Identifier: Apache-2.0

// The peer of the conformance tests; tests/interop/README.md has the rules it follows.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	tachyon "tachyon-ipc/bindings/go"
)

var key = map[string]string{"end": "connect", "open": "20", "capacity": "65536", "schema": "0",
	"role": "0", "wait": "20", "count": "1", "size": "32", "how": "single", "seed": "0",
	"finish": "close", "outstanding": "1", "order": "in", "cancel": "0", "types": "", "required": "0"}
var tellsWhy bool
var count, seed int
var sizes []int

func usage(what string) {
	fmt.Fprintf(os.Stderr, "peer OPERATION PATH [key=value ...]: %s?\n", what)
	os.Exit(2)
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		usage(text)
	}
	return n
}

func seconds(text string) time.Duration {
	d, err := time.ParseDuration(text + "s")
	if err != nil {
		usage(text)
	}
	return d
}

// within calls without waiting and, where that is too early, again for so long.
func within(wait time.Duration, call func(ctx context.Context) error) error {
	err := call(tachyon.NoWait)
	if err == nil || wait == 0 || !errors.Is(err, tachyon.ErrFull) && !errors.Is(err, tachyon.ErrEmpty) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	return call(ctx)
}

func say(err error) {
	var e *tachyon.TachyonError
	if errors.As(err, &e) {
		fmt.Println("error", int(e.Code))
	}
}

func sizeOf(i int) int {
	if key["how"] == "batch" {
		i /= 100
	}
	return sizes[i%len(sizes)]
}

func typeOf(i int) uint32 {
	if key["how"] == "batch" {
		return 1
	}
	return uint32(i%7 + 1)
}

func write(b []byte, i int) []byte {
	for j := range b {
		b[j] = byte(31*i + 7*j + seed)
	}
	return b
}

func message(i int) []byte { return write(make([]byte, sizeOf(i)), i) }

func check(right bool, i int) {
	if !right {
		fmt.Println("wrong", i)
		os.Exit(1)
	}
}

type ending interface {
	Close() error
	Abort()
}

func finish(bus ending) {
	switch key["finish"] {
	case "kill":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "abort":
		bus.Abort()
	case "close":
		bus.Close()
	}
}

// open opens with options, or says why not and ends.
func open[T any](listen func(ctx context.Context, o *tachyon.Options) (T, error),
	connect func(ctx context.Context, o *tachyon.Options) (T, error)) T {
	call := connect
	if key["end"] == "listen" {
		call = listen
	}
	bus, err := call(context.Background(), &tachyon.Options{Timeout: seconds(key["open"]),
		Role: number(key["role"]), Schema: uint64(number(key["schema"])),
		Types: key["types"], TypesRequired: key["required"] == "1"})
	if err != nil {
		say(err)
		if tellsWhy {
			fmt.Println("why", err)
		}
		os.Exit(0)
	}
	return bus
}

// sendNext sends message i, or with batches those up to the next hundred; n tells how many.
func sendNext(b *tachyon.Bus, i int, wait time.Duration) (n int, err error) {
	switch key["how"] {
	case "batch":
		items := []byte{}
		for k := i; k < count && (k == i || k%100 != 0); k++ {
			items = append(items, message(k)...)
		}
		err = within(wait, func(ctx context.Context) error {
			sent, err := b.SendBatch(ctx, items[n*sizeOf(i):], sizeOf(i), 1)
			n += sent
			return err
		})
		return
	case "in_place":
		err = within(wait, func(ctx context.Context) error {
			g, err := b.AcquireTxContext(ctx, sizeOf(i))
			if err != nil {
				return err
			}
			return g.CommitUnflushed(len(write(g.Bytes(), i)), typeOf(i))
		})
	default:
		err = within(wait, func(ctx context.Context) error { return b.SendContext(ctx, message(i), typeOf(i)) })
	}
	if err == nil {
		n = 1
	}
	return
}

func recvNext(b *tachyon.Bus, i int, wait time.Duration) (n int, err error) {
	one := func(k int, data []byte, typeID uint32) {
		check(typeID == typeOf(k) && bytes.Equal(data, message(k)), k)
		n++
	}
	err = within(wait, func(ctx context.Context) error {
		switch key["how"] {
		case "batch":
			size := sizeOf(i)
			into := make([]byte, size*(100-i%100))
			got, typeID, err := b.RecvBatch(ctx, into, size)
			for k := range got {
				one(i+k, into[k*size:(k+1)*size], typeID)
			}
			return err
		case "in_place":
			batch, err := b.DrainBatchContext(ctx, 100)
			if err != nil {
				return err
			}
			for m := range batch.Iter() {
				one(i+n, m.Data(), m.TypeID())
			}
			return batch.Commit()
		}
		data, typeID, err := b.RecvContext(ctx)
		if err == nil {
			one(i, data, typeID)
		}
		return err
	})
	return
}
