// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

/** No room until the consumer releases a message. Has no stack trace. */
public final class BufferFullException extends TachyonException {
    BufferFullException(String text) {
        super(ErrorCode.ERR_FULL, text);
    }
}
