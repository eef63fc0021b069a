/* SPDX-License-Identifier: Apache-2.0 */
/* The statistics page: the counters of one end, for other processes to read. */
#ifndef TACHYON_PAGE_H
#define TACHYON_PAGE_H

#include <stdatomic.h>
#include <stdint.h>

#define PAGE_MAGIC 0x50434154u /* "TACP" as bytes of a little-endian machine */
#define PAGE_VERSION 1u

struct page {
    _Atomic uint32_t magic; /* stored last: the words that never change are there */
    uint32_t version;
    uint32_t kind;
    uint32_t side;
    _Atomic uint32_t role;
    uint32_t max_peers;
    uint32_t peer_pid;
    uint32_t peer_uid;
    uint64_t opened_ns;
    _Atomic uint64_t message_ns;
    _Atomic uint64_t capacity; /* from here on as tachyon_stats_t */
    _Atomic uint64_t used;
    _Atomic uint64_t messages;
    _Atomic uint64_t ring_bytes;
    _Atomic uint64_t flushes;
    _Atomic uint64_t full;
    _Atomic uint64_t sleeps;
    _Atomic uint64_t wakes;
    char name[32];
    char path[112];
};
_Static_assert(sizeof(struct page) == 256, "no padding");

/* An end's own page. */
struct paper {
    struct page *page; /* NULL: none could be had */
    int fd;            /* for others to find; -1: not any more */
    uint64_t dated;    /* messages at the last message_ns */
    unsigned passed;   /* times that it was not worth the time */
};

#define PAPER_NONE ((struct paper){.fd = -1})

struct tachyon_bus;

/* The connection stands. Without a page it does as well. */
void ty_page_open(struct tachyon_bus *bus, uint32_t kind, uint32_t side,
                  const char *name, const char *path);
/* Nobody is to find it any more; the memory stays. */
void ty_page_hide(struct tachyon_bus *bus);
void ty_page_free(struct tachyon_bus *bus); /* or give up, in a forked child */

/* The rest is of the data thread. Copy the counters, unless many peers make that dear and
 * it was done a moment ago. */
void ty_page_show(struct tachyon_bus *bus);
/* The same if it may be that a message has been sent or taken since. */
void ty_page_follow(struct tachyon_bus *bus);
/* Copy them in any case, and if there was a message since the last time, when. */
void ty_page_date(struct tachyon_bus *bus);

#endif
