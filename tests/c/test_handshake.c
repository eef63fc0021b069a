/* SPDX-License-Identifier: Apache-2.0 */
/* handshake.c: options, what the two ends must agree on, and who may connect. */
#include "bus.h"
#include "peers.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

/* ---- Options ---- */

static void check_options_refused(tachyon_options_t *options, tachyon_error_t error,
                                  const char *cause) {
    tachyon_bus_t *bus;
    const char *path = test_path("bus");
    CHECK_ERROR(tachyon_bus_listen_with(path, 4096, options, &bus), error);
    CHECK_SAYS(cause);
    CHECK(!bus);
    CHECK(access(path, F_OK) != 0);
    CHECK_ERROR(tachyon_bus_connect_with(path, options, &bus), error);
    CHECK_SAYS(cause);
    CHECK(!bus);
}

TEST(an_option_out_of_range_is_refused_by_name) {
    tachyon_options_t options = options_with_timeout_ms(1);
    options.size = 0;
    check_options_refused(&options, TACHYON_ERR_INVALID_SZ, "options.size is 0");
    options.size = sizeof(size_t) - 1;
    check_options_refused(&options, TACHYON_ERR_INVALID_SZ, "options.size is 7");
    options.size = SIZE_MAX;
    check_options_refused(&options, TACHYON_ERR_INVALID_SZ, "options.size is");
    options = options_with_timeout_ms(1);
    options.socket_mode = 01777;
    check_options_refused(&options, TACHYON_ERR_INVALID_SZ,
                          "options.socket_mode is 1777");
    options = options_with_timeout_ms(1);
    options.role = 3;
    check_options_refused(&options, TACHYON_ERR_INVALID_SZ, "options.role");
    options = options_with_timeout_ms(1);
    options.allowed_uid_count = 1;
    check_options_refused(&options, TACHYON_ERR_NULL_PTR,
                          "options.allowed_uids is NULL");
    options = options_with_timeout_ms(1);
    options.restart = 2;
    check_options_refused(&options, TACHYON_ERR_INVALID_SZ, "options.restart is 2");
    options = options_with_timeout_ms(1);
    options.interrupt_fd = -1;
    check_options_refused(&options, TACHYON_ERR_INVALID_SZ,
                          "options.interrupt_fd is -1: Bad file descriptor");
    options.interrupt_fd = 999;
    check_options_refused(&options, TACHYON_ERR_INVALID_SZ,
                          "options.interrupt_fd is 999: Bad file descriptor");
}

TEST(an_older_and_a_newer_callers_options_are_understood) {
    struct {
        tachyon_options_t known;
        uint64_t unknown[4];
    } newer = {.known = {.size = sizeof newer, .timeout_ns = 1000000}};
    tachyon_bus_t *bus;
    const char *path = test_path("bus");
    CHECK_ERROR(tachyon_bus_listen_with(path, 4096, &newer.known, &bus),
                TACHYON_ERR_TIMEOUT);
    newer.unknown[2] = 1;
    check_options_refused(&newer.known, TACHYON_ERR_INVALID_SZ, "does not know");

    /* One that ends after timeout_ns: what lies behind is not read. */
    tachyon_options_t older = {.size = offsetof(tachyon_options_t, socket_mode),
                               .timeout_ns = 1000000,
                               .socket_mode = UINT32_MAX,
                               .role = UINT32_MAX};
    CHECK_ERROR(tachyon_bus_listen_with(path, 4096, &older, &bus), TACHYON_ERR_TIMEOUT);
    older = (tachyon_options_t){.size = offsetof(tachyon_options_t, restart),
                                .timeout_ns = 1000000,
                                .restart = UINT32_MAX,
                                .interrupt_fd = 999};
    CHECK_EQ(older.size, 64); /* as of those who do not know the last two */
    CHECK_ERROR(tachyon_bus_listen_with(path, 4096, &older, &bus), TACHYON_ERR_TIMEOUT);
    older.size = sizeof(size_t);
    CHECK_ERROR(tachyon_bus_connect_with(path, &older, &bus), TACHYON_ERR_NETWORK);
}

