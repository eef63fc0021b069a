// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

/** The way to attempt() in java.i; from Java 22 on a shorter one. */
final class Attempt {
    private Attempt() {}

    static long call(long bus, int what, long memory, long size, int number) {
        return Tachyon.attempt(bus, what, memory, size, number);
    }
}
