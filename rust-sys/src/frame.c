/* SPDX-License-Identifier: Apache-2.0 */
/* The inline functions of tachyon_frame.h, for a language that has no C compiler at hand. */
#include "tachyon_frame.h"

tachyon_frame_error_t tachyon_sys_frame_read(const void *message, uint64_t size,
                                             tachyon_frame_t *frame);
tachyon_frame_error_t tachyon_sys_frame_fill(tachyon_frame_t *frame, unsigned code,
                                             unsigned bits, unsigned ndim,
                                             const int64_t *shape, unsigned flags,
                                             uint32_t tag, uint64_t *size);
void tachyon_sys_frame_explain(tachyon_frame_error_t error,
                               const tachyon_frame_t *frame, uint64_t size, char *into,
                               size_t room);

tachyon_frame_error_t tachyon_sys_frame_read(const void *message, uint64_t size,
                                             tachyon_frame_t *frame) {
    return tachyon_frame_read(message, size, frame);
}

tachyon_frame_error_t tachyon_sys_frame_fill(tachyon_frame_t *frame, unsigned code,
                                             unsigned bits, unsigned ndim,
                                             const int64_t *shape, unsigned flags,
                                             uint32_t tag, uint64_t *size) {
    return tachyon_frame_fill(frame, code, bits, ndim, shape, flags, tag, size);
}

void tachyon_sys_frame_explain(tachyon_frame_error_t error,
                               const tachyon_frame_t *frame, uint64_t size, char *into,
                               size_t room) {
    tachyon_frame_explain(error, frame, size, into, room);
}
