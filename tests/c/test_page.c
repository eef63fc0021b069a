/* SPDX-License-Identifier: Apache-2.0 */
/* page.c: what a third process reads of both ends, and that no writing to it harms. */
#include "bus.h"
#include "crowd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static uint32_t type;
static size_t size;
static char room[3000];

/* ---- As another process sees it ---- */

/* What it is to find: by side, and how often. */
static struct {
    tachyon_stats_t stats[RING_SIDE_CONNECTOR + 1];
    int pages;
} expected;

static void equal(const struct page *page, const tachyon_stats_t *stats) {
    const _Atomic uint64_t *shown = &page->capacity;
    const uint64_t *words = &stats->capacity;
    static const char *const names[] = {"capacity", "used", "messages", "ring_bytes",
                                        "flushes",  "full", "sleeps",   "wakes"};
    for (int i = 0; i < 8; i++)
        if (shown[i] != words[i])
            FAIL("the page of end %u says that %s is %ju, its owner %ju", page->side,
                 names[i], (uintmax_t)shown[i], (uintmax_t)words[i]);
}

/* Its page, of which `path` is the descriptor; NULL: it is none. */
static const struct page *look(const char *path) {
    char target[64] = "";
    if (readlink(path, target, sizeof target - 1) < 0 ||
        strcmp(target, "/memfd:tachyon-page (deleted)") != 0)
        return NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    const struct page *page =
        mmap(NULL, sizeof(struct page), PROT_READ, MAP_SHARED, fd, 0);
    CHECK(page != MAP_FAILED);
    close(fd);
    return page;
}

static int look_at_all(void (*with)(const struct page *page)) {
    char path[300];
    int pages = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)getppid());
    DIR *list = opendir(path);
    CHECK(list);
    for (struct dirent *entry; (entry = readdir(list));) {
        snprintf(path, sizeof path, "/proc/%d/fd/%s", (int)getppid(), entry->d_name);
        const struct page *page = look(path);
        if (!page)
            continue;
        CHECK_EQ(atomic_load_explicit(&page->magic, memory_order_acquire), PAGE_MAGIC);
        CHECK_EQ(page->version, PAGE_VERSION);
        with(page);
        munmap((void *)(uintptr_t)page, sizeof *page);
        pages++;
    }
    closedir(list);
    return pages;
}

static void as_expected(const struct page *page) {
    CHECK_IN(page->side, RING_SIDE_LISTENER, RING_SIDE_CONNECTOR);
    equal(page, &expected.stats[page->side]);
}

static void third_process(void *context) {
    (void)context;
    CHECK_EQ(look_at_all(as_expected), expected.pages);
}

/* Another process finds these two, and they tell what their owners do. */
static void shows(const tachyon_bus_t *listener, const tachyon_bus_t *connector) {
    CHECK_OK(tachyon_bus_get_stats(listener, &expected.stats[RING_SIDE_LISTENER]));
    CHECK_OK(tachyon_bus_get_stats(connector, &expected.stats[RING_SIDE_CONNECTOR]));
    expected.pages = 2;
    CHECK_EQ(test_wait(test_spawn(third_process, NULL)), 0);
}

/* Both have nothing to do for a moment: the connector sends. */
static void rest(const struct pair *pair) {
    tachyon_flush(pair->connector);
    CHECK_REFUSED(tachyon_acquire_rx(pair->listener, &type, &size), TACHYON_ERR_EMPTY);
    shows(pair->listener, pair->connector);
}

struct blocked {
    tachyon_bus_t *bus;
    size_t bytes; /* to send; 0 receives */
};

static void *blocked_body(void *context) {
    const struct blocked *blocked = context;
    uint32_t its_type;
    size_t its_size;
    if (blocked->bytes > 0)
        CHECK_OK(tachyon_send(blocked->bus, room, blocked->bytes, 1, 0, -1));
    else
        CHECK(tachyon_acquire_rx_blocking(blocked->bus, &its_type, &its_size, 0));
    return NULL;
}

