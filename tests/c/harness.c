/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LIMIT_MS 240000 /* or TACHYON_TEST_LIMIT_S, for runs of full length */
#define MAX_FDS 4096
#define MAX_TRIES 20
#define EXIT_AGAIN 76
#define EXIT_SKIPPED 77

/* Of a build that counts coverage, which is saved at exit() only. */
extern int __llvm_profile_write_file(void) __attribute__((weak));

static struct test_case *tests, **last_test = &tests;
static char directory[64];

void test_register(struct test_case *test) {
    *last_test = test;
    last_test = &test->next;
}

/* ---- Checks ---- */

void test_fail(const char *file, int line, const char *format, ...) {
    const char *base = strrchr(file, '/');
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fflush(stdout);
    fprintf(stderr, "    %s:%d: %s\n", base ? base + 1 : file, line, text);
    _exit(1);
}

void test_skip(const char *reason) {
    printf("    %s\n", reason);
    fflush(stdout);
    _exit(EXIT_SKIPPED);
}

bool test_emulated(void) {
    return getenv("TACHYON_TEST_EMULATED") != NULL;
}

void test_equal(const char *file, int line, const char *text, intmax_t actual,
                intmax_t expected) {
    if (actual != expected)
        test_fail(file, line, "%s is %jd (0x%jx), expected %jd (0x%jx)", text, actual,
                  (uintmax_t)actual, expected, (uintmax_t)expected);
}

static const char *last_error(void) {
    return tachyon_last_error() ? tachyon_last_error_message() : "none";
}

void test_error(const char *file, int line, const char *text, tachyon_error_t actual,
                tachyon_error_t expected) {
    if (actual != expected)
        test_fail(file, line, "%s gives %d (%s), expected %d (%s); last error: %s",
                  text, (int)actual, tachyon_strerror(actual), (int)expected,
                  tachyon_strerror(expected), last_error());
    if (expected != TACHYON_SUCCESS && tachyon_last_error() != expected)
        test_fail(file, line, "%s gives %d, but tachyon_last_error() %d (%s)", text,
                  (int)actual, (int)tachyon_last_error(), last_error());
}

void test_refused(const char *file, int line, const char *text, bool got_nothing,
                  tachyon_error_t expected) {
    if (!got_nothing)
        test_fail(file, line, "%s succeeds, expected %d (%s)", text, (int)expected,
                  tachyon_strerror(expected));
    test_error(file, line, text, tachyon_last_error(), expected);
}

void test_says(const char *file, int line, const char *part) {
    const char *message = tachyon_last_error_message();
    if (!strstr(message, part))
        test_fail(file, line, "the error says \"%s\", which lacks \"%s\"", message,
                  part);
}

bool test_too_late(const char *file, int line, int64_t took_ms, int64_t least_ms,
                   int64_t most_ms, int tries) {
    if (test_sanitized())
        most_ms *= 10;
    if (took_ms < least_ms || (took_ms > most_ms && tries == MAX_TRIES))
        test_fail(file, line, "it takes %jd ms, not %jd to %jd (try %d of %d)",
                  (intmax_t)took_ms, (intmax_t)least_ms, (intmax_t)most_ms, tries,
                  MAX_TRIES);
    return took_ms > most_ms;
}

void test_again(const char *file, int line, const char *text) {
    const char *base = strrchr(file, '/');
    fflush(stdout);
    fprintf(stderr, "    %s:%d: %s: not this time\n", base ? base + 1 : file, line,
            text);
    _exit(EXIT_AGAIN);
}

/* ---- Surroundings ---- */

const char *test_path(const char *name) {
    size_t size = strlen(directory) + strlen(name) + 2;
    static char storage[64 * 1024]; /* a test asks for few names, often for the same */
    static size_t used;
    for (char *known = storage; known < storage + used; known += strlen(known) + 1)
        if (strcmp(known + strlen(directory) + 1, name) == 0)
            return known;
    if (used + size > sizeof storage)
        FAIL("too many paths");
    char *path = storage + used;
    used += size;
    snprintf(path, size, "%s/%s", directory, name);
    return path;
}