/* As check_options_refused(), of one that listens, or connects only. */
static void check_refused(bool listens, tachyon_options_t options, const char *text) {
    tachyon_bus_t *bus;
    const char *path = test_path("bus");
    options.size = sizeof options;
    CHECK_ERROR(listens ? tachyon_bus_listen_with(path, 4096, &options, &bus)
                        : tachyon_bus_connect_with(path, &options, &bus),
                TACHYON_ERR_INVALID_SZ);
    CHECK_SAYS(text);
    CHECK(access(path, F_OK) != 0);
}

TEST(options_of_many_peers_are_checked) {
    enum { SENDS = TACHYON_ROLE_PRODUCER, RECEIVES = TACHYON_ROLE_CONSUMER };
    static const struct {
        bool listens;
        const char *text;
        tachyon_options_t options;
    } cases[] = {
        {false, "options.max_peers is for listen only", {.max_peers = 1}},
        {true, "above 1024", {.max_peers = 1025, .role = RECEIVES}},
        {true, "says which way", {.max_peers = 2}},
        {true, "options.slow_peer is for listen as producer", {.slow_peer = 1}},
        {true,
         "with max_peers above 1",
         {.max_peers = 1, .role = SENDS, .without_peers = 1}},
        {true,
         "options.keep_place_ns is for",
         {.max_peers = 9, .role = RECEIVES, .keep_place_ns = 1}},
        {false, "options.slow_after_ns is for", {.slow_after_ns = 1}},
        {true,
         "options.slow_peer is 2, above 1",
         {.max_peers = 2, .role = SENDS, .slow_peer = 2}},
        {true,
         "options.without_peers is 2, above 1",
         {.max_peers = 2, .role = SENDS, .without_peers = 2}},
        {true,
         "options.slow_after_ns is 0",
         {.max_peers = 2, .role = SENDS, .slow_peer = 1}},
        {true,
         "options.slow_after_ns is -1",
         {.max_peers = 2, .role = SENDS, .slow_peer = 1, .slow_after_ns = -1}},
        {true,
         "it goes with TACHYON_SLOW_DISCONNECT",
         {.max_peers = 2, .role = SENDS, .slow_after_ns = 1}},
        {true,
         "options.keep_place_ns is -1",
         {.max_peers = 2, .role = SENDS, .keep_place_ns = -1}},
        {true, "options.name is for connect only", {.name = "n"}},
        {false,
         "options.name has more than 31 bytes",
         {.name = "0123456789abcdef0123456789abcdef"}},
        {false, "options.start is for connect as consumer", {.start = 1}},
        {true, "options.start is for connect", {.start = 1, .role = RECEIVES}},
        {false, "options.start is 3, above 2", {.start = 3, .role = RECEIVES}},
        {false, "options.start_position is for", {.start_position = 64}},
        {false, "options.start_epoch is for", {.start_epoch = 1}},
        {false,
         "options.start_position is 65, no multiple",
         {.start = 2, .role = RECEIVES, .start_position = 65}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_refused(cases[i].listens, cases[i].options, cases[i].text);
}

TEST(a_position_is_not_to_be_had_where_there_is_one_consumer) {
    struct listening listening = {.path = test_path("bus"), .capacity = 4096};
    tachyon_bus_t *bus;
    listening_start(&listening);
    tachyon_options_t options = {.size = sizeof options,
                                 .role = TACHYON_ROLE_CONSUMER,
                                 .start = TACHYON_START_POSITION,
                                 .start_position = 640,
                                 .start_epoch = 7};
    CHECK_ERROR(tachyon_bus_connect_with(listening.path, &options, &bus),
                TACHYON_ERR_LAGGED);
    CHECK_SAYS("position 640 of epoch 0000000000000007");
    options.start_position = options.start_epoch = 0;
    options.start = TACHYON_START_OLDEST; /* which is the only place there is */
    options.name = "0123456789abcdef0123456789abcde"; /* the longest */
    CHECK_OK(tachyon_bus_connect_with(listening.path, &options, &bus));
    CHECK_EQ(listening_join(&listening), TACHYON_SUCCESS);
    tachyon_bus_destroy(bus);
    tachyon_bus_destroy(listening.bus);
}

TEST(the_socket_has_the_mode_of_the_options) {
    static const uint32_t modes[] = {0, 0660, 0666};
    for (int i = 0; i < 3; i++) {
        struct listening listening = {.path = test_path("bus"), .capacity = 4096};
        struct stat stat;
        tachyon_bus_t *bus;
        listening.options.socket_mode = modes[i];
        listening_start(&listening);
        CHECK_EQ(lstat(listening.path, &stat), 0);
        CHECK_EQ(stat.st_mode & 0777, modes[i] ? modes[i] : 0600);
        CHECK_OK(tachyon_bus_connect(listening.path, &bus));
        CHECK_EQ(listening_join(&listening), TACHYON_SUCCESS);
        CHECK(access(listening.path, F_OK) != 0); /* free for the next one */
        tachyon_bus_destroy(bus);
        tachyon_bus_destroy(listening.bus);
    }
}

TEST(no_descriptor_survives_exec) {
    bool was_open[256];
    int found = 0;
    for (int fd = 0; fd < 256; fd++)
        was_open[fd] = fcntl(fd, F_GETFD) >= 0;
    struct pair pair = pair_open(4096);
    for (int fd = 0; fd < 256; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (was_open[fd] || flags < 0)
            continue;
        found++;
        if (!(flags & FD_CLOEXEC))
            FAIL("descriptor %d is not close-on-exec", fd);
    }
    /* A socket and a page each, and a pidfd where the kernel gives one. */
    CHECK_IN(found, 4, 6);
    pair_close(&pair);
}

#define LIST_FDS "TACHYON_TEST_LIST_FDS"

/* This program, started with LIST_FDS in its environment, only tells what is open. */
__attribute__((constructor)) static void tell_what_is_open(void) {
    size_t count;
    if (!getenv(LIST_FDS))
        return;
    count = test_count_fds();
    _exit(write(1, &count, sizeof count) == sizeof count ? 0 : 1);
}

/* What a program finds open that is started without the fork handlers' help. */
static size_t count_fds_of_a_program(void) {
    const char *const arguments[] = {"program", NULL}, *const names[] = {LIST_FDS "=1",
                                                                         NULL};
    int output[2];
    pid_t pid;
    size_t count = 0;
    posix_spawn_file_actions_t actions;
    CHECK_EQ(pipe2(output, O_CLOEXEC), 0);
    CHECK_EQ(posix_spawn_file_actions_init(&actions), 0);
    CHECK_EQ(posix_spawn_file_actions_adddup2(&actions, output[1], 1), 0);
    CHECK_EQ(posix_spawn(&pid, "/proc/self/exe", &actions, NULL,
                         (char *const *)(uintptr_t)arguments,
                         (char *const *)(uintptr_t)names),
             0);
    posix_spawn_file_actions_destroy(&actions);
    close(output[1]);
    CHECK_EQ(read(output[0], &count, sizeof count), sizeof count);
    close(output[0]);
    CHECK_EQ(test_wait(pid), 0);
    return count;
}

TEST(a_program_that_is_started_inherits_nothing) {
    if (test_emulated())
        test_skip("a program that an emulator starts is run by the kernel");
    struct listening listening = {.path = test_path("listening"), .capacity = 4096};
    size_t before = count_fds_of_a_program();
    struct pair pair = pair_open(4096);
    listening_start(&listening); /* in the middle of it */
    int client = wire_connect(listening.path);
    struct wire_greeting hello = wire_hello();
    wire_send(client, &hello, sizeof hello, NULL, 0);
    CHECK_EQ(wire_receive(client, &hello, sizeof hello, NULL, NULL, 3000), 128);
    CHECK(test_count_fds() > before + 5);
    CHECK_EQ(count_fds_of_a_program(), before);
    wire_send(client, "A", 1, NULL, 0);
    CHECK_EQ(listening_join(&listening), TACHYON_SUCCESS);
    close(client);
    tachyon_bus_destroy(listening.bus);
    pair_close(&pair);
}

/* ---- Agreement ---- */

/* Connects with these options to a listener with those; what does connect say? */
static tachyon_error_t connect_to(const tachyon_options_t *listener,
                                  const tachyon_options_t *connector, char *message) {
    struct listening listening = {
        .path = test_path("bus"), .capacity = 4096, .options = *listener};
    tachyon_bus_t *bus = NULL, *good = NULL;
    listening_start(&listening);
    tachyon_error_t error = tachyon_bus_connect_with(listening.path, connector, &bus);
    snprintf(message, 384, "%s", tachyon_last_error_message());
    if (error == TACHYON_SUCCESS) {
        CHECK_EQ(listening_join(&listening), TACHYON_SUCCESS);
        tachyon_bus_destroy(bus);
    } else { /* a refusal leaves the listener listening */
        tachyon_options_t options = options_with_timeout_ms(0);
        options.allowed_uids = &(uint32_t){UINT32_MAX};
        options.allowed_uid_count = 1;
        if (listener->allowed_uid_count == 0 && !listener->allowed_uids) {
            CHECK_OK(tachyon_bus_connect_with(listening.path, &options, &good));
            CHECK_EQ(listening_join(&listening), TACHYON_SUCCESS);
            tachyon_bus_destroy(good);
        } else {
            CHECK_EQ(listening_join(&listening), TACHYON_ERR_TIMEOUT);
        }
    }
    tachyon_bus_destroy(listening.bus);
    return error;
}

TEST(both_ends_cannot_declare_one_role) {
    char message[384];
    for (uint32_t ours = 0; ours <= TACHYON_ROLE_CONSUMER; ours++)
        for (uint32_t theirs = 0; theirs <= TACHYON_ROLE_CONSUMER; theirs++) {
            tachyon_options_t listener = {.role = ours};
            tachyon_options_t connector = options_with_timeout_ms(0);
            connector.role = theirs;
            bool conflict = ours != 0 && ours == theirs;
            CHECK_EQ(connect_to(&listener, &connector, message),
                     conflict ? TACHYON_ERR_BUSY : TACHYON_SUCCESS);
            if (conflict)
                CHECK(strstr(message, "role"));
        }
}

TEST(two_schemas_that_differ_are_refused) {
    static const uint64_t schemas[] = {0, 1, UINT64_MAX};
    char message[384];
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            tachyon_options_t listener = {.schema = schemas[i]};
            tachyon_options_t connector = options_with_timeout_ms(0);
            connector.schema = schemas[j];
            bool conflict = schemas[i] && schemas[j] && i != j;
            CHECK_EQ(connect_to(&listener, &connector, message),
                     conflict ? TACHYON_ERR_ABI_MISMATCH : TACHYON_SUCCESS);
        }
}

TEST(a_bus_does_not_connect_to_an_rpc_bus_nor_the_reverse) {
    struct listening listening = {.path = test_path("bus"), .capacity = 4096};
    tachyon_rpc_bus_t *rpc;
    tachyon_bus_t *bus;
    listening_start(&listening);
    CHECK_ERROR(tachyon_rpc_connect(listening.path, &rpc), TACHYON_ERR_ABI_MISMATCH);
    CHECK_SAYS("RPC");
    CHECK_OK(tachyon_bus_connect(listening.path, &bus));
    CHECK_EQ(listening_join(&listening), TACHYON_SUCCESS);
    tachyon_bus_destroy(bus);
    tachyon_bus_destroy(listening.bus);
}

/* ---- Users ---- */

TEST(only_listed_users_may_connect) {
    const uint32_t ourselves[] = {12345678, geteuid()};
    const uint32_t others[] = {geteuid() + 1, 12345678};
    const uint32_t anyone[] = {12345678, UINT32_MAX};
    const struct {
        const uint32_t *list;
        size_t count;
        bool allowed;
    } table[] = {{NULL, 0, true},    {ourselves, 2, true}, {ourselves, 1, false},
                 {others, 2, false}, {anyone, 2, true},    {others, 0, false}};
    char message[384];
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        for (int listens = 0; listens < 2; listens++) {
            tachyon_options_t lists = options_with_timeout_ms(0);
            tachyon_options_t plain = options_with_timeout_ms(0);
            lists.allowed_uids = table[i].list;
            lists.allowed_uid_count = table[i].count;
            if (listens && !table[i].allowed)
                lists.timeout_ns = 200000000;
            tachyon_error_t error = connect_to(listens ? &lists : &plain,
                                               listens ? &plain : &lists, message);
            CHECK_EQ(error,
                     table[i].allowed ? TACHYON_SUCCESS : TACHYON_ERR_PERMISSION);
            if (!table[i].allowed)
                CHECK(strstr(message, "user id"));
        }
}

static void connect_as_nobody(void *context) {
    const char *const *paths = context;
    tachyon_options_t options = options_with_timeout_ms(0);
    tachyon_bus_t *bus;
    if (setgid(65534) != 0 || setuid(65534) != 0)
        _exit(77);
    /* We do not trust the listener ... */
    CHECK_ERROR(tachyon_bus_connect(paths[0], &bus), TACHYON_ERR_PERMISSION);
    CHECK_SAYS("user id 0");
    /* ... nor does it trust us. */
    options.allowed_uids = &(uint32_t){0};
    options.allowed_uid_count = 1;
    CHECK_ERROR(tachyon_bus_connect_with(paths[0], &options, &bus),
                TACHYON_ERR_PERMISSION);
    CHECK_SAYS("does not allow our user id");
    /* This one does; but the mode of this socket forbids it. */
    CHECK_ERROR(tachyon_bus_connect_with(paths[1], &options, &bus),
                TACHYON_ERR_PERMISSION);
    CHECK_EQ(tachyon_last_errno(), EACCES);
    CHECK_OK(tachyon_bus_connect_with(paths[2], &options, &bus));
    CHECK_OK(tachyon_send(bus, "from nobody", 11, 1, 0, 0));
    tachyon_bus_destroy(bus);
}

TEST(fault_9_another_user_is_refused_unless_listed) {
    if (geteuid() != 0)
        test_skip("needs root, to become somebody else");
    const char *paths[] = {test_path("mode"), test_path("closed"), test_path("open")};
    struct listening listening[3];
    char directory[128];
    snprintf(directory, sizeof directory, "%s", paths[0]);
    *strrchr(directory, '/') = '\0';
    CHECK_EQ(chmod(directory, 0755), 0);
    for (int i = 0; i < 3; i++) {
        listening[i] = (struct listening){.path = paths[i], .capacity = 4096};
        listening[i].options.timeout_ns = 2000000000;
        listening[i].options.socket_mode = i == 1 ? 0600 : 0666;
        if (i > 0) {
            listening[i].options.allowed_uids = &(uint32_t){65534};
            listening[i].options.allowed_uid_count = 1;
        }
    }
    /* Before there are threads. */
    int go[2];
    CHECK_EQ(pipe(go), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char byte;
        close(go[1]);
        (void)!read(go[0], &byte, 1);
        connect_as_nobody(paths);
        _exit(0);
    }
    static const uint32_t nobody = 65534;
    for (int i = 0; i < 3; i++) {
        if (i > 0)
            listening[i].options.allowed_uids = &nobody;
        listening_start(&listening[i]);
    }
    close(go[0]);
    close(go[1]);
    int status = test_wait(pid);
    tachyon_bus_t *good; /* whom the first refused it goes on without */
    CHECK_OK(tachyon_bus_connect(paths[0], &good));
    for (int i = 0; i < 3; i++)
        CHECK_EQ(listening_join(&listening[i]), i == 0 || (i == 2 && status == 0)
                                                    ? TACHYON_SUCCESS
                                                    : TACHYON_ERR_TIMEOUT);
    tachyon_bus_destroy(good);
    tachyon_bus_destroy(listening[0].bus);
    if (status == 77)
        test_skip("cannot become somebody else");
    CHECK_EQ(status, 0);
    tachyon_peer_t peer;
    CHECK_OK(tachyon_bus_get_peer(listening[2].bus, &peer));
    CHECK_EQ(peer.uid, 65534);
    CHECK_EQ(peer.gid, 65534);
    CHECK_EQ(peer.pid, pid);
    uint32_t type;
    size_t size;
    CHECK(tachyon_acquire_rx(listening[2].bus, &type, &size));
    tachyon_bus_destroy(listening[2].bus);
}

/* ---- Time and signals ---- */

TEST(listen_ends_after_its_timeout_and_leaves_nothing) {
    static const int64_t timeouts_ms[] = {1, 50, 300};
    const char *path = test_path("bus");
    char lock[256];
    snprintf(lock, sizeof lock, "%s.lock", path);
    for (int i = 0; i < 3; i++) {
        tachyon_options_t options = options_with_timeout_ms(timeouts_ms[i]);
        tachyon_bus_t *bus;
        CHECK_TAKES(timeouts_ms[i] - 1, timeouts_ms[i] + 250,
                    CHECK_ERROR(tachyon_bus_listen_with(path, 4096, &options, &bus),
                                TACHYON_ERR_TIMEOUT));
        CHECK_SAYS(path);
        CHECK(access(path, F_OK) != 0 && access(lock, F_OK) != 0);
    }
}

TEST(connect_tries_once_or_as_long_as_it_may) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus;
    tachyon_options_t options = options_with_timeout_ms(100);
    CHECK_TAKES(0, 250,
                CHECK_ERROR(tachyon_bus_connect(path, &bus), TACHYON_ERR_NETWORK));
    CHECK_TAKES(99, 350,
                CHECK_ERROR(tachyon_bus_connect_with(path, &options, &bus),
                            TACHYON_ERR_TIMEOUT));
    CHECK_SAYS(path);
    CHECK_SAYS(strerror(ENOENT));
}

