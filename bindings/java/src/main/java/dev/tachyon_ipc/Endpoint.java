// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.ReadOnlyBufferException;
import java.nio.channels.AsynchronousCloseException;
import java.nio.channels.spi.AbstractInterruptibleChannel;
import java.nio.charset.StandardCharsets;
import java.time.Duration;

/** What both kinds of bus share: waiting that Thread.interrupt() ends, and buffers. */
abstract class Endpoint implements AutoCloseable {
    /** For payloads that have to be copied to where C sees them; grows to the largest. */
    ByteBuffer scratch = ByteBuffer.allocateDirect(4096);
    private int spin = TachyonConstants.TACHYON_DEFAULT_SPIN;
    private ByteBuffer located; /* the buffer that was used last, and where it is */
    private long locatedAt;

    abstract String errorText();

    abstract void interrupt();

    abstract void clearInterrupt();

    abstract void setSpin(int spin);

    abstract void free();

    /** How often the next waits look before they go to sleep. */
    final void look(int spin) {
        if (spin < 0) throw new IllegalArgumentException("spin is " + spin);
        if (spin != this.spin) setSpin(spin);
        this.spin = spin;
    }

    /** A native call that may wait. */
    interface Call {
        long attempt(double timeout);
    }

    /** Being closed is what Thread.interrupt() does to a thread between begin and end. */
    private final class Wait extends AbstractInterruptibleChannel {
        @Override
        protected void implCloseChannel() {
            interrupt();
        }

        long on(Call call, double timeout) {
            begin();
            try {
                return call.attempt(timeout);
            } finally {
                try {
                    end(true);
                } catch (AsynchronousCloseException e) {
                    clearInterrupt(); /* the thread's own status stays set */
                }
            }
        }
    }

    /** What does not open is freed at once, its descriptor included. */
    final void open(Call call) {
        try {
            sleep(null, call);
        } catch (RuntimeException | Error e) {
            free();
            throw e;
        }
    }

    final long sleep(Duration timeout, Call call) {
        return check(new Wait().on(call, seconds(timeout)));
    }

    /** First without waiting, which costs next to nothing. */
    final long await(Duration timeout, Call call) {
        long result = call.attempt(0);
        return result >= 0 ? result : sleepWhere(result, timeout, call);
    }

    private long sleepWhere(long result, Duration timeout, Call call) {
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

    final ByteBuffer scratch(int size) {
        if (size > scratch.capacity()) scratch = ByteBuffer.allocateDirect(size);
        return scratch;
    }

    /** Where C finds the bytes from position to limit, of a heap buffer in a copy. */
    final long address(ByteBuffer data) {
        int position = data.position();
        if (!data.isDirect()) {
            data = scratch(data.remaining()).put(0, data, position, data.remaining());
            position = 0;
        } else if (data.hasRemaining()) {
            data.get(position); /* throws where its arena is closed */
        }
        if (data != located) {
            locatedAt = Tachyon.address(data);
            located = data;
        }
        return locatedAt + position;
    }

    final long addressToWrite(ByteBuffer into) {
        if (into.isReadOnly()) throw new ReadOnlyBufferException();
        if (!into.isDirect()) throw new IllegalArgumentException("not a direct buffer");
        return address(into);
    }

    /** Memory of a bus, which stays mapped until nothing refers to the buffer any more. */
    final ByteBuffer share(ByteBuffer memory, long bus, int error) {
        check(-error);
        Library.CLEANER.register(memory, () -> Tachyon.unref(bus));
        return memory.order(ByteOrder.nativeOrder());
    }

    /** For C: UTF-8, with a NUL at the end and nowhere else. */
    static byte[] text(String text) {
        if (text.indexOf(0) >= 0) throw new IllegalArgumentException("a NUL in the text");
        return (text + '\0').getBytes(StandardCharsets.UTF_8);
    }
}
