// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

/** Thread.interrupt() ended the wait; the thread's status stays set. */
public final class BusInterruptedException extends TachyonException {
    BusInterruptedException(String text) {
        super(ErrorCode.ERR_INTERRUPTED, text);
    }
}
