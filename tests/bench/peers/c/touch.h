/* SPDX-License-Identifier: Apache-2.0 */
/* What is done with a message in place, by the pairs and by the yardstick alike: all of it
 * is written, and of each cache line one word is read. */
#ifndef PEERS_TOUCH_H
#define PEERS_TOUCH_H

#include <stdint.h>
#include <string.h>

#define LINE 64

static inline void touch_write(void *message, size_t size, uint64_t number) {
    memset(message, (int)(unsigned char)number, size);
    memcpy(message, &number, sizeof(number));
}

static inline uint64_t touch_read(const void *message, size_t size) {
    uint64_t sum = 0;
    for (size_t at = 0; at + 8 <= size; at += LINE) {
        uint64_t word;
        memcpy(&word, (const char *)message + at, sizeof(word));
        sum += word;
    }
    return sum;
}

/* What touch_read() says of what touch_write() has written. */
static inline uint64_t touch_sum(size_t size, uint64_t number) {
    uint64_t lines = (size - 8) / LINE; /* after the first */
    return number + lines * ((number & 0xff) * UINT64_C(0x0101010101010101));
}

#endif
