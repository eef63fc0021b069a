/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A listener with a thousand rude clients, who talk nonsense, stay silent, speak too
 * slowly, stop speaking or leave, and come back at once: a good one gets in within
 * 100 ms. Then ten thousand good ones, one after the other: memory and descriptors stay
 * where they are.
 */
#include "length.h"
#include "peers.h"
#include "samples.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MS INT64_C(1000000)
#define RUDE 1000
#define GOOD_MS 100
#define HEAD_START_MS 10 /* for the rude ones at each new listener */
#define GROWTH_KIB 256   /* an open handle left behind each time takes more */

static const char *path;

/* ---- The rude ---- */

enum manner {
    TALKS_NONSENSE,
    STAYS_SILENT,
    TALKS_SLOWLY,
    STOPS_TALKING,
    LEAVES,
    MANNERS
};

struct rude {
    int socket; /* -1: not connected */
    size_t sent;
    int64_t next_ns; /* when it says something again */
};

/* What the rude have achieved; shared with the test. */
struct visits {
    _Atomic uint64_t begun, ended;
};

static struct visits *visits;

/* Not blocking: where the queue is full it comes back with the next round. */
static void come(struct rude *rude, enum manner manner) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    char garbage[1000];
    strcpy(name.sun_path, path);
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (client < 0)
        FAIL("socket: %s", strerror(errno));
    if (connect(client, (struct sockaddr *)&name, sizeof name) != 0 ||
        manner == LEAVES) {
        close(client);
        return;
    }
    atomic_fetch_add(&visits->begun, 1);
    *rude = (struct rude){.socket = client, .next_ns = ty_now_ns()};
    memset(garbage, 'G', sizeof garbage);
    if (manner == TALKS_NONSENSE)
        (void)!send(client, garbage, sizeof garbage, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (manner == STOPS_TALKING)
        shutdown(client, SHUT_WR);
}

static void leave(struct rude *rude) {
    close(rude->socket);
    rude->socket = -1;
    atomic_fetch_add(&visits->ended, 1);
}

/* A hello without its last byte, some bytes every 5 ms. */
static void go_on(struct rude *rude, const struct wire_greeting *hello) {
    size_t most = sizeof *hello - 1 - rude->sent, count = most < 4 ? most : 4;
    if (count == 0 || ty_now_ns() < rude->next_ns)
        return;
    if (send(rude->socket, (const char *)hello + rude->sent, count,
             MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)count)
        rude->sent += count;
    rude->next_ns = ty_now_ns() + 5 * MS;
}

static void be_rude(void *context) {
    static struct rude all[RUDE];
    struct pollfd fds[RUDE];
    struct wire_greeting hello = wire_hello();
    struct rlimit limit = {.rlim_cur = RUDE + 100, .rlim_max = RUDE + 100};
    (void)context;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (int i = 0; i < RUDE; i++)
        all[i].socket = -1;
    for (;;) {
        for (int i = 0; i < RUDE; i++) {
            enum manner manner = (enum manner)(i % MANNERS);
            if (all[i].socket < 0)
                come(&all[i], manner);
            else if (manner == TALKS_SLOWLY)
                go_on(&all[i], &hello);
            fds[i] = (struct pollfd){.fd = all[i].socket, .events = POLLIN};
        }
        if (poll(fds, RUDE, 1) <= 0)
            continue;
        char bytes[256];
        for (int i = 0; i < RUDE; i++) /* an answer is no end yet */
            if (fds[i].revents &&
                recv(all[i].socket, bytes, sizeof bytes, MSG_DONTWAIT) <= 0)
                leave(&all[i]);
    }
}

/* ---- The good ---- */

static int64_t get_in(void) {
    struct listening listening = {.path = path, .capacity = 4096};
    tachyon_options_t options = options_with_timeout_ms(10000);
    tachyon_bus_t *bus;
    uint32_t type;
    size_t size;
    listening_start(&listening);
    test_sleep_ms(HEAD_START_MS);
    int64_t begin = ty_now_ns();
    CHECK_OK(tachyon_bus_connect_with(path, &options, &bus));
    int64_t took_ns = ty_now_ns() - begin;
    if (listening_join(&listening) != TACHYON_SUCCESS)
        FAIL("listen: %s", listening.message);
    CHECK_OK(tachyon_send(bus, "good", 4, 1, 0, 0));
    const char *message =
        tachyon_acquire_rx_timed(listening.bus, &type, &size, 0, 10000 * MS);
    CHECK(message && size == 4 && memcmp(message, "good", 4) == 0);
    tachyon_bus_destroy(bus);
    tachyon_bus_destroy(listening.bus);
    return took_ns;
}

