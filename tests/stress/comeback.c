/* SPDX-License-Identifier: Apache-2.0 */
#include "comeback.h"

#include <dirent.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>

#define BACK_MS 100
#define GROWTH_KIB 512

struct board *board;
const char *path;

void begin_board(void) {
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(board != MAP_FAILED);
    path = test_path("comeback");
}

tachyon_options_t reading(void) {
    tachyon_options_t options = options_with_timeout_ms(20000);
    options.role = TACHYON_ROLE_CONSUMER;
    return options;
}

void nap_us(long microseconds) {
    nanosleep(&(struct timespec){.tv_nsec = microseconds * 1000}, NULL);
}

void at_work(uint64_t life, uint64_t first) {
    atomic_store(&board->first, first);
    atomic_store(&board->at_work_ns, ty_now_ns());
    atomic_store(&board->at_work, life);
}

/* ---- What the test sees of the others ---- */

static size_t count_entries(const char *directory) {
    size_t count = 0;
    DIR *list = opendir(directory);
    CHECK(list);
    while (readdir(list))
        count++;
    closedir(list);
    return count;
}

static size_t count_files(void) {
    char directory[256];
    snprintf(directory, sizeof directory, "%s", path);
    *strrchr(directory, '/') = '\0';
    return count_entries(directory);
}

size_t count_fds_of(pid_t pid) {
    char directory[64];
    snprintf(directory, sizeof directory, "/proc/%d/fd", (int)pid);
    return count_entries(directory);
}

static size_t resident_kib_of(pid_t pid) {
    char name[64];
    size_t total = 0, resident = 0;
    snprintf(name, sizeof name, "/proc/%d/statm", (int)pid);
    FILE *file = fopen(name, "r");
    CHECK(file && fscanf(file, "%zu %zu", &total, &resident) == 2);
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE) / 1024;
}

struct watched look_at(pid_t pid) {
    return (struct watched){pid, count_fds_of(pid), resident_kib_of(pid),
                            count_files()};
}

struct watched expect_no_growth(struct watched before) {
    int64_t until = test_now_ms() + 5000;
    struct watched now = look_at(before.pid);
    while (now.fds > before.fds && test_now_ms() < until) {
        test_sleep_ms(1);
        now = look_at(before.pid);
    }
    CHECK_EQ(now.fds, before.fds);
    CHECK_EQ(now.files, before.files);
    if (!test_sanitized() && now.kib > before.kib + GROWTH_KIB)
        FAIL("%zu KiB resident, %zu at the beginning", now.kib, before.kib);
    return now;
}

void await(const char *what, _Atomic uint64_t *value, uint64_t wanted) {
    int64_t until = test_now_ms() + 20000;
    while (atomic_load(value) < wanted) {
        if (test_now_ms() > until)
            FAIL("%s: %" PRIu64 " after 20 s, not %" PRIu64, what, atomic_load(value),
                 wanted);
        nap_us(50);
    }
}

pid_t live(void (*body)(void *), void *context, struct samples *samples) {
    uint64_t life = atomic_fetch_add(&board->life, 1) + 1;
    int64_t begin = ty_now_ns();
    pid_t pid = test_spawn(body, context);
    await("the life at work", &board->at_work, life);
    if (samples)
        samples_add(samples, atomic_load(&board->at_work_ns) - begin);
    return pid;
}

void end_life(pid_t pid, uint64_t *random) {
    nap_us((long)test_random_below(random, 1500));
    kill(pid, SIGKILL);
    CHECK_EQ(test_wait(pid), -SIGKILL);
}

void report(struct length *length, struct samples *samples, struct watched before,
            struct watched after, const char *more) {
    double p99 = samples_us(samples, 0.99);
    length_end(length,
               "at work after p50 %.0f us, p99 %.0f us, max %.0f us; %zu to %zu KiB "
               "resident, %zu descriptors, %zu files%s",
               samples_us(samples, 0.5), p99, samples_us(samples, 1), before.kib,
               after.kib, after.fds, after.files, more);
    /* Of few the slowest is one that a busy machine has held up. */
    double share = samples->count < 500 ? 0.9 : 0.99;
    if (!test_sanitized() && samples_us(samples, share) > BACK_MS * 1000)
        FAIL("to come back takes more than %d ms", BACK_MS);
    free(samples->ns);
}

