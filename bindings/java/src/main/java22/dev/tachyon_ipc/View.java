// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;

/** A message, or room for one. */
abstract class View {
    /** The payload, in native byte order. */
    public abstract ByteBuffer getData();

    /** The same as a segment. */
    public MemorySegment segment() {
        return MemorySegment.ofBuffer(getData());
    }
}
