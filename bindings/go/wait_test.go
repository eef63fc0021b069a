// SPDX-License-Identifier: Apache-2.0

package tachyon_test

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	tachyon "tachyon-ipc/bindings/go"
)

// A wait is set up so that the call with this context waits; what it holds up is undone
// by after, which shows that the bus goes on.
type wait struct {
	bus   interface{ Close() error } // nil while it opens
	call  func(ctx context.Context) error
	after func(t *testing.T)
}

func filled(t *testing.T) (*tachyon.Bus, func(t *testing.T)) {
	tx, rx := pair(t)
	sent := 0
	for tx.Send(make([]byte, 1000), 0) == nil {
		sent++
	}
	return tx, func(t *testing.T) {
		for range sent {
			_, _, err := rx.Recv(0)
			no(t, err)
		}
		no(t, tx.SendContext(background, []byte("on"), 2))
		data, _, err := rx.Recv(0)
		no(t, err)
		if string(data) != "on" {
			t.Fatal(data)
		}
	}
}

func drained(t *testing.T) (*tachyon.Bus, func(t *testing.T)) {
	tx, rx := pair(t)
	return rx, func(t *testing.T) {
		no(t, tx.Send([]byte("on"), 2))
		ctx, cancel := context.WithTimeout(background, 10*time.Second)
		defer cancel()
		data, _, err := rx.RecvContext(ctx)
		no(t, err)
		if string(data) != "on" {
			t.Fatal(data)
		}
	}
}

var nothing = func(*testing.T) {}

// Every call that waits.
var waits = map[string]func(t *testing.T) wait{
	"ListenContext": func(t *testing.T) wait {
		return wait{call: func(ctx context.Context) error {
			_, err := tachyon.ListenContext(ctx, newPath(), capacity, nil)
			return err
		}}
	},
	"ConnectContext": func(t *testing.T) wait {
		return wait{call: func(ctx context.Context) error {
			_, err := tachyon.ConnectContext(ctx, newPath(), &tachyon.Options{Timeout: -1})
			return err
		}}
	},
	"RpcListenContext": func(t *testing.T) wait {
		return wait{call: func(ctx context.Context) error {
			_, err := tachyon.RpcListenContext(ctx, newPath(), capacity, capacity, nil)
			return err
		}}
	},
	"RpcConnectContext": func(t *testing.T) wait {
		return wait{call: func(ctx context.Context) error {
			_, err := tachyon.RpcConnectContext(ctx, newPath(), &tachyon.Options{Timeout: -1})
			return err
		}}
	},
	"SendContext": func(t *testing.T) wait {
		tx, after := filled(t)
		return wait{tx, func(ctx context.Context) error {
			return tx.SendContext(ctx, make([]byte, 1000), 0)
		}, after}
	},
	"SendBatch": func(t *testing.T) wait {
		tx, _ := filled(t)
		return wait{tx, func(ctx context.Context) error {
			n, err := tx.SendBatch(ctx, make([]byte, 10000), 1000, 0)
			if n != 0 {
				t.Error(n, "sent")
			}
			return err
		}, nothing}
	},
	"AcquireTxContext": func(t *testing.T) wait {
		tx, after := filled(t)
		return wait{tx, func(ctx context.Context) error {
			_, err := tx.AcquireTxContext(ctx, 1000)
			return err
		}, after}
	},
	"RecvContext": func(t *testing.T) wait {
		rx, after := drained(t)
		return wait{rx, func(ctx context.Context) error {
			_, _, err := rx.RecvContext(ctx)
			return err
		}, after}
	},
	"RecvInto": func(t *testing.T) wait {
		rx, after := drained(t)
		return wait{rx, func(ctx context.Context) error {
			_, _, err := rx.RecvInto(ctx, make([]byte, 10))
			return err
		}, after}
	},
	"RecvBatch": func(t *testing.T) wait {
		rx, after := drained(t)
		return wait{rx, func(ctx context.Context) error {
			_, _, err := rx.RecvBatch(ctx, make([]byte, 10), 2)
			return err
		}, after}
	},
	"AcquireRxContext": func(t *testing.T) wait {
		rx, after := drained(t)
		return wait{rx, func(ctx context.Context) error {
			_, err := rx.AcquireRxContext(ctx)
			return err
		}, after}
	},
	"DrainBatchContext": func(t *testing.T) wait {
		rx, after := drained(t)
		return wait{rx, func(ctx context.Context) error {
			_, err := rx.DrainBatchContext(ctx, 10)
			return err
		}, after}
	},
	"CallContext": func(t *testing.T) wait {
		caller, _ := rpcPair(t)
		for {
			if _, err := caller.Call(make([]byte, 1000), 0); err != nil {
				break
			}
		}
		return wait{caller, func(ctx context.Context) error {
			_, err := caller.CallContext(ctx, make([]byte, 1000), 0)
			return err
		}, nothing}
	},
	"WaitContext": func(t *testing.T) wait {
		caller, callee := rpcPair(t)
		id, err := caller.Call([]byte("why"), 1)
		no(t, err)
		return wait{caller, func(ctx context.Context) error {
			_, err := caller.WaitContext(ctx, id)
			return err
		}, func(t *testing.T) {
			_, err := callee.Serve(0)
			no(t, err)
			no(t, callee.Reply(id, []byte("so"), 2))
			g, err := caller.WaitContext(background, id)
			no(t, err)
			if string(g.Data()) != "so" {
				t.Fatal(g.Data())
			}
		}}
	},
	"ServeContext": func(t *testing.T) wait {
		caller, callee := rpcPair(t)
		return wait{callee, func(ctx context.Context) error {
			_, err := callee.ServeContext(ctx)
			return err
		}, func(t *testing.T) {
			_, err := caller.Call([]byte("why"), 1)
			no(t, err)
			_, err = callee.ServeContext(background)
			no(t, err)
		}}
	},
	"Accept": func(t *testing.T) wait {
		collector, path := crowd(t, tachyon.Options{Role: tachyon.RoleConsumer})
		return wait{collector, func(ctx context.Context) error {
			_, err := collector.Accept(ctx)
			return err
		}, func(t *testing.T) { join(t, collector, path, tachyon.Options{}) }}
	},
	"ReplyContext": func(t *testing.T) wait {
		caller, callee := rpcPair(t)
		var err error
		id := uint64(0)
		for err == nil {
			_, err = caller.CallContext(background, nil, 0)
			no(t, err)
			g, serveErr := callee.ServeContext(background)
			no(t, serveErr)
			id = g.CorrelationID()
			err = callee.Reply(id, make([]byte, 10000), 0)
		}
		is(t, err, tachyon.ErrFull)
		return wait{callee, func(ctx context.Context) error {
			return callee.ReplyContext(ctx, id, make([]byte, 10000), 0)
		}, nothing}
	},
}

