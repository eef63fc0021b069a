/* SPDX-License-Identifier: Apache-2.0 */
/* Run one workload once through one adapter.
 *
 *     driver ADAPTER.so WORKLOAD MODE SIZE BATCH COUNT PAUSE_NS LEAD_CORE PEER_CORE DIR
 *
 * Two pinned processes, the second is forked from the first, which measures. What it has
 * measured goes to DIR/values as 64-bit nanoseconds, the rest as JSON to standard output.
 * The drivers of the other languages take the same words. Every message is checked: its
 * first word and its last byte are those that were sent. */
#define _GNU_SOURCE
#include "link.h"
#include "touch.h"

#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct line {
    _Alignas(64) _Atomic uint64_t word;
};

/* Beside the link, so that it is the same for all of them. */
struct control {
    struct line arrivals[2]; /* how often the lead and the other have come to meet() */
    struct line seen;        /* the last message that the other has */
    struct line connect_ns, wall_ns, cpu_ns;
    struct line resident[2], shared[2]; /* what each process has got by connecting */
};

static struct {
    struct setting setting;
    struct control *control;
    const struct link *link;
    const char *workload;
    uint64_t count, pause_ns;
    int cores[2];
    uint64_t *values;
    size_t value_count;
} run;

void cannot(const char *why) {
    printf("{\"cannot\": \"%s\"}\n", why);
    fflush(stdout);
    kill(0, SIGKILL); /* the driver leads a process group of its own */
    _exit(1);
}

void failed(const char *what) {
    char text[256];
    snprintf(text, sizeof(text), "%s: %s", what, strerror(errno));
    for (char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\') {
            *c = '\'';
        }
    }
    cannot(text);
}

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void meet(void) {
    unsigned own = run.setting.lead ? 0 : 1;
    uint64_t mine = atomic_fetch_add(&run.control->arrivals[own].word, 1) + 1;
    while (atomic_load(&run.control->arrivals[1 - own].word) < mine) {
    }
}

static void note(uint64_t ns) {
    run.values[run.value_count++] = ns;
}

/* ---- Messages ---- */

static unsigned char *message;

static void mark(unsigned char *item, uint64_t number) {
    size_t size = run.setting.size;
    item[size - 1] = (unsigned char)number;
    memcpy(item, &number, sizeof(number));
}

static void check(const unsigned char *item, uint64_t number) {
    size_t size = run.setting.size;
    uint64_t first;
    memcpy(&first, item, sizeof(first));
    /* Of 8 bytes the last is the word's own. */
    if (first != number || (size > 8 && item[size - 1] != (unsigned char)number)) {
        cannot("a message has arrived changed or out of turn");
    }
}

static void send_number(uint64_t number) {
    mark(message, number);
    run.link->send(message, run.setting.size);
}

static void receive_number(uint64_t number) {
    run.link->receive(message, run.setting.size);
    check(message, number);
}

/* ---- The workloads: what the lead does, and the other ---- */

static void exchange(uint64_t from, uint64_t count, bool noted) {
    for (uint64_t number = from; number < from + count; number++) {
        if (!run.setting.lead) {
            receive_number(number);
            run.link->send(message, run.setting.size);
            continue;
        }
        uint64_t start = now();
        send_number(number);
        receive_number(number);
        if (noted) {
            note(now() - start);
        }
    }
}

static void trip(void) {
    exchange(1, run.count / 10 + 10, false);
    meet();
    exchange(1, run.count, true);
}

static unsigned char *items;

static void stream(uint64_t count) {
    uint64_t batch = run.setting.batch;
    size_t size = run.setting.size;
    for (uint64_t number = 1; number <= count;) {
        if (run.setting.lead && batch == 1) {
            send_number(number++);
        } else if (run.setting.lead) {
            for (uint64_t i = 0; i < batch; i++) {
                mark(items + i * size, number + i);
            }
            run.link->send_batch(items, size, batch);
            number += batch;
        } else if (batch == 1 || !run.link->receive_batch) {
            receive_number(number++);
        } else {
            uint64_t left = count + 1 - number;
            size_t got =
                run.link->receive_batch(items, size, left < batch ? left : batch);
            for (size_t i = 0; i < got; i++) {
                check(items + i * size, number++);
            }
        }
    }
}

/* What is written in place, and what has been read there. */
static uint64_t number_in_place, sum_in_place;

