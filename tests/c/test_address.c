/* SPDX-License-Identifier: Apache-2.0 */
/* address.c: what may stand at a path, before, while and after somebody
 * listens. */
#include "address.h"
#include "peers.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define EXIT_NO_CHROOT 77
#define EXIT_NO_FCHMODAT2 78

static bool exists(const char *path) {
    struct stat stat;
    return lstat(path, &stat) == 0;
}

static const char *lock_of(const char *path) {
    char name[256];
    snprintf(name, sizeof name, "%s.tachyon-lock", strrchr(path, '/') + 1);
    return test_path(name);
}

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    CHECK(file);
    fputs(text, file);
    fclose(file);
}

static void expect_file(const char *path, const char *text) {
    char found[64] = "";
    FILE *file = fopen(path, "r");
    if (!file)
        FAIL("%s is gone", path);
    size_t size = fread(found, 1, sizeof found - 1, file);
    fclose(file);
    CHECK_EQ(size, strlen(text));
    CHECK_EQ(strcmp(found, text), 0);
}

/* Listens, or says why not. */
static tachyon_error_t try_listen(const char *path) {
    struct address address;
    tachyon_error_t error = ty_address_listen(&address, path, 0600);
    if (error == TACHYON_SUCCESS)
        ty_address_release(&address);
    return error;
}

static void expect_reachable(const char *path) {
    int client;
    CHECK_OK(ty_address_connect(path, -1, &client));
    close(client);
}

