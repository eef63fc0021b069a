// SPDX-License-Identifier: Apache-2.0

package tachyon_test

import (
	"context"
	"testing"
	"time"

	tachyon "tachyon-ipc/bindings/go"
)

// filling sends numbered messages, as many as there is room for.
func filling(t *testing.T, tx *tachyon.Bus, first int) (next int) {
	for next = first; tx.Send([]byte{byte(next)}, uint32(next)) == nil; next++ {
	}
	return
}

func isMessage(t *testing.T, m *tachyon.RxMsg, i int) {
	t.Helper()
	if len(m.Data()) != 1 || m.Data()[0] != byte(i) || m.TypeID() != uint32(i) {
		t.Fatal(i, m.Data(), m.TypeID())
	}
}

func TestALoopOverMessagesHasThemAllAndEnds(t *testing.T) {
	tx, rx := pair(t)
	const count = 10000
	go func() {
		defer tx.Close()
		for i := range count {
			if err := tx.SendContext(background, []byte{byte(i)}, uint32(i)); err != nil {
				t.Error(err)
			}
		}
	}()
	seen := 0
	for m, err := range rx.Messages(background) {
		no(t, err)
		isMessage(t, m, seen)
		seen++
	}
	if seen != count {
		t.Fatal(seen)
	}
}

func TestWhatALoopHasNotSeenStays(t *testing.T) {
	tx, rx := pair(t)
	sent, seen := filling(t, tx, 0), 0
	for _, leave := range []func(){func() {}, func() { panic("left") }} {
		func() {
			defer func() { recover() }()
			for m, err := range rx.Messages(background) {
				no(t, err)
				isMessage(t, m, seen)
				if seen++; seen%100 == 50 {
					leave()
					break
				}
			}
		}()
		_, typeID, err := rx.RecvInto(tachyon.NoWait, make([]byte, 1))
		if no(t, err); typeID != uint32(seen) {
			t.Fatal(typeID, seen)
		}
		seen++
	}
	for m, err := range rx.Messages(tachyon.NoWait) {
		if seen == sent {
			is(t, err, tachyon.ErrEmpty)
			break
		}
		isMessage(t, m, seen)
		seen++
	}
}

// A slow loop gives each message back at once, one that becomes slow after 8 of them.
func TestALoopOverMessagesKeepsNoSenderWaiting(t *testing.T) {
	tx, rx := pair(t)
	sent, seen, slowFrom, room := filling(t, tx, 0), 0, 100, 0
	for m, err := range rx.Messages(background) {
		no(t, err)
		isMessage(t, m, seen)
		if seen++; seen < slowFrom {
			continue
		}
		time.Sleep(50 * time.Microsecond)
		next := filling(t, tx, sent)
		if room += next - sent; seen > slowFrom+8 && (next != sent+1 || room != seen-1) {
			t.Fatalf("there is room for %d messages while number %d is looked at", room, seen)
		}
		if sent = next; seen == slowFrom+40 {
			break
		}
	}
	if next := filling(t, tx, sent); room+next-sent != seen {
		t.Fatal(next-sent, room, seen) // all that the loop has seen is free
	}
}

func TestNothingElseReceivesInALoopOverMessages(t *testing.T) {
	tx, rx := pair(t)
	filling(t, tx, 0)
	for _, err := range rx.Messages(background) {
		no(t, err)
		for name, call := range everyCall(rx) {
			switch name {
			case "Recv", "RecvInto", "RecvContext", "RecvBatch", "AcquireRx", "DrainBatch", "Messages":
				is(t, call(), tachyon.ErrBusy)
			}
		}
		_, err = rx.Stats()
		no(t, err)
		break
	}
	no(t, third(rx.Recv(0)))
}

func TestALoopOverMessagesEndsWithItsContext(t *testing.T) {
	tx, rx := pair(t)
	filling(t, tx, 0)
	for _, end := range []int{1, 100, 1 << 40} { // while there are messages, and after
		ctx, cancel := context.WithCancel(background)
		defer cancel()
		time.AfterFunc(time.Second, cancel)
		seen := 0
		for _, err := range rx.Messages(ctx) {
			if err != nil {
				is(t, err, context.Canceled)
				break
			}
			if seen++; seen == end {
				cancel()
			}
		}
		if seen < min(end, 101) || seen >= end+32 {
			t.Fatal(seen, end)
		}
	}
}

func TestBatchesAreWrittenInPlace(t *testing.T) {
	tx, rx := pair(t)
	for _, size := range []int{1, 32, 33, 100} {
		g, err := tx.AcquireTxBatch(background, size, 10)
		no(t, err)
		if g.Len() != 10 || len(g.At(9)) != size {
			t.Fatal(g.Len(), len(g.At(9)))
		}
		for i := range g.Len() {
			g.At(i)[size-1] = byte(i)
		}
		is(t, g.Commit(11, 5), tachyon.ErrInvalidSize)
		no(t, g.Commit(9, 5))
		if g.Len() != 0 {
			t.Fatal("room after the commit")
		}
		is(t, g.Commit(1, 5), tachyon.ErrEmpty)
		for i := range 9 {
			data, typeID, err := rx.RecvContext(tachyon.NoWait)
			if no(t, err); len(data) != size || data[size-1] != byte(i) || typeID != 5 {
				t.Fatal(data, typeID)
			}
		}
	}
	g, err := tx.AcquireTxBatch(tachyon.NoWait, 32, 1<<40) // what there is room for
	no(t, err)
	all := g.Len()
	no(t, g.Rollback())
	if sent := filling(t, tx, 0); sent != all {
		t.Fatal(sent, all)
	}
	is(t, second(tx.AcquireTxBatch(tachyon.NoWait, 32, 1)), tachyon.ErrFull)
}

func TestSendingAndReceivingAllocateNothing(t *testing.T) {
	tx, rx := pair(t)
	allocations := testing.AllocsPerRun(100, func() {
		var data [32]byte
		if tx.Send(data[:], 7) != nil || third(rx.RecvInto(tachyon.NoWait, data[:])) != nil {
			t.Error("no message")
		}
	})
	if allocations != 0 {
		t.Fatal(allocations)
	}
}
