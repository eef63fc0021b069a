// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.ReadOnlyBufferException;
import java.nio.channels.AsynchronousCloseException;
import java.nio.channels.spi.AbstractInterruptibleChannel;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import java.util.function.LongUnaryOperator;
import java.util.function.ToLongFunction;

/** What both kinds of bus share: waiting that Thread.interrupt() ends, and buffers. */
abstract class Endpoint implements AutoCloseable {
    /** For payloads that have to be copied to where C sees them; grows to the largest. A
        call takes it out, so that no second thread writes there before it is refused. */
    private final AtomicReference<ByteBuffer> scratch = new AtomicReference<>();
    private int spin = TachyonConstants.TACHYON_DEFAULT_SPIN;
    private Located located; /* the buffer that was used last */

    /** All waits of a bus sleep on one descriptor, which is readable while one of them is to
        end: by wake(), of which who sees it first takes what others may need, too. */
    private final Object waits = new Object();
    private int interrupted; /* waits whose thread was, and which have not ended */
    private boolean anyone; /* by interrupt(): the next to see it */

    private record Located(ByteBuffer buffer, long at) {}

    abstract String errorText();

    abstract void wake();

    abstract void clearInterrupt();

    abstract void setSpin(int spin);

    abstract void free();

    /** How often the next waits look before they go to sleep. */
    final void look(int spin) {
        if (spin < 0) throw new IllegalArgumentException("spin is " + spin);
        if (spin != this.spin) setSpin(spin);
        this.spin = spin;
    }

    /** Ends the call that waits, or else the next that would. */
    public final void interrupt() {
        synchronized (waits) {
            anyone = true;
            wake();
        }
    }

    /** A native call that may wait. */
    interface Call {
        long attempt(double timeout);
    }

    /** Being closed is what Thread.interrupt() does to a thread between begin and end, or a
        little later. */
    private final class Wait extends AbstractInterruptibleChannel {
        private boolean struck;
        private boolean over;

        @Override
        protected void implCloseChannel() {
            synchronized (waits) {
                if (over) return;
                struck = true;
                interrupted++;
                wake();
            }
        }

        long on(Call call, double timeout) {
            long start = System.nanoTime();
            double left = timeout;
            begin();
            try {
                for (;;) {
                    long result = call.attempt(left);
                    boolean ended = result != -ErrorCode.ERR_INTERRUPTED.swigValue();
                    if (ended || isMeant()) return result;
                    double waited = (System.nanoTime() - start) / 1e9;
                    if (timeout >= 0) left = Math.max(timeout - waited, 1e-9);
                }
            } finally {
                finish();
                try {
                    end(true);
                } catch (AsynchronousCloseException e) {
                    /* the thread's own status stays set */
                }
            }
        }

        /** False once those have ended for whom it was. */
        private boolean isMeant() {
            for (;; LockSupport.parkNanos(50_000)) {
                synchronized (waits) {
                    if (struck || anyone) {
                        anyone &= struck;
                        return true;
                    }
                    if (interrupted == 0) return false;
                    wake(); /* we may have taken it */
                }
            }
        }

        private void finish() {
            synchronized (waits) {
                over = true;
                if (struck) interrupted--;
                if (interrupted > 0 || anyone) {
                    wake();
                } else if (struck) {
                    clearInterrupt();
                }
            }
        }
    }

    /** What does not open is freed at once, its descriptor included. */
    static <B extends Endpoint> B open(B bus, ToLongFunction<B> opening) {
        try {
            bus.sleep(null, t -> opening.applyAsLong(bus));
            return bus;
        } catch (RuntimeException | Error e) {
            bus.free();
            throw e;
        }
    }

    final long sleep(Duration timeout, Call call) {
        return check(outcome(timeout, call));
    }

    final long outcome(Duration timeout, Call call) {
        return new Wait().on(call, seconds(timeout));
    }

    /** First without waiting, which costs next to nothing. */
    final long await(Duration timeout, Call call) {
        long result = call.attempt(0);
        return result >= 0 ? result : sleepWhere(result, timeout, call);
    }

    final long sleepWhere(long result, Duration timeout, Call call) {
        boolean notYet = result == -ErrorCode.ERR_FULL.swigValue()
                || result == -ErrorCode.ERR_EMPTY.swigValue();
        return notYet && seconds(timeout) != 0 ? sleep(timeout, call) : check(result);
    }

    final long check(long result) {
        if (result < 0) throw TachyonException.of((int) -result, errorText());
        return result;
    }

    /** Null is for ever, less than nothing is nothing. */
    static double seconds(Duration timeout) {
        if (timeout == null) return -1;
        return Math.max(0, timeout.getSeconds() + timeout.getNano() / 1e9);
    }

    static Duration duration(double seconds) {
        return seconds < 0 ? null : Duration.ofNanos(Math.round(seconds * 1e9));
    }

    final ByteBuffer takeScratch(int size) {
        ByteBuffer taken = scratch.getAndSet(null);
        return taken != null && size <= taken.capacity() ? taken.clear()
                : ByteBuffer.allocateDirect(Math.max(size, 4096));
    }

    /** After the call, up to which the buffer must not be collected. */
    final void keep(ByteBuffer direct, boolean taken) {
        if (taken) scratch.lazySet(direct);
        Reference.reachabilityFence(direct);
    }

    /** The bytes from position to limit, of a heap buffer in a copy. */
    final ByteBuffer direct(ByteBuffer data) {
        int size = data.remaining();
        return data.isDirect() ? data
                : takeScratch(size).put(0, data, data.position(), size).limit(size);
    }

    /** A call that reads those bytes, and is given where they are. */
    final long lend(ByteBuffer data, LongUnaryOperator call) {
        ByteBuffer from = direct(data);
        try {
            return call.applyAsLong(address(from));
        } finally {
            keep(from, from != data);
        }
    }

    /** Where C finds the bytes from position to limit. */
    final long address(ByteBuffer direct) {
        int position = direct.position();
        if (direct.hasRemaining()) direct.get(position); /* throws where its arena is closed */
        Located at = located; /* once: another thread may be about to be refused */
        if (at == null || at.buffer != direct) {
            located = at = new Located(direct, Tachyon.address(direct));
        }
        return at.at + position;
    }

    final long addressToWrite(ByteBuffer into) {
        if (into.isReadOnly()) throw new ReadOnlyBufferException();
        if (!into.isDirect()) throw new IllegalArgumentException("not a direct buffer");
        return address(into);
    }

    /** Memory of a bus, which stays mapped until nothing refers to the buffer any more. */
    final ByteBuffer share(ByteBuffer memory, long bus) {
        if (memory == null) check(-ErrorCode.ERR_CLOSED.swigValue());
        Library.CLEANER.register(memory, () -> Tachyon.unref(bus));
        return memory.order(ByteOrder.nativeOrder());
    }

    /** For C: UTF-8, with a NUL at the end and nowhere else. */
    static byte[] text(String text, String name) {
        if (text == null) throw new NullPointerException("the " + name + " is null");
        if (text.indexOf(0) >= 0) throw new IllegalArgumentException("a NUL in the " + name);
        return text.concat("\0").getBytes(StandardCharsets.UTF_8);
    }
}