TEST(listening_makes_a_socket_and_a_lock_and_releasing_removes_both) {
    const char *path = test_path("bus");
    for (int i = 0; i < 3; i++) {
        struct address address;
        CHECK_OK(ty_address_listen(&address, path, 0600));
        CHECK(exists(path) && exists(lock_of(path)));
        CHECK_EQ(fcntl(address.socket, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        CHECK_EQ(fcntl(address.lock, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        expect_reachable(path);
        ty_address_release(&address);
        CHECK(!exists(path) && !exists(lock_of(path)));
        ty_address_release(&address); /* idempotent */
    }
}

TEST(fault_9_an_empty_path_is_refused) {
    static const char *const paths[] = {"", "@"};
    int client;
    for (int i = 0; i < 2; i++) {
        CHECK_ERROR(try_listen(paths[i]), TACHYON_ERR_INVALID_SZ);
        CHECK_SAYS("path is empty");
        CHECK_ERROR(ty_address_connect(paths[i], -1, &client), TACHYON_ERR_INVALID_SZ);
        CHECK_EQ(client, -1);
    }
}

TEST(a_path_is_107_bytes_at_most) {
    char path[200];
    int client;
    /* A long way to the same directory: slashes count, but mean nothing. */
    snprintf(path, sizeof path, "%s", test_path("x"));
    char *name = strrchr(path, '/');
    memset(name, '/', 108 - (size_t)(name - path));
    path[106] = 'x';
    path[107] = '\0';
    CHECK_EQ(strlen(path), 107);
    CHECK_OK(try_listen(path));
    strcpy(path + 106, "xy");
    CHECK_ERROR(try_listen(path), TACHYON_ERR_INVALID_SZ);
    CHECK_SAYS("108 bytes, more than 107");
    CHECK_ERROR(ty_address_connect(path, -1, &client), TACHYON_ERR_INVALID_SZ);
    char *huge = malloc(1 << 20);
    memset(huge, 'a', 1 << 20);
    huge[(1 << 20) - 1] = '\0';
    CHECK_ERROR(try_listen(huge), TACHYON_ERR_INVALID_SZ);
    CHECK_SAYS("1048575 bytes");
    free(huge);
}

TEST(a_missing_directory_is_a_network_error_that_names_it) {
    const char *path = test_path("missing/bus");
    int client;
    CHECK_ERROR(try_listen(path), TACHYON_ERR_NETWORK);
    CHECK_EQ(tachyon_last_errno(), ENOENT);
    CHECK_SAYS(path);
    CHECK_SAYS(strerror(ENOENT));
    CHECK_ERROR(ty_address_connect(path, -1, &client), TACHYON_ERR_NETWORK);
    CHECK_EQ(tachyon_last_errno(), ENOENT);
    CHECK_SAYS(path);
    CHECK_SAYS("no directory ");
    CHECK_SAYS(test_path("missing"));
}

TEST(fault_9_what_is_no_socket_is_left_alone) {
    const char *path = test_path("bus");
    struct stat stat;
    write_file(path, "precious");
    CHECK_ERROR(try_listen(path), TACHYON_ERR_ADDR_IN_USE);
    CHECK_SAYS("no socket");
    CHECK_SAYS(path);
    expect_file(path, "precious");
    CHECK(!exists(lock_of(path)));
    CHECK_EQ(unlink(path), 0);

    CHECK_EQ(mkdir(path, 0700), 0);
    CHECK_ERROR(try_listen(path), TACHYON_ERR_ADDR_IN_USE);
    CHECK(lstat(path, &stat) == 0 && S_ISDIR(stat.st_mode));
    CHECK_EQ(rmdir(path), 0);

    CHECK_EQ(mkfifo(path, 0600), 0);
    CHECK_ERROR(try_listen(path), TACHYON_ERR_ADDR_IN_USE);
    CHECK(lstat(path, &stat) == 0 && S_ISFIFO(stat.st_mode));
    CHECK_EQ(unlink(path), 0);

    /* Links are not followed, wherever they lead. */
    write_file(test_path("target"), "precious");
    CHECK_EQ(symlink(test_path("target"), path), 0);
    CHECK_ERROR(try_listen(path), TACHYON_ERR_ADDR_IN_USE);
    CHECK(lstat(path, &stat) == 0 && S_ISLNK(stat.st_mode));
    expect_file(test_path("target"), "precious");
    CHECK_EQ(unlink(path), 0);
    CHECK_EQ(symlink(test_path("nowhere"), path), 0);
    CHECK_ERROR(try_listen(path), TACHYON_ERR_ADDR_IN_USE);
    CHECK(lstat(path, &stat) == 0 && S_ISLNK(stat.st_mode));
    CHECK_EQ(unlink(path), 0);
    CHECK_OK(try_listen(path)); /* nothing of all that is left */
}

TEST(fault_9_a_live_listener_keeps_its_socket) {
    const char *path = test_path("bus");
    struct address address;
    CHECK_OK(ty_address_listen(&address, path, 0600));
    for (int i = 0; i < 3; i++) {
        CHECK_ERROR(try_listen(path), TACHYON_ERR_ADDR_IN_USE);
        CHECK_SAYS("another listener is active");
        CHECK_SAYS(path);
        expect_reachable(path);
    }
    ty_address_release(&address);

    /* One that is no Tachyon, and so has no lock. */
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    for (size_t i = 0; i < 3; i++) {
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        strcpy(name.sun_path, path);
        int other = socket(AF_UNIX, types[i] | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        CHECK_EQ(bind(other, (struct sockaddr *)&name, sizeof name), 0);
        for (int listening = 0; listening < 2; listening++) {
            if (listening && types[i] != SOCK_DGRAM)
                CHECK_EQ(listen(other, 1), 0);
            CHECK_ERROR(try_listen(path), TACHYON_ERR_ADDR_IN_USE);
            CHECK(exists(path));
            CHECK(!exists(lock_of(path)));
        }
        /* It was asked without being disturbed: nobody stands in its queue. */
        CHECK_EQ(accept4(other, NULL, NULL, SOCK_CLOEXEC), -1);
        close(other);
        CHECK_EQ(unlink(path), 0);
    }
}

TEST(a_stale_socket_is_replaced) {
    const char *path = test_path("bus");
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    for (size_t i = 0; i < 3; i++) {
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        strcpy(name.sun_path, path);
        int dead = socket(AF_UNIX, types[i] | SOCK_CLOEXEC, 0);
        CHECK_EQ(bind(dead, (struct sockaddr *)&name, sizeof name), 0);
        close(dead);
        CHECK(exists(path));
        CHECK_OK(try_listen(path));
        CHECK(!exists(path));
    }
}

static void listen_until_killed(void *context) {
    struct address address;
    CHECK_OK(ty_address_listen(&address, context, 0600));
    for (;;)
        pause();
}

TEST(what_a_killed_listener_leaves_is_replaced) {
    const char *path = test_path("bus");
    pid_t pid = test_spawn(listen_until_killed, (void *)(uintptr_t)path);
    int client = wire_connect(path);
    close(client);
    CHECK_ERROR(try_listen(path), TACHYON_ERR_ADDR_IN_USE);
    CHECK_EQ(kill(pid, SIGKILL), 0);
    CHECK_EQ(test_wait(pid), -SIGKILL);
    CHECK(exists(path) && exists(lock_of(path)));
    CHECK_ERROR(ty_address_connect(path, -1, &client), TACHYON_ERR_NETWORK);
    CHECK_EQ(tachyon_last_errno(), ECONNREFUSED);
    CHECK_OK(try_listen(path));
    CHECK(!exists(path) && !exists(lock_of(path)));
}

TEST(a_foreign_lock_file_is_left_alone) {
    const char *path = test_path("bus"), *lock = lock_of(path);
    static const char *const contents[] = {"somebody's 4242", ""};
    for (int i = 0; i < 2; i++) {
        write_file(lock, contents[i]);
        CHECK_ERROR(try_listen(path), TACHYON_ERR_ADDR_IN_USE);
        CHECK_SAYS(lock);
        CHECK_SAYS("not a lock of a listener");
        expect_file(lock, contents[i]);
        CHECK_EQ(unlink(lock), 0);
    }
    /* A name that others use: nothing of it is touched. */
    write_file(test_path("bus.lock"), "");
    CHECK_OK(try_listen(path));
    expect_file(test_path("bus.lock"), "");

    CHECK_EQ(mkfifo(lock, 0600), 0); /* must not block, either */
    CHECK_ERROR(try_listen(path), TACHYON_ERR_ADDR_IN_USE);
    CHECK(exists(lock));
    CHECK_EQ(unlink(lock), 0);

    write_file(test_path("target"), "");
    CHECK_EQ(symlink(test_path("target"), lock), 0);
    CHECK(try_listen(path) != TACHYON_SUCCESS);
    CHECK_SAYS(lock);
    CHECK(exists(lock) && exists(test_path("target")));
    CHECK_EQ(unlink(lock), 0);

    CHECK_EQ(mkdir(lock, 0700), 0);
    CHECK(try_listen(path) != TACHYON_SUCCESS);
    CHECK_SAYS(lock);
    CHECK(exists(lock));
    CHECK_EQ(rmdir(lock), 0);
    CHECK(!exists(path));
    CHECK_OK(try_listen(path));
}

TEST(a_lock_that_is_held_means_another_listener) {
    const char *path = test_path("bus"), *lock = lock_of(path);
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 01600);
    CHECK_EQ(flock(fd, LOCK_EX), 0);
    CHECK_ERROR(try_listen(path), TACHYON_ERR_ADDR_IN_USE);
    CHECK_SAYS("another listener");
    CHECK(exists(lock));
    close(fd);
    CHECK_OK(try_listen(path)); /* left by one that died */
    CHECK(!exists(lock));
}

TEST(releasing_leaves_a_file_that_somebody_put_in_place) {
    const char *path = test_path("bus");
    struct address address;
    CHECK_OK(ty_address_listen(&address, path, 0600));
    CHECK_EQ(unlink(path), 0);
    write_file(path, "somebody's");
    ty_address_release(&address);
    expect_file(path, "somebody's");
    CHECK_EQ(unlink(path), 0);
}

TEST(releasing_leaves_a_lock_that_somebody_put_in_place) {
    const char *path = test_path("bus");
    struct address address;
    CHECK_OK(ty_address_listen(&address, path, 0600));
    CHECK_EQ(unlink(lock_of(path)), 0);
    write_file(lock_of(path), "somebody's");
    ty_address_release(&address);
    expect_file(lock_of(path), "somebody's");
    CHECK(!exists(path));
}

/* Each name leads, from here, to the same socket. */
static const char *relative_paths[] = {"bus", "./bus", "../one/bus", "one/../bus"};

TEST(a_relative_path_means_the_directory_of_the_listen_whatever_chdir_does) {
    char here[4096];
    CHECK(getcwd(here, sizeof here));
    const char *one = test_path("one"), *two = test_path("two");
    CHECK_EQ(mkdir(one, 0700), 0);
    CHECK_EQ(mkdir(two, 0700), 0);
    CHECK_EQ(mkdir(test_path("one/one"), 0700), 0);
    write_file(test_path("two/bus"), "precious");
    write_file(test_path("two/bus.tachyon-lock"), "precious");
    for (size_t i = 0; i < sizeof relative_paths / sizeof relative_paths[0]; i++) {
        struct address address;
        CHECK_EQ(chdir(one), 0);
        CHECK_OK(ty_address_listen(&address, relative_paths[i], 0600));
        CHECK(exists(test_path("one/bus")) &&
              exists(test_path("one/bus.tachyon-lock")));
        expect_reachable(relative_paths[i]);
        CHECK_EQ(chdir(two), 0);
        expect_reachable(test_path("one/bus"));
        ty_address_release(&address);
        CHECK(!exists(test_path("one/bus")) &&
              !exists(test_path("one/bus.tachyon-lock")));
        expect_file(test_path("two/bus"), "precious");
        expect_file(test_path("two/bus.tachyon-lock"), "precious");
    }
    CHECK_EQ(chdir(here), 0);
}

/* As a service that shuts itself in before it opens anything. */
static void listen_in_a_new_root(void *root) {
    struct address address;
    struct stat file;
    if ((geteuid() != 0 && unshare(CLONE_NEWUSER) != 0) || chroot(root) != 0)
        _exit(EXIT_NO_CHROOT);
    CHECK_EQ(chdir("/"), 0);
    for (int i = 0; i < 4; i++) {
        umask(i / 2 ? 0777 : 022);
        tachyon_error_t error =
            ty_address_listen(&address, i % 2 ? "bus" : "/bus", 0666);
        if (error == TACHYON_ERR_CHMOD && tachyon_last_errno() == ENOSYS)
            _exit(EXIT_NO_FCHMODAT2);
        CHECK_OK(error);
        CHECK(stat("/bus", &file) == 0 && (file.st_mode & 0777) == 0666);
        expect_reachable("/bus");
        ty_address_release(&address);
        CHECK(!exists("/bus") && !exists("/bus.tachyon-lock"));
    }
}

TEST(the_socket_gets_its_mode_without_proc) {
    const char *root = test_path("root");
    CHECK_EQ(mkdir(root, 0700), 0);
    int status = test_wait(test_spawn(listen_in_a_new_root, (void *)(uintptr_t)root));
    if (status == EXIT_NO_CHROOT)
        test_skip("this user may not chroot here");
    if (status == EXIT_NO_FCHMODAT2)
        test_skip("the kernel is older than 6.6");
    CHECK_EQ(status, 0);
}

TEST(a_directory_that_is_moved_away_takes_its_socket_with_it) {
    const char *path = test_path("one/bus");
    struct address address;
    CHECK_EQ(mkdir(test_path("one"), 0700), 0);
    CHECK_OK(ty_address_listen(&address, path, 0600));
    CHECK_EQ(rename(test_path("one"), test_path("moved")), 0);
    CHECK_EQ(mkdir(test_path("one"), 0700), 0);
    write_file(path, "precious");
    write_file(test_path("one/bus.tachyon-lock"), "precious");
    ty_address_release(&address);
    expect_file(path, "precious");
    expect_file(test_path("one/bus.tachyon-lock"), "precious");
    CHECK(!exists(test_path("moved/bus")));
    CHECK_EQ(rmdir(test_path("moved")), 0); /* it is empty */
}

TEST(a_path_that_ends_in_a_slash_is_refused) {
    int client;
    CHECK_ERROR(try_listen(test_path("")), TACHYON_ERR_INVALID_SZ);
    CHECK_SAYS("names a directory");
    CHECK_ERROR(ty_address_connect("/", -1, &client), TACHYON_ERR_INVALID_SZ);
}

TEST(fault_9_the_mode_is_exact_whatever_the_umask) {
    static const uint32_t modes[] = {0600, 0660, 0666, 0622, 0700};
    static const mode_t masks[] = {0, 022, 077, 0777};
    const char *path = test_path("bus");
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        for (size_t m = 0; m < sizeof masks / sizeof masks[0]; m++) {
            struct address address;
            struct stat stat;
            umask(masks[m]);
            CHECK_OK(ty_address_listen(&address, path, modes[i]));
            CHECK_EQ(lstat(path, &stat), 0);
            CHECK_EQ(stat.st_mode & 07777, modes[i]);
            CHECK_EQ(lstat(lock_of(path), &stat), 0);
            CHECK_EQ(stat.st_mode & 077, 0);
            ty_address_release(&address);
        }
}

TEST(an_abstract_name_needs_no_file) {
    char name[64];
    struct address address, second;
    int client;
    snprintf(name, sizeof name, "@tachyon-test-%d", (int)getpid());
    CHECK_ERROR(ty_address_connect(name, -1, &client), TACHYON_ERR_NETWORK);
    CHECK_SAYS(name);
    CHECK_OK(ty_address_listen(&address, name, 0600));
    CHECK_EQ(address.lock, -1);
    CHECK(!exists(name) && !exists(name + 1));
    expect_reachable(name);
    CHECK_ERROR(ty_address_listen(&second, name, 0600), TACHYON_ERR_ADDR_IN_USE);
    CHECK_SAYS(name);
    expect_reachable(name);
    ty_address_release(&address);
    CHECK_ERROR(ty_address_connect(name, -1, &client), TACHYON_ERR_NETWORK);
    CHECK_OK(try_listen(name));
}

TEST(connecting_to_what_is_no_listener_is_a_network_error) {
    const char *path = test_path("file");
    int client;
    CHECK_ERROR(ty_address_connect(path, -1, &client), TACHYON_ERR_NETWORK);
    CHECK_EQ(tachyon_last_errno(), ENOENT);
    write_file(path, "precious");
    CHECK_ERROR(ty_address_connect(path, -1, &client), TACHYON_ERR_NETWORK);
    CHECK_EQ(tachyon_last_errno(), ECONNREFUSED);
    CHECK_SAYS(path);
    CHECK_EQ(client, -1);
    expect_file(path, "precious");
}

/* ---- Many at once ---- */

#define STARTERS 200

struct starters {
    const char *path;
    int start[2], told[2];
};

static void start_listening(void *context) {
    struct starters *starters = context;
    struct address address;
    char byte;
    close(starters->start[1]);
    CHECK_EQ(read(starters->start[0], &byte, 1), 0); /* until all are there */
    tachyon_error_t error = ty_address_listen(&address, starters->path, 0600);
    if (error != TACHYON_SUCCESS && error != TACHYON_ERR_ADDR_IN_USE)
        FAIL("a loser is told %s", tachyon_last_error_message());
    CHECK_EQ(write(starters->told[1], error ? "lost" : "won!", 4), 4);
    for (;;)
        pause();
}

TEST(of_200_that_start_at_once_exactly_one_wins) {
    for (int round = 0; round < 4; round++) {
        /* All but the first find what the winner before them has left at the path. */
        struct starters starters = {.path = test_path(round < 2 ? "a" : "b")};
        pid_t pids[STARTERS];
        int won = 0;
        CHECK_EQ(pipe2(starters.start, O_CLOEXEC), 0);
        CHECK_EQ(pipe2(starters.told, O_CLOEXEC), 0);
        for (int i = 0; i < STARTERS; i++)
            pids[i] = test_spawn(start_listening, &starters);
        close(starters.start[0]);
        close(starters.start[1]);
        close(starters.told[1]);
        for (int i = 0; i < STARTERS; i++) {
            char result[4];
            CHECK_EQ(read(starters.told[0], result, 4), 4);
            won += memcmp(result, "won!", 4) == 0;
        }
        CHECK_EQ(won, 1);
        expect_reachable(starters.path);
        for (int i = 0; i < STARTERS; i++) {
            CHECK_EQ(kill(pids[i], SIGKILL), 0);
            CHECK_EQ(test_wait(pids[i]), -SIGKILL);
        }
        close(starters.told[0]);
    }
}

static void *listen_and_release(void *context) {
    const char *path = context;
    uintptr_t won = 0;
    for (int i = 0; i < 2000; i++) {
        struct address address;
        tachyon_error_t error = ty_address_listen(&address, path, 0600);
        if (error == TACHYON_SUCCESS) {
            won++;
            expect_reachable(path);
            ty_address_release(&address);
        } else if (error != TACHYON_ERR_ADDR_IN_USE) {
            FAIL("%s", tachyon_last_error_message());
        }
    }
    return (void *)won;
}

TEST(listeners_that_come_and_go_never_share_a_path) {
    /* expect_reachable() fails if another one has removed or replaced the socket.
     */
    const char *path = test_path("bus");
    pthread_t threads[4];
    uintptr_t won = 0;
    for (int i = 0; i < 4; i++)
        threads[i] = test_thread(listen_and_release, (void *)(uintptr_t)path);
    for (int i = 0; i < 4; i++)
        won += (uintptr_t)test_join(threads[i]);
    CHECK(won > 0);
    CHECK(!exists(path) && !exists(lock_of(path)));
}

/* ---- Without rights ---- */

static void make_socket(const char *path, mode_t mode, int *out_listening) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    strcpy(name.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
    CHECK_EQ(chmod(path, mode), 0);
    CHECK_EQ(listen(fd, 1), 0);
    if (out_listening)
        *out_listening = fd;
    else
        close(fd);
}

static void become_nobody(void) {
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
        _exit(77);
}

/* Root asks whatever the mode is; who is not root must be tried too. */
static void replace_whatever_its_mode(void *context) {
    static const mode_t modes[] = {0, 0400, 0500, 0477, 0100, 0200, 0600, 0777};
    const char *path = context;
    become_nobody();
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        struct stat stat;
        int other;
        make_socket(path, modes[i], NULL);
        CHECK_OK(try_listen(path));
        CHECK(!exists(path));
        make_socket(path, modes[i], &other);
        CHECK_ERROR(try_listen(path), TACHYON_ERR_ADDR_IN_USE);
        CHECK_SAYS("another program listens");
        CHECK_EQ(lstat(path, &stat), 0);
        CHECK_EQ(stat.st_mode & 07777, modes[i]);
        close(other);
        CHECK_EQ(unlink(path), 0);
    }
}

static void be_killed_while_listening(void *context) {
    struct address address;
    become_nobody();
    umask(0777);
    CHECK_OK(ty_address_listen(&address, context, 0600));
    raise(SIGKILL);
}

static void listen_where_one_was_killed(void *context) {
    become_nobody();
    umask(0777);
    CHECK_OK(try_listen(context));
    CHECK(!exists(context) && !exists(test_path("d/bus.tachyon-lock")));
}

static int run_in_open_directory(void (*body)(void *), const char *path) {
    char directory[256];
    snprintf(directory, sizeof directory, "%s", path);
    *strrchr(directory, '/') = '\0';
    if (mkdir(directory, 0700) != 0 || chmod(directory, 0777) != 0 ||
        chmod(test_path("."), 0755) != 0)
        FAIL("cannot make %s", directory);
    return test_wait(test_spawn(body, (void *)(uintptr_t)path));
}

TEST(a_stale_socket_is_told_from_a_live_one_whatever_its_mode) {
    int status = run_in_open_directory(replace_whatever_its_mode, test_path("d/bus"));
    if (status == 77)
        test_skip("cannot become somebody else");
    CHECK_EQ(status, 0);
}

TEST(what_a_killed_listener_leaves_is_replaced_whatever_its_umask) {
    const char *path = test_path("d/bus");
    int status = run_in_open_directory(be_killed_while_listening, path);
    if (status == 77)
        test_skip("cannot become somebody else");
    CHECK_EQ(status, -SIGKILL);
    CHECK(exists(path) && exists(test_path("d/bus.tachyon-lock")));
    pid_t pid = test_spawn(listen_where_one_was_killed, (void *)(uintptr_t)path);
    CHECK_EQ(test_wait(pid), 0);
}

static void ask_of_another_user(void *context) {
    const char *path = context;
    become_nobody();
    CHECK_ERROR(try_listen(path), TACHYON_ERR_PERMISSION);
    CHECK_SAYS("may be in use");
    CHECK_SAYS("mode 0600, user id 0");
    CHECK(exists(path));
}

TEST(a_socket_of_another_user_is_not_said_to_be_listened_on) {
    if (geteuid() != 0)
        test_skip("needs root, to become somebody else");
    const char *path = test_path("d/bus");
    CHECK_EQ(mkdir(test_path("d"), 0700), 0);
    make_socket(path, 0600, NULL);
    CHECK_EQ(chmod(test_path("d"), 0777), 0);
    CHECK_EQ(chmod(test_path("."), 0755), 0);
    int status = test_wait(test_spawn(ask_of_another_user, (void *)(uintptr_t)path));
    if (status == 77)
        test_skip("cannot become somebody else");
    CHECK_EQ(status, 0);
}

static void as_nobody(void *context) {
    const char *path = context;
    int client;
    if (setgid(65534) != 0 || setuid(65534) != 0)
        _exit(77);
    CHECK_ERROR(try_listen(path), TACHYON_ERR_PERMISSION);
    CHECK_EQ(tachyon_last_errno(), EACCES);
    CHECK_SAYS(path);
    CHECK_ERROR(ty_address_connect(path, -1, &client), TACHYON_ERR_PERMISSION);
    CHECK_EQ(tachyon_last_errno(), EACCES);
}

TEST(a_directory_that_is_closed_to_us_is_a_permission_error) {
    if (geteuid() != 0)
        test_skip("needs root, to become somebody else");
    const char *path = test_path("bus"); /* the test's directory has mode 0700 */
    pid_t pid = test_spawn(as_nobody, (void *)(uintptr_t)path);
    int status = test_wait(pid);
    if (status == 77)
        test_skip("cannot become somebody else");
    CHECK_EQ(status, 0);
}