static pthread_t block(const struct blocked *blocked) {
    uint64_t sleeps = atomic_load(&blocked->bus->link.sleeps);
    pthread_t thread = test_thread(blocked_body, (void *)(uintptr_t)blocked);
    while (atomic_load(&blocked->bus->link.sleeps) == sleeps)
        test_sleep_ms(1);
    return thread;
}

TEST(a_third_process_reads_what_both_ends_count_after_each_kind_of_operation) {
    struct pair pair = pair_open(4096);
    tachyon_msg_view_t views[8];
    size_t count, stride;
    char items[8][16] = {{0}};
    shows(pair.listener, pair.connector); /* nothing yet */

    CHECK_OK(tachyon_send(pair.connector, "x", 1, 7, 0, 0));
    CHECK(tachyon_acquire_rx(pair.listener, &type, &size));
    CHECK_OK(tachyon_commit_rx(pair.listener));
    rest(&pair);

    void *slot = tachyon_acquire_tx(pair.connector, 100);
    CHECK(slot);
    CHECK_OK(tachyon_rollback_tx(pair.connector));
    rest(&pair);
    slot = tachyon_acquire_tx(pair.connector, 100);
    CHECK(slot);
    memset(slot, 1, 100);
    CHECK_OK(tachyon_commit_tx(pair.connector, 50, 7));
    tachyon_flush(pair.connector);
    CHECK_OK(tachyon_recv(pair.listener, room, sizeof room, &size, &type, 0, 0));
    rest(&pair);

    for (int i = 0; i < 5; i++) {
        CHECK(tachyon_acquire_tx(pair.connector, 0));
        CHECK_OK(tachyon_commit_tx(pair.connector, 0, 7));
    }
    tachyon_flush(pair.connector);
    count = tachyon_acquire_rx_batch(pair.listener, views, 8);
    CHECK_EQ(count, 5);
    CHECK_OK(tachyon_commit_rx_batch(pair.listener, views, count));
    rest(&pair);

    CHECK_EQ(tachyon_send_batch(pair.connector, items, 16, 8, 7, 0, 0), 8);
    CHECK_EQ(tachyon_recv_batch(pair.listener, items, 16, 8, &type, 0, 0), 8);
    rest(&pair);
    CHECK(tachyon_acquire_tx_batch(pair.connector, 16, 4, &count, &stride, 0, 0));
    CHECK_OK(tachyon_commit_tx_batch(pair.connector, 3, 7));
    tachyon_flush(pair.connector);
    CHECK_EQ(tachyon_recv_batch(pair.listener, items, 16, 8, &type, 0, 0), 3);
    rest(&pair);

    /* A sleep of each, and what wakes it. */
    struct blocked receiver = {.bus = pair.listener};
    pthread_t thread = block(&receiver);
    CHECK_OK(tachyon_send(pair.connector, room, 3000, 1, 0, 0));
    test_join(thread);
    struct blocked sender = {pair.connector, 3000};
    thread = block(&sender);
    CHECK_OK(tachyon_commit_rx(pair.listener));
    test_join(thread);
    CHECK(!tachyon_acquire_tx(pair.connector, 3000));
    CHECK_OK(tachyon_recv(pair.listener, room, sizeof room, &size, &type, 0, 0));
    rest(&pair);
    CHECK_EQ(pair.listener->paper.page->sleeps, 1);
    CHECK_EQ(pair.listener->paper.page->wakes, 1);
    CHECK_EQ(pair.connector->paper.page->full, 2);

    /* The end of one is the other's last word. */
    CHECK_OK(tachyon_send(pair.connector, "x", 1, 7, 0, 0));
    tachyon_bus_close(pair.connector);
    CHECK_OK(tachyon_recv(pair.listener, room, sizeof room, &size, &type, 0, 0));
    CHECK_REFUSED(tachyon_acquire_rx_timed(pair.listener, &type, &size, 0, -1),
                  TACHYON_ERR_CLOSED);
    CHECK_REFUSED(tachyon_acquire_tx(pair.connector, 1), TACHYON_ERR_CLOSED);
    shows(pair.listener, pair.connector);
    pair_close(&pair);
}