static void *connect_body(void *context) {
    tachyon_options_t options = options_with_timeout_ms(-1);
    tachyon_bus_t *bus = NULL;
    options.timeout_ns = -1;
    CHECK_OK(tachyon_bus_connect_with(context, &options, &bus));
    return bus;
}

TEST(a_connector_that_starts_first_waits_for_the_listener) {
    struct listening listening = {.path = test_path("bus"), .capacity = 4096};
    pthread_t thread = test_thread(connect_body, (void *)(uintptr_t)listening.path);
    test_sleep_ms(50);
    listening_start(&listening);
    CHECK_EQ(listening_join(&listening), TACHYON_SUCCESS);
    tachyon_bus_destroy(test_join(thread));
    tachyon_bus_destroy(listening.bus);
}

static void on_alarm(int number) {
    (void)number;
}

static int calls_left;

static int count_down(void *context) {
    CHECK(context == &calls_left);
    return --calls_left <= 0;
}

/* A listener that accepts and says nothing, so that connect waits for an answer. */
static tachyon_error_t open_with(int call, const char *path,
                                 tachyon_options_t *options) {
    tachyon_bus_t *bus;
    if (call == 0)
        return tachyon_bus_listen_with(path, 4096, options, &bus);
    if (call == 1) /* nobody there: it retries */
        return tachyon_bus_connect_with(path, options, &bus);
    int silent = wire_listen(path);
    tachyon_error_t error = tachyon_bus_connect_with(path, options, &bus);
    close(silent);
    unlink(path);
    return error;
}

