// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

/** The peer gave up in the middle of the stream. */
public final class BusAbortedException extends TachyonException {
    BusAbortedException(String text) {
        super(ErrorCode.ERR_ABORTED, text);
    }
}
