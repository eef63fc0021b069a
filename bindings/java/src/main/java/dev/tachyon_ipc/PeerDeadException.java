// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

/** The peer died without closing; what it had flushed was delivered. */
public final class PeerDeadException extends TachyonException {
    PeerDeadException(String text) {
        super(ErrorCode.ERR_PEER_DEAD, text);
    }
}
