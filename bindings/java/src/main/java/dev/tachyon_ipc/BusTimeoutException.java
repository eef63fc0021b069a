// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

/** The time-out passed. */
public final class BusTimeoutException extends TachyonException {
    BusTimeoutException(String text) {
        super(ErrorCode.ERR_TIMEOUT, text);
    }
}