static void write_message(void *room, size_t size) {
    touch_write(room, size, number_in_place);
}

static void read_message(const void *there, size_t size) {
    sum_in_place = touch_read(there, size);
}

/* Written where it is read. */
static void place(void) {
    size_t size = run.setting.size;
    if (!run.link->send_in_place) {
        cannot("is not measured in place here");
    }
    for (unsigned round = 0; round < 2; round++) {
        uint64_t count = round ? run.count : 10;
        meet();
        uint64_t start = now();
        for (uint64_t number = 1; number <= count; number++) {
            if (run.setting.lead) {
                number_in_place = number;
                run.link->send_in_place(size, write_message);
                continue;
            }
            run.link->receive_in_place(size, read_message);
            if (sum_in_place != touch_sum(size, number)) {
                cannot("a message has arrived changed or out of turn");
            }
        }
        meet();
        if (run.setting.lead) {
            run.control->wall_ns.word = now() - start;
        }
    }
}

static void way(void) {
    uint64_t batch = run.setting.batch;
    if (batch > 1 && !run.link->send_batch) {
        cannot("has no call that sends several messages");
    }
    items = calloc(batch, run.setting.size);
    MUST(items);
    uint64_t count = (run.count + batch - 1) / batch * batch;
    meet();
    stream(10 * batch);
    meet();
    uint64_t start = now();
    stream(count);
    meet(); /* the other has them all */
    if (run.setting.lead) {
        run.control->wall_ns.word = now() - start;
    }
}

/* Until the other, which has been asleep for pause_ns, has the message and has said so
 * through a cache line. */
static void wake(void) {
    meet();
    for (uint64_t number = 1; number <= run.count; number++) {
        if (!run.setting.lead) {
            receive_number(number);
            atomic_store(&run.control->seen.word, number);
            continue;
        }
        for (uint64_t until = now() + run.pause_ns; now() < until;) {
        }
        uint64_t start = now();
        send_number(number);
        while (atomic_load(&run.control->seen.word) != number) {
        }
        note(now() - start);
    }
}

static uint64_t cpu_ns(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000u +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000u;
}

static void idle(void) {
    meet();
    if (run.setting.lead) {
        struct timespec pause = {(time_t)(run.pause_ns / 1000000000u),
                                 (long)(run.pause_ns % 1000000000u)};
        nanosleep(&pause, NULL);
        send_number(1);
    } else {
        uint64_t before = cpu_ns(), start = now();
        receive_number(1);
        run.control->cpu_ns.word = cpu_ns() - before;
        run.control->wall_ns.word = now() - start;
    }
    meet();
}

/* Open loop: a message is due each pause_ns whatever became of those before, and its
 * latency counts from when it was due: nothing is left out where the sender was held up.
 * With a pause of 0 it says how many a sender gets rid of that reads the clock for each. */
static void paced(void) {
    meet();
    uint64_t start = now();
    for (uint64_t i = 0; i < run.count; i++) {
        if (run.setting.lead) {
            uint64_t due = start + i * run.pause_ns, time;
            while ((time = now()) < due) {
            }
            send_number(run.pause_ns ? due : time);
        } else {
            uint64_t due;
            run.link->receive(message, run.setting.size);
            memcpy(&due, message, sizeof(due));
            note(now() - due);
        }
    }
    meet();
    if (run.setting.lead) {
        run.control->wall_ns.word = now() - start;
    }
}

/* ---- Memory ---- */

/* Of this process alone, and of its part of what it shares, in bytes. */
static void memory_now(uint64_t *resident, uint64_t *shared) {
    char line[256];
    unsigned long kib;
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    *resident = *shared = UINT64_MAX;
    while (file && fgets(line, sizeof(line), file)) {
        if (sscanf(line, "Pss_Anon: %lu", &kib) == 1) {
            *resident = kib * 1024;
        } else if (sscanf(line, "Pss_Shmem: %lu", &kib) == 1) {
            *shared = kib * 1024;
        }
    }
    if (file) {
        fclose(file);
    }
}

static uint64_t before_resident, before_shared;

static uint64_t more(uint64_t after, uint64_t before) {
    return after > before ? after - before : 0;
}