TEST(a_good_client_gets_in_among_a_thousand_rude_ones) {
    struct length length = length_begin("R6", "good clients", 200, 1000);
    struct samples samples = {0};
    path = test_path("clients");
    visits = mmap(NULL, sizeof *visits, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(visits != MAP_FAILED);
    pid_t rude = test_spawn(be_rude, NULL);
    size_t fds = test_count_fds();
    for (; length_goes_on(&length); length.done++)
        samples_add(&samples, get_in());
    CHECK_EQ(test_count_fds(), fds);
    kill(rude, SIGKILL);
    CHECK_EQ(test_wait(rude), -SIGKILL);
    length_end(&length,
               "among %" PRIu64 " visits of 1,000 rude ones; p50 %.0f us, p99 %.0f us, "
               "max %.0f us",
               atomic_load(&visits->begun), samples_us(&samples, 0.5),
               samples_us(&samples, 0.99), samples_us(&samples, 1));
    CHECK_OR_AGAIN(atomic_load(&visits->ended) > 10 * length.done);
    CHECK_OR_AGAIN(samples_us(&samples, 0.99) <= GOOD_MS * 1000);
    free(samples.ns);
}

/* ---- Memory ---- */

static size_t resident_kib(void) {
    size_t total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file && fscanf(file, "%zu %zu", &total, &resident) == 2);
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE) / 1024;
}

struct listeners {
    _Atomic uint64_t wanted;
    _Atomic bool over;
};

/* One listener after the other, of either kind, each with one message or call. */
static void *listen_again_and_again(void *context) {
    struct listeners *listeners = context;
    for (uint64_t number = 0;; number++) {
        while (atomic_load(&listeners->wanted) == number) {
            if (atomic_load(&listeners->over))
                return NULL;
            sched_yield();
        }
        tachyon_bus_t *bus = NULL;
        tachyon_rpc_bus_t *rpc = NULL;
        uint32_t type;
        size_t size;
        uint64_t id;
        if (number % 2 == 0) {
            CHECK_OK(tachyon_bus_listen(path, 4096, &bus));
            CHECK_OK(tachyon_send(bus, "x", 1, 1, 0, 0));
        } else {
            CHECK_OK(tachyon_rpc_listen(path, 4096, 4096, &rpc));
            CHECK(tachyon_rpc_serve(rpc, &id, &type, &size, 0));
        }
        tachyon_bus_destroy(bus);
        tachyon_rpc_destroy(rpc);
    }
}

static bool nobody_listens(tachyon_error_t error) {
    if (error != TACHYON_ERR_NETWORK && error != TACHYON_SUCCESS)
        FAIL("%s", tachyon_last_error_message());
    if (error != TACHYON_SUCCESS)
        sched_yield();
    return error != TACHYON_SUCCESS;
}

static void connect_once(bool to_callee) {
    tachyon_bus_t *bus = NULL;
    tachyon_rpc_bus_t *rpc = NULL;
    uint32_t type;
    size_t size;
    uint64_t id;
    if (to_callee) {
        while (nobody_listens(tachyon_rpc_connect(path, &rpc)))
            continue;
        CHECK_OK(tachyon_rpc_call(rpc, "x", 1, 1, &id));
    } else {
        while (nobody_listens(tachyon_bus_connect(path, &bus)))
            continue;
        CHECK(tachyon_acquire_rx_blocking(bus, &type, &size, 0));
    }
    tachyon_bus_destroy(bus);
    tachyon_rpc_destroy(rpc);
}

TEST(ten_thousand_connects_leave_memory_and_descriptors_where_they_were) {
    struct length length = length_begin("R17", "connects", 10000, 10000);
    path = test_path("connects");
    uint64_t settled = length.wanted / 4;
    size_t fds = test_count_fds(), before = 0, most = 0;
    struct listeners listeners = {0};
    pthread_t thread = test_thread(listen_again_and_again, &listeners);
    while (length_goes_on(&length)) {
        atomic_fetch_add(&listeners.wanted, 1);
        connect_once(length.done % 2);
        length.done++;
        if (length.done == settled) /* libc keeps what it needs again */
            before = resident_kib();
        if (length.done < settled || length.done % 100 != 0)
            continue;
        size_t now = resident_kib();
        most = now > most ? now : most;
        CHECK_IN(test_count_fds(), fds, fds + 12); /* of a connection and a handshake */
        if (!test_sanitized() && now > before + GROWTH_KIB)
            FAIL("%zu KiB resident after %" PRIu64 " connects, %zu after %" PRIu64, now,
                 length.done, before, settled);
    }
    atomic_store(&listeners.over, true);
    test_join(thread);
    CHECK_EQ(test_count_fds(), fds);
    length_end(&length,
               "%zu descriptors before and after, %zu KiB resident, at most %zu", fds,
               before, most);
}
