// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

/** The peer speaks another protocol. */
public final class AbiMismatchException extends TachyonException {
    AbiMismatchException(String text) {
        super(ErrorCode.ERR_ABI_MISMATCH, text);
    }
}