/* Both have the pages that were shared since the fork: each is counted once. */
static void memory(void) {
    unsigned own = run.setting.lead ? 0 : 1;
    uint64_t resident, shared;
    meet();
    memory_now(&resident, &shared);
    if (resident == UINT64_MAX || shared == UINT64_MAX) {
        cannot("the kernel does not tell the memory of a process by kind");
    }
    run.control->resident[own].word = more(resident, before_resident);
    run.control->shared[own].word = more(shared, before_shared);
    meet();
}

/* All there is to it has been done. */
static void connect_only(void) {
    meet();
}

static void (*find_workload(void))(void) {
    static const struct {
        const char *name;
        void (*work)(void);
    } workloads[] = {
        {"trip", trip}, {"way", way},     {"place", place},   {"wake", wake},
        {"idle", idle}, {"paced", paced}, {"memory", memory}, {"connect", connect_only},
        {"rpc", trip}};
    for (size_t i = 0; i < sizeof(workloads) / sizeof(*workloads); i++) {
        if (!strcmp(run.workload, workloads[i].name)) {
            return workloads[i].work;
        }
    }
    fprintf(stderr, "no workload %s\n", run.workload);
    exit(2);
}

/* ---- The two processes ---- */

static void write_values(void) {
    char path[4096];
    snprintf(path, sizeof(path), "%s/values", run.setting.directory);
    FILE *file = fopen(path, "wb");
    MUST(file);
    MUST(fwrite(run.values, sizeof(*run.values), run.value_count, file) ==
         run.value_count);
    MUST(!fclose(file));
}

static void half(void (*work)(void)) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET((size_t)run.cores[run.setting.lead ? 0 : 1], &cores);
    MUST(!sched_setaffinity(0, sizeof(cores), &cores));
    run.setting.shared = (char *)run.control + 4096;
    message = calloc(1, run.setting.size);
    MUST(message);
    run.values = malloc((run.count + 1) * sizeof(*run.values));
    MUST(run.values);
    if (run.setting.rpc && !run.link->has_rpc) {
        cannot("is not measured by calls here");
    }
    meet();
    uint64_t start = now();
    run.link->open(&run.setting);
    exchange(1, 1, false);
    if (run.setting.lead) {
        run.control->connect_ns.word = now() - start;
    }
    work();
    if (run.value_count) {
        write_values();
    }
    meet();
    if (run.link->close) {
        run.link->close();
    }
}

int main(int argc, char **argv) {
    if (argc != 11) {
        fprintf(stderr, "%s: see the top of driver.c\n", argv[0]);
        return 2;
    }
    setpgid(0, 0);
    run.setting.directory = argv[10];
    run.workload = argv[2];
    run.setting.rpc = !strcmp(run.workload, "rpc");
    run.setting.in_place = !strcmp(run.workload, "place");
    run.setting.mode = (uint32_t)atoi(argv[3]);
    run.setting.size = strtoull(argv[4], NULL, 10);
    run.setting.batch = strtoull(argv[5], NULL, 10);
    run.count = strtoull(argv[6], NULL, 10);
    run.pause_ns = strtoull(argv[7], NULL, 10);
    run.cores[0] = atoi(argv[8]);
    run.cores[1] = atoi(argv[9]);
    void (*work)(void) = find_workload();
    run.control = mmap(NULL, 4096 + SHARED_BYTES, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    MUST(run.control != MAP_FAILED);
    pid_t other = fork();
    MUST(other >= 0);
    run.setting.lead = other != 0;
    if (!other) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    }
    memory_now(&before_resident, &before_shared);
    /* Loaded after the fork, since some have threads from the beginning. */
    void *object = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!object || !(run.link = dlsym(object, "tachyon_peer_link"))) {
        fprintf(stderr, "%s\n", dlerror());
        cannot("the adapter cannot be loaded");
    }
    half(work);
    if (!other) {
        _exit(0);
    }
    int status;
    MUST(waitpid(other, &status, 0) == other);
    if (status) {
        cannot("the other process failed");
    }
    const struct control *found = run.control;
    printf("{\"connect_ns\": %llu, \"wall_ns\": %llu, \"cpu_ns\": %llu, "
           "\"resident\": %llu, \"shared\": %llu}\n",
           (unsigned long long)found->connect_ns.word,
           (unsigned long long)found->wall_ns.word,
           (unsigned long long)found->cpu_ns.word,
           (unsigned long long)(found->resident[0].word + found->resident[1].word),
           (unsigned long long)(found->shared[0].word + found->shared[1].word));
    return 0;
}
