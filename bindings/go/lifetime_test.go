// SPDX-License-Identifier: Apache-2.0

package tachyon_test

import (
	"bytes"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	tachyon "tachyon-ipc/bindings/go"
)

// mappings counts the rings that are mapped, descriptors the open files.
func mappings(t *testing.T) int {
	maps, err := os.ReadFile("/proc/self/maps")
	no(t, err)
	return strings.Count(string(maps), "memfd:tachyon ")
}

func descriptors(t *testing.T) int {
	files, err := os.ReadDir("/proc/self/fd")
	no(t, err)
	return len(files)
}

func collectUntil(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if runtime.GC(); time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// unowned is a pair that no cleanup of the test keeps.
func unowned(t *testing.T) (tx, rx *tachyon.Bus) {
	path := newPath()
	done := make(chan error)
	go func() {
		var err error
		rx, err = tachyon.Listen(path, capacity)
		done <- err
	}()
	tx, err := tachyon.ConnectContext(background, path, &tachyon.Options{Timeout: -1})
	no(t, err)
	no(t, <-done)
	return
}

func TestAViewOutlivesItsBus(t *testing.T) {
	before := mappings(t)
	message := func() *tachyon.RxGuard {
		tx, rx := unowned(t)
		no(t, tx.Send(bytes.Repeat([]byte("view"), 100), 0))
		g, err := rx.AcquireRx(0)
		no(t, err)
		no(t, rx.Close())
		no(t, tx.Close())
		return g
	}()
	room := func() *tachyon.TxGuard {
		tx, _ := unowned(t)
		g, err := tx.AcquireTx(400)
		no(t, err)
		return g
	}()
	inBatch := func() *tachyon.RxMsg {
		tx, rx := unowned(t)
		no(t, tx.Send([]byte("in a batch"), 0))
		batch, err := rx.DrainBatch(1, 0)
		no(t, err)
		no(t, rx.Close())
		return batch.At(0)
	}()
	for range 5 {
		runtime.GC()
		time.Sleep(5 * time.Millisecond)
	}
	if !bytes.Equal(message.Data(), bytes.Repeat([]byte("view"), 100)) {
		t.Fatal(message.Data())
	}
	copy(room.Bytes(), bytes.Repeat([]byte("room"), 100))
	if string(inBatch.Data()) != "in a batch" {
		t.Fatal(inBatch.Data())
	}
	is(t, message.Commit(), tachyon.ErrClosed)
	runtime.KeepAlive(message)
	runtime.KeepAlive(room)
	runtime.KeepAlive(inBatch)
	collectUntil(t, "a ring stays mapped", func() bool { return mappings(t) <= before })
}

func TestClosingGivesEverythingBack(t *testing.T) {
	files, rings := descriptors(t), mappings(t)
	for range 100 {
		tx, rx := unowned(t)
		no(t, tx.Send([]byte("copied"), 0))
		_, _, err := rx.Recv(0)
		no(t, err)
		no(t, tx.Close())
		no(t, rx.Close())
	}
	if now := mappings(t); now > rings { // without a collection
		t.Error(now-rings, "rings are mapped")
	}
	collectUntil(t, "descriptors stay open", func() bool { return descriptors(t) <= files })
}

// Before any collection, however many messages are still looked at.
func TestAViewKeepsNoDescriptor(t *testing.T) {
	var views []*tachyon.RxGuard
	files := descriptors(t)
	for range 1000 {
		tx, rx := unowned(t)
		g, err := tx.AcquireTx(1)
		no(t, err)
		no(t, g.Commit(1, 0))
		message, err := rx.AcquireRx(0)
		no(t, err)
		views = append(views, message)
		no(t, tx.Close())
		no(t, rx.Close())
	}
	if now := descriptors(t); now > files+10 { // the runtime's own come and go
		t.Error(now-files, "descriptors are open")
	}
	for _, view := range views {
		if view.Size() != 1 || len(view.Data()) != 1 {
			t.Fatal(view.Data())
		}
	}
}

func TestABusThatIsForgottenEndsTheStream(t *testing.T) {
	rx := func() *tachyon.Bus {
		tx, rx := unowned(t)
		no(t, tx.Send([]byte("last"), 0))
		return rx
	}()
	end := make(chan error)
	go func() {
		data, _, err := rx.Recv(0)
		if err != nil || string(data) != "last" {
			t.Error(data, err)
		}
		end <- third(rx.Recv(0))
	}()
	var err error
	collectUntil(t, "the stream goes on", func() bool {
		select {
		case err = <-end:
			return true
		default:
			return false
		}
	})
	is(t, err, tachyon.ErrClosed)
}

func TestAFailedOpeningLeavesNothing(t *testing.T) {
	files, rings := descriptors(t), mappings(t)
	for range 50 {
		_, err := tachyon.Connect(newPath())
		is(t, err, tachyon.ErrNetwork)
		_, err = tachyon.ListenContext(background, newPath(), capacity,
			&tachyon.Options{Timeout: time.Microsecond})
		is(t, err, tachyon.ErrTimeout)
	}
	if now := descriptors(t); now > files { // whoever retries may be faster than the collector
		t.Error(now-files, "descriptors are left")
	}
	collectUntil(t, "something is left", func() bool {
		return mappings(t) <= rings && descriptors(t) <= files
	})
}