/* ---- Each word ---- */

/* All of page.h's struct page: `docs.promises` compares the names. */
TEST(fault_16_every_word_of_the_page_is_written) {
    struct listening listening = {.path = test_path("bus"), .capacity = 4096};
    tachyon_options_t options = options_with_timeout_ms(20000);
    tachyon_bus_t *bus;
    options.name = "left hand";
    listening_start(&listening);
    CHECK_OK(tachyon_bus_connect_with(listening.path, &options, &bus));
    CHECK_EQ(listening_join(&listening), TACHYON_SUCCESS);
    const struct page *own = bus->paper.page, *other = listening.bus->paper.page;
    CHECK(own && other);
    CHECK_EQ(own->magic, PAGE_MAGIC);
    CHECK_EQ(own->version, PAGE_VERSION);
    CHECK_EQ(own->kind, HANDSHAKE_BUS);
    CHECK_EQ(own->side, RING_SIDE_CONNECTOR);
    CHECK_EQ(other->side, RING_SIDE_LISTENER);
    CHECK_EQ(own->role, TACHYON_ROLE_NONE);
    CHECK_EQ(own->max_peers, 0);
    CHECK_EQ(own->peer_pid, getpid());
    CHECK_EQ(own->peer_uid, geteuid());
    CHECK_EQ(strcmp(own->name, "left hand"), 0);
    CHECK_EQ(other->name[0], 0);
    CHECK_EQ(strcmp(own->path, listening.path), 0);
    CHECK_EQ(strcmp(other->path, listening.path), 0);
    CHECK(own->opened_ns > UINT64_C(1600000000) * 1000000000); /* in this century */
    CHECK_EQ(own->message_ns, 0);

    struct blocked receiver = {.bus = listening.bus};
    pthread_t thread = block(&receiver);
    CHECK_EQ(other->role, TACHYON_ROLE_CONSUMER);
    CHECK_OK(tachyon_send(bus, room, 3000, 1, 0, 0));
    test_join(thread);
    CHECK_EQ(own->role, TACHYON_ROLE_PRODUCER);
    CHECK(own->message_ns >= own->opened_ns);
    CHECK_EQ(own->capacity, 4096);
    CHECK_EQ(own->used, 3072);
    CHECK_EQ(own->messages, 1);
    CHECK_EQ(own->ring_bytes, 3072);
    CHECK_EQ(own->flushes, 1);
    CHECK_EQ(own->wakes, 1);
    CHECK_EQ(own->full, 0);
    CHECK(!tachyon_acquire_tx(bus, 3000));
    CHECK_EQ(own->full, 1);
    CHECK_OK(tachyon_commit_rx(listening.bus));
    receiver.bus = listening.bus;
    thread = block(&receiver); /* asleep once more: with the date of the message */
    CHECK_EQ(other->messages, 1);
    CHECK(other->message_ns >= own->opened_ns);
    CHECK_EQ(other->sleeps, 1);
    CHECK_OK(tachyon_send(bus, "x", 1, 1, 0, 0));
    test_join(thread);
    CHECK_EQ(other->sleeps, 2);
    tachyon_bus_destroy(bus);
    tachyon_bus_destroy(listening.bus);
}

TEST(a_stream_that_never_rests_is_shown_every_4096_flushes) {
    struct pair pair = pair_open(1 << 20);
    const struct page *page = pair.connector->paper.page;
    uint64_t dated = 0;
    for (uint64_t number = 1; number <= 9000; number++) {
        CHECK_OK(tachyon_send(pair.connector, &number, sizeof number, 1, 0, 0));
        CHECK(number - page->messages < 4096);
        CHECK_EQ(page->messages, page->flushes);
        CHECK(page->message_ns >= dated);
        dated = page->message_ns;
    }
    CHECK_EQ(page->messages, 8192);
    CHECK(dated > 0);
    pair_close(&pair);
}

