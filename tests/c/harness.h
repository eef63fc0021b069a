/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the C tests share. A program's TEST()s run one after the other, each in a
 * process of its own with a time limit, a directory of its own, and a check that it
 * leaves neither a descriptor nor a child process behind.
 *
 * Names of tests are statements of behaviour; a name that begins with fault_N shows
 * that fault N of the catalogue of known faults is absent.
 */
#ifndef TACHYON_TEST_HARNESS_H
#define TACHYON_TEST_HARNESS_H

#include "error.h"

#include <pthread.h>
#include <stdatomic.h>

struct test_case {
    const char *name;
    void (*body)(void);
    struct test_case *next;
};

void test_register(struct test_case *test);

#define TEST(test_name)                                                                \
    static void test_name(void);                                                       \
    __attribute__((constructor)) static void register_##test_name(void) {              \
        static struct test_case test = {.name = #test_name, .body = test_name};        \
        test_register(&test);                                                          \
    }                                                                                  \
    static void test_name(void)

/* ---- Checks: the first that fails ends the test ---- */

_Noreturn void test_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The environment lacks what the test needs; it is listed as skipped. */
_Noreturn void test_skip(const char *reason);
/* An emulator translates the system calls: what it cannot is not ours to judge. */
bool test_emulated(void);

void test_equal(const char *file, int line, const char *text, intmax_t actual,
                intmax_t expected);
void test_error(const char *file, int line, const char *text, tachyon_error_t actual,
                tachyon_error_t expected);
void test_refused(const char *file, int line, const char *text, bool got_nothing,
                  tachyon_error_t expected);
void test_says(const char *file, int line, const char *part);

#define FAIL(...) test_fail(__FILE__, __LINE__, __VA_ARGS__)
#define CHECK(condition)                                                               \
    do {                                                                               \
        if (!(condition))                                                              \
            FAIL("%s", #condition);                                                    \
    } while (0)
#define CHECK_EQ(actual, expected)                                                     \
    test_equal(__FILE__, __LINE__, #actual, (intmax_t)(actual), (intmax_t)(expected))
#define CHECK_IN(actual, least, most)                                                  \
    do {                                                                               \
        intmax_t value_ = (intmax_t)(actual);                                          \
        if (value_ < (intmax_t)(least) || value_ > (intmax_t)(most))                   \
            FAIL("%s is %jd, not in %jd to %jd", #actual, value_, (intmax_t)(least),   \
                 (intmax_t)(most));                                                    \
    } while (0)

/* A call that returns a tachyon_error_t. */
#define CHECK_OK(call) test_error(__FILE__, __LINE__, #call, (call), TACHYON_SUCCESS)
#define CHECK_ERROR(call, error) test_error(__FILE__, __LINE__, #call, (call), error)
/* A call that returns a pointer or a count, and tells by tachyon_last_error(). */
#define CHECK_REFUSED(call, error)                                                     \
    test_refused(__FILE__, __LINE__, #call, !(call), error)
/* The text of the last error contains this. */
#define CHECK_SAYS(part) test_says(__FILE__, __LINE__, part)

/* The statement takes so many milliseconds. A machine that is busy with other things
 * may add to that: then it is tried again, twenty times in all, which no fault of ours
 * survives; a sanitizer may make it ten times slower. Less is wrong at once. */
#define CHECK_TAKES(least_ms, most_ms, ...)                                            \
    for (int tries_ = 1, late_ = 1; late_; tries_++) {                                 \
        int64_t begin_ = test_now_ms();                                                \
        __VA_ARGS__;                                                                   \
        late_ = test_too_late(__FILE__, __LINE__, test_now_ms() - begin_, least_ms,    \
                              most_ms, tries_);                                        \
    }
bool test_too_late(const char *file, int line, int64_t took_ms, int64_t least_ms,
                   int64_t most_ms, int tries);

/* What a busy machine may make untrue, and what cannot be done twice: then the whole test
 * is run again, as often. Only in the test's own process. */
#define CHECK_OR_AGAIN(condition)                                                      \
    do {                                                                               \
        if (!(condition))                                                              \
            test_again(__FILE__, __LINE__, #condition);                                \
    } while (0)
_Noreturn void test_again(const char *file, int line, const char *text);

/* ---- Surroundings ---- */

/* A path inside the test's own directory; storage lives as long as the test. */
const char *test_path(const char *name);

/* Open descriptors of this process. */
size_t test_count_fds(void);

int64_t test_now_ms(void);
void test_sleep_ms(int64_t milliseconds);
/* Sleeps for a moment, however long others then take: sched_yield() may come back at once
 * while another thread waits for its turn. */
void test_let_others_run(void);

/* The same numbers on every run. */
uint64_t test_random(uint64_t *state);
uint64_t test_random_below(uint64_t *state, uint64_t bound);

/* A sanitizer takes time, and more address space than any limit leaves. */
bool test_sanitized(void);
/* ThreadSanitizer, to which misuse by two threads is a race however it is refused. */
bool test_race_detector(void);

pthread_t test_thread(void *(*body)(void *context), void *context);
void *test_join(pthread_t thread);
/* Returns when all other threads of this process sleep in the kernel, as one that waits
 * in a call does, however long it takes until they do. */
void test_await_sleep(void);
/* How often this thread has gone to sleep. */
int64_t test_sleeps(void);

/* A child process; only the main thread may start one. */
pid_t test_spawn(void (*body)(void *context), void *context);
/* Its exit status, which is 0 when no check failed, or -signal. */
int test_wait(pid_t pid);

#endif