TEST(a_signal_ends_listen_and_connect) {
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
    for (int call = 0; call < 3; call++) {
        tachyon_options_t options = options_with_timeout_ms(10000);
        /* Again and again, or it may come before the call does. */
        struct itimerval alarms = {.it_value.tv_usec = 30000,
                                   .it_interval.tv_usec = 30000};
        CHECK_TAKES(25, 300, {
            CHECK_EQ(setitimer(ITIMER_REAL, &alarms, NULL), 0);
            CHECK_ERROR(open_with(call, test_path("bus"), &options),
                        TACHYON_ERR_INTERRUPTED);
        });
    }
    CHECK_EQ(setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL), 0);
}

TEST(the_interrupted_hook_ends_listen_and_connect) {
    for (int call = 0; call < 3; call++) {
        tachyon_options_t options = options_with_timeout_ms(10000);
        options.interrupted = count_down;
        options.interrupted_context = &calls_left;
        CHECK_TAKES(0, 250, {
            calls_left = 1;
            CHECK_ERROR(open_with(call, test_path("bus"), &options),
                        TACHYON_ERR_INTERRUPTED);
            CHECK_EQ(calls_left, 0);
        });
    }
}

static int never(void *context) {
    ++*(int *)context;
    return 0;
}

TEST(a_signal_ends_no_listen_or_connect_that_restarts) {
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval alarms = {.it_value.tv_usec = 500, .it_interval.tv_usec = 500};
    CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
    CHECK_EQ(setitimer(ITIMER_REAL, &alarms, NULL), 0);
    for (int call = 0; call < 3; call++) {
        int asked = 0;
        tachyon_options_t options = options_with_timeout_ms(60);
        options.restart = 1;
        options.interrupted = never;
        options.interrupted_context = &asked;
        do
            CHECK_TAKES(60, 200,
                        CHECK_ERROR(open_with(call, test_path("bus"), &options),
                                    TACHYON_ERR_TIMEOUT))
        while (asked <= 20); /* a busy machine has joined some */
    }
    CHECK_EQ(setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL), 0);
}