TEST(a_path_that_is_too_long_for_the_page_is_cut) {
    struct pair pair = pair_open(4096);
    char path[300];
    memset(path, 'p', sizeof path);
    path[299] = 0;
    ty_page_free(pair.connector);
    ty_page_open(pair.connector, HANDSHAKE_BUS, RING_SIDE_CONNECTOR, path, path);
    const struct page *page = pair.connector->paper.page;
    CHECK_EQ(strlen(page->path), sizeof page->path - 1);
    CHECK_EQ(strlen(page->name), sizeof page->name - 1);
    pair_close(&pair);
}

/* ---- Other kinds ---- */

static const char *path;

static void *listen_for_calls(void *out) {
    tachyon_options_t options = options_with_timeout_ms(20000);
    CHECK_OK(
        tachyon_rpc_listen_with(path, 4096, 4096, &options, (tachyon_rpc_bus_t **)out));
    return NULL;
}

TEST(both_ends_of_calls_are_shown) {
    tachyon_rpc_bus_t *callee, *caller;
    tachyon_options_t options = options_with_timeout_ms(20000);
    uint64_t id, got;
    path = test_path("rpc");
    pthread_t thread = test_thread(listen_for_calls, &callee);
    CHECK_OK(tachyon_rpc_connect_with(path, &options, &caller));
    test_join(thread);
    const tachyon_bus_t *ends[] = {(tachyon_bus_t *)(void *)callee,
                                   (tachyon_bus_t *)(void *)caller};
    CHECK_EQ(ends[0]->paper.page->kind, HANDSHAKE_RPC);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(tachyon_rpc_call(caller, "x", 1, 1, &id));
        CHECK(tachyon_rpc_serve_timed(callee, &got, &type, &size, 0, 0));
        CHECK_OK(tachyon_rpc_commit_serve(callee));
        CHECK_OK(tachyon_rpc_reply(callee, got, "y", 1, 1));
        CHECK(tachyon_rpc_wait_timed(caller, id, &size, &type, 0, 0));
        CHECK_OK(tachyon_rpc_commit_rx(caller));
        CHECK(!tachyon_rpc_serve_timed(callee, &got, &type, &size, 0, 0));
        CHECK_OK(tachyon_rpc_call(caller, "x", 1, 1, &id));
        CHECK(!tachyon_rpc_wait_timed(caller, id, &size, &type, 0, 0));
        shows(ends[0], ends[1]);
        CHECK(tachyon_rpc_serve_timed(callee, &got, &type, &size, 0, 0));
        CHECK_OK(tachyon_rpc_commit_serve(callee));
        CHECK_OK(tachyon_rpc_reply(callee, got, "y", 1, 1));
        CHECK(tachyon_rpc_wait_timed(caller, id, &size, &type, 0, 0));
        CHECK_OK(tachyon_rpc_commit_rx(caller));
    }
    tachyon_rpc_destroy(caller);
    tachyon_rpc_destroy(callee);
}

static void own_page_is_right(const tachyon_bus_t *bus) {
    tachyon_stats_t stats;
    CHECK_OK(tachyon_bus_get_stats(bus, &stats));
    equal(bus->paper.page, &stats);
}

