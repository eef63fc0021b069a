// SPDX-License-Identifier: Apache-2.0

package tachyon

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"
)

// What one message costs, of which a call of C is the floor: go test -bench . -run none
// Every thousand messages the other end sends or takes as many at once.

func benchmarked(b *testing.B) (tx, rx *Bus) {
	path, listener := fmt.Sprintf("@tachyon-go-bench-%d", os.Getpid()), make(chan *Bus)
	go func() {
		rx, _ := Listen(path, 1<<20)
		listener <- rx
	}()
	tx, err := ConnectContext(context.Background(), path, &Options{Timeout: time.Minute})
	if rx = <-listener; err != nil || rx == nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { tx.Close(); rx.Close() })
	return
}

func must[T any](b *testing.B, _ T, err error) {
	if err != nil {
		b.Fatal(err)
	}
}

func BenchmarkEmptyCallOfC(b *testing.B) {
	tx, _ := benchmarked(b)
	for b.Loop() {
		tx.raw.GetError()
	}
}

func BenchmarkSend(b *testing.B) {
	tx, rx := benchmarked(b)
	data, into, n := [32]byte{}, make([]byte, 32*1000), 0
	for b.Loop() {
		must(b, 0, tx.Send(data[:], 7))
		if n++; n%1000 == 0 {
			rx.RecvBatch(NoWait, into, 32)
		}
	}
}

func BenchmarkRecvInto(b *testing.B) {
	tx, rx := benchmarked(b)
	data, items, n := [32]byte{}, make([]byte, 32*1000), 0
	for b.Loop() {
		if n%1000 == 0 {
			tx.SendBatch(NoWait, items, 32, 7)
		}
		n++
		_, _, err := rx.RecvInto(NoWait, data[:])
		must(b, 0, err)
	}
}

func BenchmarkMessages(b *testing.B) {
	tx, rx := benchmarked(b)
	data, items, n := [32]byte{}, make([]byte, 32*1000), 0
	tx.SendBatch(NoWait, items, 32, 7)
	for m, err := range rx.Messages(NoWait) {
		must(b, copy(data[:], m.Data()), err)
		if !b.Loop() {
			break
		}
		if n++; n%1000 == 999 {
			tx.SendBatch(NoWait, items, 32, 7)
		}
	}
}