TEST(the_hook_of_the_options_stays_with_the_bus) {
    tachyon_options_t options = options_with_timeout_ms(10000);
    uint32_t type;
    size_t size;
    options.interrupted = count_down;
    options.interrupted_context = &calls_left;
    calls_left = 1000000;
    struct pair pair = pair_open_with(4096, NULL, &options);
    calls_left = 1;
    CHECK_REFUSED(tachyon_acquire_rx_blocking(pair.connector, &type, &size, 0),
                  TACHYON_ERR_INTERRUPTED);
    calls_left = 1;
    CHECK_REFUSED(tachyon_acquire_rx_timed(pair.connector, &type, &size, 0, 9999999),
                  TACHYON_ERR_INTERRUPTED);
    CHECK_EQ(tachyon_get_state(pair.connector), TACHYON_STATE_READY);
    CHECK_OK(tachyon_send(pair.listener, "x", 1, 1, 0, 0)); /* nothing is broken */
    CHECK(tachyon_acquire_rx_blocking(pair.connector, &type, &size, 0));
    pair_close(&pair);
}

TEST(a_user_may_stand_anywhere_in_the_list) {
    const uint32_t list[] = {geteuid(), 12345678, 12345679};
    char message[384];
    tachyon_options_t listener = {.allowed_uids = list, .allowed_uid_count = 3};
    tachyon_options_t connector = options_with_timeout_ms(0);
    CHECK_EQ(connect_to(&listener, &connector, message), TACHYON_SUCCESS);
}