TEST(a_listener_shows_the_sum_of_its_peers) {
    static const uint32_t most[] = {1, 3, 3};
    for (int kind = 0; kind < 3; kind++) { /* one after the other, broadcast, fan-in */
        bool sends = kind < 2;
        path = test_path("many");
        tachyon_bus_t *peers[2] = {NULL};
        tachyon_bus_t *bus = crowd_listen(
            path, sends ? TACHYON_ROLE_PRODUCER : TACHYON_ROLE_CONSUMER, most[kind]);
        uint64_t number;
        CHECK_EQ(bus->paper.page->max_peers, most[kind]);
        CHECK_EQ(bus->paper.page->peer_pid, 0);
        own_page_is_right(bus);
        for (int i = 0; i < (kind == 0 ? 1 : 2); i++)
            peers[i] = crowd_join(bus, path, NULL);
        for (uint64_t i = 0; i < 20; i++) {
            CHECK_OK(crowd_send(sends ? bus : peers[i % 2], i, 0));
            for (int k = 0; k < 2 && sends && peers[k]; k++)
                CHECK_OK(crowd_take(peers[k], &number, 0));
            if (!sends)
                CHECK_OK(crowd_take(bus, &number, 1000000000));
        }
        if (sends) {
            tachyon_flush(bus);
        } else { /* asleep for a moment, and awake */
            CHECK_ERROR(crowd_take(bus, &number, 1000000), TACHYON_ERR_TIMEOUT);
            for (int i = 0; i < 3; i++)
                CHECK_ERROR(crowd_take(bus, &number, 0), TACHYON_ERR_EMPTY);
        }
        own_page_is_right(bus);
        CHECK_EQ(bus->paper.page->messages, 20);
        for (int k = 0; k < 2; k++)
            tachyon_bus_destroy(peers[k]);
        tachyon_bus_destroy(bus);
    }
}

TEST(what_is_received_from_many_is_shown_while_it_flows) {
    path = test_path("many");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 4);
    tachyon_bus_t *peer = crowd_join(bus, path, NULL);
    uint64_t number;
    for (uint64_t i = 0; i < 3000; i++) {
        CHECK_OK(crowd_send(peer, i, 0));
        CHECK_OK(crowd_take(bus, &number, 0));
        CHECK(i + 1 - bus->paper.page->messages <= 2000);
    }
    CHECK(bus->paper.page->messages > 0);
    tachyon_bus_destroy(peer);
    tachyon_bus_destroy(bus);
}

/* ---- Who may do what to it ---- */

#define REFUSED(call, code)                                                            \
    do {                                                                               \
        errno = 0;                                                                     \
        CHECK((intmax_t)(call) == -1);                                                 \
        CHECK_EQ(errno, code);                                                         \
    } while (0)

TEST(nobody_can_write_to_a_page) {
    struct pair pair = pair_open(4096);
    int own = pair.connector->paper.fd;
    char again[64];
    snprintf(again, sizeof again, "/proc/self/fd/%d", own);
    int reopened = open(again, O_RDWR | O_CLOEXEC);
    CHECK(reopened >= 0);
    for (int i = 0; i < 2; i++) {
        int fd = i == 0 ? own : reopened;
        REFUSED(pwrite(fd, "x", 1, 0), EPERM);
        REFUSED(ftruncate(fd, 0), EPERM);
        REFUSED(ftruncate(fd, 8192), EPERM);
        REFUSED(mmap(NULL, 256, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), EPERM);
        void *map = mmap(NULL, 256, PROT_READ, MAP_SHARED, fd, 0);
        CHECK(map != MAP_FAILED);
        REFUSED(mprotect(map, 256, PROT_READ | PROT_WRITE), EACCES);
        munmap(map, 256);
    }
    close(reopened);
    pair_close(&pair);
}

static void scribble(const tachyon_bus_t *bus, uint64_t *state) {
    uint8_t *bytes = (uint8_t *)bus->paper.page;
    for (size_t i = 0; i < sizeof(struct page); i++)
        bytes[i] = (uint8_t)test_random(state);
}

