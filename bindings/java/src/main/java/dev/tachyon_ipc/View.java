// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

import java.nio.ByteBuffer;

/** A message, or room for one; from Java 22 on also as a MemorySegment. */
abstract class View {
    /** The payload, in native byte order. */
    public abstract ByteBuffer getData();
}
