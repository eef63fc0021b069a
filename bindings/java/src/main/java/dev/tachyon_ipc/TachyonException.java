// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

/** Why a call failed. Unchecked; the kinds that a caller may want to catch have a class. */
public class TachyonException extends RuntimeException {
    private final int code;

    TachyonException(ErrorCode error, String text) { /* no trace of what is no surprise */
        super(text, null, true, error != ErrorCode.ERR_FULL && error != ErrorCode.ERR_EMPTY);
        code = error.swigValue();
    }

    /** The number, as in tachyon.h. */
    public int getCode() {
        return code;
    }

    /** Its name there, "TACHYON_ERR_FULL". */
    public String getName() {
        return Tachyon.error_name(ErrorCode.swigToEnum(code));
    }

    static TachyonException of(int code, String text) {
        ErrorCode error = ErrorCode.swigToEnum(code);
        return switch (error) {
            case ERR_FULL -> new BufferFullException(text);
            case ERR_ABI_MISMATCH -> new AbiMismatchException(text);
            case ERR_PEER_DEAD -> new PeerDeadException(text);
            case ERR_CLOSED -> new BusClosedException(text);
            case ERR_ABORTED -> new BusAbortedException(text);
            case ERR_TIMEOUT -> new BusTimeoutException(text);
            case ERR_INTERRUPTED -> new BusInterruptedException(text);
            default -> new TachyonException(error, text);
        };
    }
}
