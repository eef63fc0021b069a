// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/** The way to attempt() in java.i: a plain call, since none of it can wait. */
final class Attempt {
    private static final long SHORT = 1 << 16; /* to copy more would hold the collector up */
    private static final MethodHandle PLAIN = Linker.nativeLinker().downcallHandle(
            MemorySegment.ofAddress(Tachyon.attemptAddress()),
            FunctionDescriptor.of(JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT),
            Linker.Option.critical(false));

    private Attempt() {}

    static long call(long bus, int what, long memory, long size, int number) {
        if (size > SHORT) return Tachyon.attempt(bus, what, memory, size, number);
        try {
            return (long) PLAIN.invokeExact(bus, what, memory, size, number);
        } catch (Throwable e) {
            throw new AssertionError(e); /* C throws nothing */
        }
    }
}
