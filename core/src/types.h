/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The description of the messages that two ends share: a canonical text, one fact a line,
 * its fingerprint, what differs first between two of them, and several made one.
 * docs/TYPED_MESSAGES.md has its format.
 *
 *   tachyon-types 1 little
 *   enum Side u32               a block: its head, ...
 *    BID 1                      ... and its body, each line of which begins with a space
 *   message 1 Tick +            may grow: more fields at its end on one side are no difference
 *    price f64 @0
 *    side Side @8
 *    = 16 align 8
 *
 * Nothing here trusts a text but for what ty_types_check() has found of it: printable
 * lines of bounded length. What it says is compared, never followed.
 */
#ifndef TACHYON_TYPES_H
#define TACHYON_TYPES_H

#include "error.h"

#include <stddef.h>
#include <stdint.h>

#define TYPES_MAX_BYTES 65536u
#define TYPES_MAX_LINE 255u
#define TYPES_MAX_GIVEN (16u << 20) /* of several, before they are merged */

/* Has it the form of one? If not, this error says where. If so, here is its fingerprint. */
tachyon_error_t ty_types_check(const char *text, size_t size, const char *what,
                               tachyon_error_t error, uint64_t *fingerprint);

/* Do they fit, may a message of one be read by the other? ABI_MISMATCH names the first
 * line of ours that has another one at the peer; MEM. Both have been checked. */
tachyon_error_t ty_types_compare(const char *ours, size_t our_size, const char *theirs,
                                 size_t their_size);

/* Of descriptions that stand one after another make that of all their messages: by rising
 * type id, and what several of them hold once. It is in memory to be freed; NULL where they
 * are a single one. The fingerprint is that of it or of the single one. INVALID_SZ: one has
 * not the form, two messages have one type id, two types one name, or all of it is too
 * long; MEM. */
tachyon_error_t ty_types_merge(const char *texts, size_t size, char **merged,
                               size_t *merged_size, uint64_t *fingerprint);

#endif
