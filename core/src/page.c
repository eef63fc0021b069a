/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters: what tachyon_bus_get_stats() tells, and the page that shows it to others.
 *
 * Owns: the page, a memfd of this end's own. Whoever may look at the descriptors of this
 * process finds it there; the peer is not given it. It is sealed against writing once it
 * is mapped.
 *
 * Whoever counts does so in memory of its own. The page has copies, which nothing here
 * relies on: so it is of no use to write to it, and neither sending nor receiving has one
 * instruction more for it. They are made where there is time anyway:
 *   a look has found nothing       consumer: ty_bus_wait_rx()
 *   there is no room               producer: wait_for_room()
 *   before a sleep, and after      the same; rx_asleep()
 *   the peer has been woken        flush_slow(), release_slow()
 *   FLUSHES_PER_PAGE flushes       flush_slow()
 *   a flush of nothing             flush_nothing()
 *   the set has been asked         ty_peers_news(), of many peers
 *   the end                        ty_bus_fail()
 * So what an end shows that has nothing to do is exact. A producer in full flow is behind
 * by FLUSHES_PER_PAGE flushes at most, a consumer by what it took since it was last idle.
 *
 * A page that cannot be had is no error: who runs short of descriptors needs others more.
 */
#include "many.h"
#include "turns.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* ---- Counters ---- */

static tachyon_stats_t counters_of(const struct tachyon_bus *bus) {
    tachyon_stats_t stats = {
        .capacity = bus->regions[0].capacity,
        .used = bus->tx.limit ? bus->tx.head + bus->tx.capacity - bus->tx.limit
                              : bus->rx.handed,
        .messages = bus->tx.messages + bus->rx.messages,
        .ring_bytes = bus->tx.head + bus->rx.tail,
        .flushes = bus->tx.flushes,
        .full = bus->tx.full,
        .sleeps = atomic_load_explicit(&bus->link.sleeps, memory_order_relaxed),
        .wakes = atomic_load_explicit(&bus->link.wakes, memory_order_relaxed),
    };
    if (bus->peers) /* the link's were of our own threads: it is the bell */
        stats.wakes = bus->peers->wakes;
    if (bus->peers && atomic_load(&bus->error) != TACHYON_ERR_FORKED)
        bus->peers->kind->stats((tachyon_bus_t *)(uintptr_t)bus, &stats);
    return stats;
}

tachyon_error_t tachyon_bus_get_stats(const tachyon_bus_t *bus, tachyon_stats_t *out) {
    if (is_null(bus) || is_null(out))
        return TACHYON_ERR_NULL_PTR;
    *out = counters_of(bus);
    return TACHYON_SUCCESS;
}

/* ---- The page ---- */

/* Relaxed: each word is whole by itself, and they need not be of one moment. */
static void put(_Atomic uint64_t *word, uint64_t value) {
    atomic_store_explicit(word, value, memory_order_relaxed);
}

static void copy(struct page *page, const struct tachyon_bus *bus,
                 const tachyon_stats_t *stats) {
    atomic_store_explicit(&page->role, (uint32_t)atomic_load(&bus->role),
                          memory_order_relaxed);
    put(&page->capacity, stats->capacity);
    put(&page->used, stats->used);
    put(&page->messages, stats->messages);
    put(&page->ring_bytes, stats->ring_bytes);
    put(&page->flushes, stats->flushes);
    put(&page->full, stats->full);
    put(&page->sleeps, stats->sleeps);
    put(&page->wakes, stats->wakes);
}

/* To count what is received from many takes a look at each. So it is done once in as many
 * times as there are of them. */
static bool passes(struct tachyon_bus *bus) {
    return bus->peers && bus->peers->kind->rx_ready &&
           bus->paper.passed++ < turns_of(bus)->count;
}

void ty_page_show(struct tachyon_bus *bus) {
    if (!bus->paper.page || passes(bus))
        return;
    tachyon_stats_t stats = counters_of(bus);
    bus->paper.passed = 0;
    copy(bus->paper.page, bus, &stats);
}

void ty_page_follow(struct tachyon_bus *bus) {
    const struct page *page = bus->paper.page;
    if (page && bus->tx.messages + bus->rx.messages !=
                    atomic_load_explicit(&page->messages, memory_order_relaxed))
        ty_page_show(bus);
}

static uint64_t clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

void ty_page_date(struct tachyon_bus *bus) {
    struct paper *paper = &bus->paper;
    if (!paper->page)
        return;
    tachyon_stats_t stats = counters_of(bus);
    if (stats.messages != paper->dated)
        put(&paper->page->message_ns, clock_ns());
    paper->dated = stats.messages;
    paper->passed = 0;
    copy(paper->page, bus, &stats);
}

/* ---- Its memory ---- */

/* The kernel does not refuse to size a memfd beyond this limit: it sends SIGXFSZ. */
static bool may_be_written(void) {
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) == 0 &&
           limit.rlim_cur >= sizeof(struct page);
}

static struct page *map_page(int fd) {
    if (fallocate(fd, 0, 0, sizeof(struct page)) != 0)
        return NULL;
    struct page *page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_POPULATE, fd, 0);
    if (page == MAP_FAILED)
        return NULL;
    if (fcntl(fd, F_ADD_SEALS,
              F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) == 0)
        return page;
    munmap(page, sizeof *page);
    return NULL;
}

/* What does not fit is cut off; the memory is new, so a 0 stands behind. */
static void copy_text(char *into, size_t room, const char *text) {
    memcpy(into, text, strnlen(text, room - 1));
}

void ty_page_open(struct tachyon_bus *bus, uint32_t kind, uint32_t side,
                  const char *name, const char *path) {
    struct paper *paper = &bus->paper;
    if (!may_be_written())
        return;
    paper->fd = memfd_create("tachyon-page", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct page *page = paper->fd < 0 ? NULL : map_page(paper->fd);
    if (!page) {
        ty_close(&paper->fd);
        return;
    }
    page->version = PAGE_VERSION;
    page->kind = kind;
    page->side = side;
    if (bus->peers) {
        page->max_peers = bus->peers->most;
    } else {
        page->peer_pid = (uint32_t)bus->peer.pid;
        page->peer_uid = bus->peer.uid;
    }
    page->opened_ns = clock_ns();
    copy_text(page->name, sizeof page->name, name);
    copy_text(page->path, sizeof page->path, path);
    paper->page = page;
    ty_page_date(bus);
    /* Pairs with the acquire load of whoever reads it. */
    atomic_store_explicit(&page->magic, PAGE_MAGIC, memory_order_release);
}

void ty_page_hide(struct tachyon_bus *bus) {
    ty_close(&bus->paper.fd);
}

void ty_page_free(struct tachyon_bus *bus) {
    struct page *page = bus->paper.page;
    bus->paper.page = NULL; /* first, as in ty_close() */
    if (page)
        munmap(page, sizeof *page);
    ty_page_hide(bus);
}
