// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

/** The end of the stream, or this end is closed. */
public final class BusClosedException extends TachyonException {
    BusClosedException(String text) {
        super(ErrorCode.ERR_CLOSED, text);
    }
}