/* Mark the open descriptors; returns their number. */
static size_t list_fds(bool *open_fds) {
    size_t count = 0;
    DIR *list = opendir("/proc/self/fd");
    if (!list)
        FAIL("cannot list /proc/self/fd: %s", strerror(errno));
    memset(open_fds, 0, MAX_FDS);
    for (struct dirent *entry; (entry = readdir(list));) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] == '.' || fd == dirfd(list) || fd >= MAX_FDS)
            continue;
        open_fds[fd] = true;
        count++;
    }
    closedir(list);
    return count;
}

size_t test_count_fds(void) {
    bool open_fds[MAX_FDS];
    return list_fds(open_fds);
}

int64_t test_now_ms(void) {
    return ty_now_ns() / 1000000;
}

static int64_t limit_ms(void) {
    const char *seconds = getenv("TACHYON_TEST_LIMIT_S");
    return seconds ? atoll(seconds) * 1000 : LIMIT_MS;
}

void test_sleep_ms(int64_t milliseconds) {
    struct timespec left = {.tv_sec = (time_t)(milliseconds / 1000),
                            .tv_nsec = (long)(milliseconds % 1000 * 1000000)};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

void test_let_others_run(void) {
    nanosleep(&(struct timespec){.tv_nsec = 1}, NULL);
}

uint64_t test_random(uint64_t *state) { /* splitmix64 */
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

uint64_t test_random_below(uint64_t *state, uint64_t bound) {
    return test_random(state) % bound;
}

#ifndef __has_feature /* clang's way to tell */
#define __has_feature(feature) 0
#endif

bool test_race_detector(void) {
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
    return true;
#else
    return false;
#endif
}

bool test_sanitized(void) {
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer) ||               \
    __has_feature(memory_sanitizer)
    return true;
#else
    return test_race_detector();
#endif
}

pthread_t test_thread(void *(*body)(void *context), void *context) {
    pthread_t thread;
    int refused = pthread_create(&thread, NULL, body, context);
    if (refused != 0)
        FAIL("pthread_create: %s", strerror(refused));
    return thread;
}

void *test_join(pthread_t thread) {
    void *result = NULL;
    CHECK_EQ(pthread_join(thread, &result), 0);
    return result;
}

/* How often it has gone to sleep; -1: it does not sleep now. 0: it has ended. */
static int64_t sleeps_of(const char *thread) {
    char path[64], line[128], state = 'S';
    intmax_t sleeps = 0;
    snprintf(path, sizeof path, "/proc/self/task/%.20s/status", thread);
    FILE *status = fopen(path, "re");
    while (status && fgets(line, sizeof line, status)) {
        sscanf(line, "State: %c", &state);
        sscanf(line, "voluntary_ctxt_switches: %jd", &sleeps);
    }
    if (status)
        fclose(status);
    return state == 'S' ? sleeps : -1;
}

static int64_t sleeps_of_others(void) {
    DIR *list = opendir("/proc/self/task");
    int64_t all = 0;
    if (!list)
        FAIL("cannot list /proc/self/task: %s", strerror(errno));
    for (struct dirent *entry; all >= 0 && (entry = readdir(list));) {
        if (entry->d_name[0] == '.' || atoi(entry->d_name) == syscall(SYS_gettid))
            continue;
        int64_t sleeps = sleeps_of(entry->d_name);
        all = sleeps < 0 ? -1 : all + sleeps;
    }
    closedir(list);
    return all;
}

void test_await_sleep(void) {
    int64_t end = test_now_ms() + limit_ms() / 2;
    /* The same sleeps as a moment before: not only for a lock. */
    for (int64_t before = -1, now;; before = now) {
        now = sleeps_of_others();
        if (now >= 0 && now == before)
            return;
        if (test_now_ms() > end)
            FAIL("some thread does not go to sleep");
        test_sleep_ms(1);
    }
}

int64_t test_sleeps(void) {
    struct rusage usage;
    CHECK_EQ(getrusage(RUSAGE_THREAD, &usage), 0);
    return usage.ru_nvcsw;
}

pid_t test_spawn(void (*body)(void *context), void *context) {
    fflush(NULL);
    pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        FAIL("fork: %s", strerror(errno));
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    body(context);
    fflush(NULL);
    if (__llvm_profile_write_file)
        __llvm_profile_write_file();
    _exit(0);
}

int test_wait(pid_t pid) {
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            FAIL("waitpid: %s", strerror(errno));
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* ---- The runner ---- */

static void run_body(const struct test_case *test) {
    static bool before[MAX_FDS], after[MAX_FDS];
    list_fds(before);
    test->body();
    list_fds(after);
    for (int fd = 0; fd < MAX_FDS; fd++) {
        char link[64], target[256] = "?";
        if (!after[fd] || before[fd])
            continue;
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, target, sizeof target - 1);
        target[length > 0 ? length : 1] = '\0';
        test_fail(__FILE__, __LINE__, "leaks descriptor %d: %s", fd, target);
    }
    if (waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD)
        test_fail(__FILE__, __LINE__, "leaves a child process behind");
}

static void remove_directory(void) {
    DIR *list = opendir(directory);
    for (struct dirent *entry; list && (entry = readdir(list));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            if (unlinkat(dirfd(list), entry->d_name, 0) != 0)
                unlinkat(dirfd(list), entry->d_name, AT_REMOVEDIR);
    if (list)
        closedir(list);
    rmdir(directory);
}

/* Its exit status, or -signal, which is also how a test ends that takes too long. */
static int run_in_child(const struct test_case *test, const sigset_t *child_signals) {
    pid_t pid = fork();
    if (pid < 0)
        return -1;
    if (pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setpgid(0, 0);
        sigprocmask(SIG_SETMASK, &none, NULL);
        run_body(test);
        exit(0); /* not _exit: this is where leaks are looked for */
    }
    setpgid(pid, pid);
    int64_t deadline = test_now_ms() + limit_ms();
    int status = 0;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        int64_t left = deadline - test_now_ms();
        if (left <= 0) {
            fprintf(stderr, "    still running after %jd s\n",
                    (intmax_t)limit_ms() / 1000);
            kill(-pid, SIGKILL);
            waitpid(pid, &status, 0);
            break;
        }
        struct timespec wait = {.tv_sec = (time_t)(left / 1000), .tv_nsec = 1000000};
        sigtimedwait(child_signals, NULL, &wait);
    }
    kill(-pid, SIGKILL); /* what a failed test has left behind */
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

int main(int argc, char **argv) {
    size_t run = 0, failed = 0, skipped = 0;
    sigset_t child_signals;
    sigemptyset(&child_signals);
    sigaddset(&child_signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child_signals, NULL);

    for (const struct test_case *test = tests; test; test = test->next) {
        bool wanted = argc < 2;
        for (int i = 1; i < argc; i++)
            wanted = wanted || strstr(test->name, argv[i]);
        if (!wanted)
            continue;
        int64_t begin = test_now_ms();
        int status = EXIT_AGAIN;
        for (int tries = 0; status == EXIT_AGAIN && tries < MAX_TRIES; tries++) {
            strcpy(directory, "/tmp/tachyon-test-XXXXXX");
            if (!mkdtemp(directory)) {
                perror(directory);
                return 1;
            }
            fflush(NULL);
            status = run_in_child(test, &child_signals);
            remove_directory();
        }
        run++;
        failed += status != 0 && status != EXIT_SKIPPED;
        skipped += status == EXIT_SKIPPED;
        printf("%-8s %s (%jd ms)",
               status == 0              ? "ok"
               : status == EXIT_SKIPPED ? "skipped"
                                        : "FAILED",
               test->name, (intmax_t)(test_now_ms() - begin));
        if (status < 0)
            printf(" by signal %d (%s)", -status, strsignal(-status));
        printf("\n");
    }
    printf("%zu tests, %zu failed, %zu skipped\n", run, failed, skipped);
    if (run == 0)
        return 1;
    return failed > 0 ? 1 : skipped == run ? EXIT_SKIPPED : 0;
}