TEST(whoever_could_write_to_it_all_the_same_would_change_what_is_shown_and_no_more) {
    struct pair pair = pair_open(4096);
    uint64_t state = 1, number;
    for (uint64_t i = 0; i < 3000; i++) {
        scribble(pair.connector, &state);
        scribble(pair.listener, &state);
        if (i % 50 == 0)
            while (tachyon_acquire_tx(pair.connector, 1000)) { /* until it is full */
                CHECK_OK(tachyon_commit_tx(pair.connector, 1000, 9));
                tachyon_flush(pair.connector);
            }
        scribble(pair.connector, &state);
        while (tachyon_recv(pair.listener, room, sizeof room, &size, &type, 0, 0) ==
               TACHYON_SUCCESS)
            CHECK_EQ(type, 9); /* what it was full of */
        CHECK_OK(tachyon_send(pair.connector, &i, sizeof i, 1, 0, 0));
        scribble(pair.listener, &state);
        CHECK_OK(tachyon_recv(pair.listener, room, sizeof room, &size, &type, 0, 0));
        CHECK_EQ(type, 1);
        memcpy(&number, room, sizeof number);
        CHECK_EQ(number, i);
        CHECK_ERROR(
            tachyon_recv(pair.listener, room, sizeof room, &size, &type, 0, 1000),
            TACHYON_ERR_TIMEOUT);
    }
    tachyon_stats_t stats[2];
    CHECK_OK(tachyon_bus_get_stats(pair.connector, &stats[0]));
    CHECK_OK(tachyon_bus_get_stats(pair.listener, &stats[1]));
    CHECK_EQ(stats[0].messages, stats[1].messages);
    CHECK_EQ(tachyon_get_state(pair.listener), TACHYON_STATE_READY);
    tachyon_flush(pair.connector);
    equal(pair.connector->paper.page, &stats[0]); /* and is right again */
    pair_close(&pair);
}

/* ---- How long there is one ---- */

static void ignore(const struct page *page) {
    (void)page;
}

static void finds_none(void *context) {
    (void)context;
    CHECK_EQ(look_at_all(ignore), 0);
}

static void child(void *context) {
    const struct pair *pair = context;
    CHECK_EQ(look_at_all(ignore), 2); /* its parent's */
    CHECK_ERROR(tachyon_send(pair->connector, "x", 1, 1, 0, 0), TACHYON_ERR_FORKED);
    tachyon_flush(pair->connector);
    tachyon_bus_destroy(pair->connector);
    tachyon_bus_destroy(pair->listener);
}

TEST(it_is_the_owners_alone_and_goes_with_the_handle) {
    struct pair pair = pair_open(4096);
    size_t before = test_count_fds();
    CHECK_OK(tachyon_send(pair.connector, "x", 1, 1, 0, 0));
    CHECK_OK(tachyon_recv(pair.listener, room, sizeof room, &size, &type, 0, 0));
    tachyon_flush(pair.connector);
    CHECK_EQ(test_wait(test_spawn(child, &pair)), 0);
    CHECK_EQ(pair.connector->paper.page->messages, 1); /* no child's */
    tachyon_bus_hang_up(pair.connector);
    tachyon_bus_hang_up(pair.listener);
    CHECK_EQ(test_count_fds(), before - 2 * 3); /* socket, pidfd, page */
    CHECK_EQ(test_wait(test_spawn(finds_none, NULL)), 0);
    own_page_is_right(pair.connector); /* the memory is still there */
    pair_close(&pair);
}

TEST(an_end_without_a_page_does_as_well) {
    struct pair pair = pair_open(4096);
    ty_page_free(pair.connector);
    ty_page_free(pair.listener);
    for (int i = 0; i < 2000; i++) {
        CHECK_OK(tachyon_send(pair.connector, "x", 1, 1, 0, 0));
        CHECK_OK(tachyon_recv(pair.listener, room, sizeof room, &size, &type, 0, 0));
        CHECK_REFUSED(tachyon_acquire_rx(pair.listener, &type, &size),
                      TACHYON_ERR_EMPTY);
    }
    tachyon_flush(pair.connector);
    pair_close(&pair);
}