/* ---- Listeners, and who looks for one ---- */

void count_event(const tachyon_event_t *event) {
    if (event->kind == TACHYON_EVENT_LEFT)
        atomic_fetch_add(&board->left, 1);
    if (event->kind == TACHYON_EVENT_LEFT && event->reason == TACHYON_ERR_PEER_DEAD)
        atomic_fetch_add(&board->dead, 1);
}

void count_events(tachyon_bus_t *bus) {
    tachyon_event_t event;
    while (tachyon_bus_accept(bus, &event, 0) == TACHYON_SUCCESS)
        count_event(&event);
}

void broadcast(void *context) {
    const struct broadcaster *how = context;
    tachyon_options_t options = {.size = sizeof options,
                                 .role = TACHYON_ROLE_PRODUCER,
                                 .max_peers = how->max_peers,
                                 .keep_place_ns = how->keep_place_ns};
    struct message message = {.life = atomic_load(&board->life)};
    tachyon_bus_t *bus;
    CHECK_OK(tachyon_bus_listen_with(path, how->capacity, &options, &bus));
    while (!atomic_load(&board->stop)) {
        tachyon_error_t error =
            tachyon_send(bus, &message, sizeof message, 1, 0, MILLI);
        if (error == TACHYON_SUCCESS) {
            atomic_store(&board->flushed[0], ++message.number);
            atomic_store(&board->flushed_in[message.life % LIVES], message.number);
        } else {
            CHECK_EQ(error, TACHYON_ERR_TIMEOUT);
        }
        if (message.number % 64 == 0 || error != TACHYON_SUCCESS)
            count_events(bus);
        if (message.number % 64 == 0 && how->nap_us > 0)
            nap_us(how->nap_us);
    }
    tachyon_bus_destroy(bus);
}

tachyon_error_t find_listener(tachyon_options_t *options, tachyon_bus_t **bus,
                              tachyon_rpc_bus_t **rpc) {
    tachyon_error_t error;
    options->timeout_ns = SECOND / 5;
    do
        error = rpc ? tachyon_rpc_connect_with(path, options, rpc)
                    : tachyon_bus_connect_with(path, options, bus);
    while ((error == TACHYON_ERR_NETWORK || error == TACHYON_ERR_PEER_DEAD ||
            error == TACHYON_ERR_TIMEOUT) &&
           !atomic_load(&board->stop));
    if (!atomic_load(&board->stop) && error != TACHYON_ERR_LAGGED)
        CHECK_OK(error);
    return error;
}

void run_listeners(void (*listener)(void *), void *how, void (*survivor)(void *),
                   struct length *length) {
    static const struct survivor survivors[2] = {{0, true}, {1, false}};
    struct samples samples = {0};
    struct watched before = {0};
    uint64_t random = 4;
    pid_t pids[2];
    begin_board();
    atomic_store(&board->life, 1);
    pid_t mortal = test_spawn(listener, how);
    for (int i = 0; i < 2; i++)
        pids[i] = test_spawn(survivor, (void *)(uintptr_t)&survivors[i]);
    await("the first life", &board->at_work, 1);
    for (; length_goes_on(length); length->done++) {
        end_life(mortal, &random);
        mortal = live(listener, how, &samples);
        if (length->done <= WARM_UP)
            before = look_at(pids[0]);
    }
    struct watched after = expect_no_growth(before);
    atomic_store(&board->stop, true);
    CHECK_EQ(test_wait(mortal), 0);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(test_wait(pids[i]), 0);
    char more[80];
    snprintf(more, sizeof more, "; %" PRIu64 " positions of lives before refused",
             atomic_load(&board->lagged));
    report(length, &samples, before, after, more);
}