func eachWait(t *testing.T, test func(t *testing.T, w wait)) {
	for name, prepare := range waits {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := prepare(t)
			within(t, func() { test(t, w) })
		})
	}
}

func goesOn(t *testing.T, w wait) {
	if w.after != nil {
		w.after(t)
	}
}

func TestACancelledContextEndsEveryWait(t *testing.T) {
	eachWait(t, func(t *testing.T, w wait) {
		ctx, cancel := context.WithCancel(background)
		time.AfterFunc(30*time.Millisecond, cancel)
		err := w.call(ctx)
		is(t, err, context.Canceled)
		if !tachyon.IsInterrupted(err) {
			t.Fatal(err)
		}
		is(t, w.call(ctx), context.Canceled) // at once
		goesOn(t, w)
	})
}

func TestADeadlineEndsEveryWait(t *testing.T) {
	eachWait(t, func(t *testing.T, w wait) {
		start := time.Now()
		ctx, cancel := context.WithTimeout(background, 30*time.Millisecond)
		defer cancel()
		err := w.call(ctx)
		if took := time.Since(start); took < 30*time.Millisecond || took > 10*time.Second {
			t.Error("it took", took)
		}
		is(t, err, context.DeadlineExceeded)
		is(t, err, os.ErrDeadlineExceeded)
		is(t, err, tachyon.ErrTimeout)
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Error("no net.Error with a time-out")
		}
		goesOn(t, w)
	})
}

func TestTheCauseOfAContextIsInTheText(t *testing.T) {
	_, rx := pair(t)
	ctx, cancel := context.WithCancelCause(background)
	cancel(errors.New("enough of it"))
	_, _, err := rx.RecvContext(ctx)
	is(t, err, context.Canceled)
	if err.Error() != "enough of it" {
		t.Fatal(err)
	}
}

func TestCloseFromAnotherGoroutineEndsEveryWait(t *testing.T) {
	for _, watched := range []bool{false, true} {
		eachWait(t, func(t *testing.T, w wait) {
			if w.bus == nil {
				return
			}
			ctx, cancel := background, func() {}
			if watched {
				ctx, cancel = context.WithCancel(background)
			}
			defer cancel()
			time.AfterFunc(30*time.Millisecond, func() { w.bus.Close() })
			is(t, w.call(ctx), tachyon.ErrClosed)
			is(t, w.call(ctx), tachyon.ErrClosed)
		})
	}
}

// A cancellation that comes as the message does must not end the next wait.
func TestACancellationTooLateEndsNothingElse(t *testing.T) {
	tx, rx := pair(t)
	next := make(chan context.CancelFunc)
	defer close(next)
	go func() {
		for cancel := range next {
			time.Sleep(time.Duration(time.Now().UnixNano()%5) * 50 * time.Microsecond)
			go cancel()
			if err := tx.Send([]byte{1}, 0); err != nil {
				t.Error(err)
			}
		}
	}()
	within(t, func() {
		for range 300 {
			ctx, cancel := context.WithCancel(background)
			next <- cancel
			_, _, err := rx.RecvContext(ctx)
			if err != nil {
				is(t, err, context.Canceled)
				_, _, err = rx.Recv(0)
				no(t, err)
			}
		}
	})
}

func TestOthersGoOnWhileSomeWait(t *testing.T) {
	waiting := 4 * runtime.GOMAXPROCS(0)
	results := make(chan error)
	var buses []*tachyon.Bus
	for range waiting {
		_, rx := pair(t)
		buses = append(buses, rx)
		go func() {
			_, _, err := rx.Recv(0)
			results <- err
		}()
	}
	within(t, func() {
		for range 10000 {
			runtime.Gosched()
		}
	})
	for _, b := range buses {
		no(t, b.Close())
	}
	for range waiting {
		is(t, <-results, tachyon.ErrClosed)
	}
}
