/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets, memory files, their mappings and time without a kernel: a handshake of a
 * target then takes a microsecond, not fifty. The linker's --wrap puts these functions
 * in front of those of libc and os.c; test_sockets.c compares them with the kernel's.
 * Descriptors count from FIRST_FD, and what belongs to others goes on to the kernel.
 *
 * Stricter than a kernel: nothing may block, raise SIGPIPE, survive exec, be closed
 * twice, or be mapped beyond its end. What is unmapped is poisoned.
 */
#include "sockets.h"

#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if __has_include(<sanitizer/asan_interface.h>)
#include <sanitizer/asan_interface.h> /* does nothing without AddressSanitizer */
#else
#define ASAN_POISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

#define FIRST_FD 4096
#define MOST_FDS 128u
#define MOST_FILES 128u
#define QUEUE_BYTES 1024u
#define QUEUE_GIFTS 16u
#define GIFT_FDS 8u /* descriptors in one message */

/* Descriptors that travel with the bytes of one message. */
struct gift {
    uint64_t begin, end;
    size_t count;
    struct file *files[GIFT_FDS];
};

struct file {
    unsigned references;
    mode_t type; /* S_IFMT */
    /* a socket's end */
    struct file *peer; /* NULL: closed */
    bool no_more_in, no_more_out;
    bool reset; /* the peer has closed without reading all */
    uint64_t read, written;
    uint8_t bytes[QUEUE_BYTES];
    size_t gift_count;
    struct gift gifts[QUEUE_GIFTS];
    /* a memory file */
    ino_t number;
    off_t size;
    blkcnt_t blocks;
    int seals;
};

static struct file files[MOST_FILES];
static struct file *open_files[MOST_FDS];

/* ---- Descriptors ---- */

static struct file *file_of(int fd) {
    return fd >= FIRST_FD && fd < FIRST_FD + (int)MOST_FDS ? open_files[fd - FIRST_FD]
                                                           : NULL;
}

static struct file *make_file(mode_t type) {
    static ino_t number;
    for (size_t i = 0; i < MOST_FILES; i++) {
        struct file *file = &files[i];
        if (file->references > 0)
            continue;
        file->type = type;
        file->peer = NULL;
        file->no_more_in = file->no_more_out = file->reset = false;
        file->read = file->written = file->gift_count = 0;
        file->number = ++number;
        file->size = 0;
        file->blocks = 0;
        return file;
    }
    FAIL("more than %u files", MOST_FILES);
}

static int open_file(struct file *file) {
    for (size_t i = 0; i < MOST_FDS; i++)
        if (!open_files[i]) {
            open_files[i] = file;
            file->references++;
            return FIRST_FD + (int)i;
        }
    FAIL("more than %u descriptors", MOST_FDS);
}

static void release(struct file *file) {
    if (--file->references > 0)
        return;
    if (file->peer) {
        file->peer->no_more_in = file->peer->no_more_out = true;
        file->peer->reset = file->read < file->written;
        file->peer->peer = NULL;
    }
    for (size_t i = 0; i < file->gift_count; i++)
        for (size_t j = 0; j < file->gifts[i].count; j++)
            release(file->gifts[i].files[j]);
    file->gift_count = 0;
}

size_t __wrap_fuzz_count_fds(void) {
    size_t count = 0;
    for (size_t i = 0; i < MOST_FDS; i++)
        count += open_files[i] != NULL;
    return count;
}

static int failed(int error) {
    errno = error;
    return -1;
}

int __wrap_close(int fd) {
    if (fd < FIRST_FD)
        return __real_close(fd);
    struct file *file = file_of(fd);
    if (!file)
        FAIL("closes descriptor %d, which is not open", fd);
    open_files[fd - FIRST_FD] = NULL;
    release(file);
    return 0;
}

int __wrap_fstat(int fd, struct stat *out) {
    const struct file *file = file_of(fd);
    if (!file)
        return __real_fstat(fd, out);
    *out = (struct stat){.st_mode = file->type | 0600,
                         .st_ino = file->number,
                         .st_size = file->size,
                         .st_blocks = file->blocks};
    return 0;
}

/* A directory is what the targets pass where memory is expected. */
int __wrap_open(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return flags & O_DIRECTORY ? open_file(make_file(S_IFDIR))
                               : __real_open(path, flags, mode);
}

int __wrap_pipe2(int ends[2], int flags) {
    CHECK(flags & O_CLOEXEC);
    for (int i = 0; i < 2; i++)
        ends[i] = open_file(make_file(S_IFIFO));
    return 0;
}

/* ---- Sockets ---- */

int __wrap_socketpair(int domain, int type, int protocol, int ends[2]) {
    struct file *both[2];
    (void)domain, (void)protocol;
    CHECK(type & SOCK_CLOEXEC);
    for (int i = 0; i < 2; i++) {
        ends[i] = open_file(make_file(S_IFSOCK));
        both[i] = file_of(ends[i]);
    }
    both[0]->peer = both[1];
    both[1]->peer = both[0];
    return 0;
}

int __wrap_shutdown(int fd, int how) {
    struct file *file = file_of(fd);
    if (!file)
        return __real_shutdown(fd, how);
    bool in = how != SHUT_WR, out = how != SHUT_RD;
    file->no_more_in |= in;
    file->no_more_out |= out;
    if (file->peer) {
        file->peer->no_more_in |= out;
        file->peer->no_more_out |= in;
    }
    return 0;
}

int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *length) {
    const struct file *file = file_of(fd);
    if (!file)
        return __real_getsockopt(fd, level, option, value, length);
    static struct ucred ourselves;
    if (ourselves.pid == 0)
        ourselves = (struct ucred){.pid = getpid(), .uid = geteuid()};
    if (option == SO_PEERCRED)
        *(struct ucred *)value = ourselves;
    else if (option == SO_PEERPIDFD)
        *(int *)value = open_file(make_file(S_IFREG));
    else
        return failed(ENOPROTOOPT);
    return 0;
}

/* Out of the queue or into it; it may run over the end. */
static void copy(struct file *file, uint64_t position, uint8_t *out, const uint8_t *in,
                 size_t size) {
    size_t at = position % QUEUE_BYTES;
    size_t first = size < QUEUE_BYTES - at ? size : QUEUE_BYTES - at;
    if (out) {
        memcpy(out, file->bytes + at, first);
        memcpy(out + first, file->bytes, size - first);
    } else if (in) {
        memcpy(file->bytes + at, in, first);
        memcpy(file->bytes, in + first, size - first);
    }
}

static ssize_t take(struct file *file, uint8_t *out, size_t size, struct gift *gift,
                    int flags) {
    if (file->read == file->written) {
        int error = file->reset ? ECONNRESET : EAGAIN;
        if (file->no_more_in && !file->reset)
            return 0;
        file->reset = false; /* told once */
        return failed(error);
    }
    uint64_t end = file->written;
    bool given = file->gift_count > 0 && file->gifts[0].begin < file->read + size;
    if (given)
        end = file->gifts[0].end; /* a read ends behind a message with descriptors */
    if (size > end - file->read)
        size = (size_t)(end - file->read);
    copy(file, file->read, out, NULL, size);
    if (flags & MSG_PEEK)
        return (ssize_t)size;
    file->read += size;
    if (given) {
        *gift = file->gifts[0];
        memmove(&file->gifts[0], &file->gifts[1],
                --file->gift_count * sizeof file->gifts[0]);
    }
    return (ssize_t)size;
}

static void check_never_blocks(int fd, int flags) {
    if (!(flags & MSG_DONTWAIT))
        FAIL("a call on descriptor %d may block", fd);
}

ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags) {
    struct file *file = file_of(fd);
    struct gift gift = {.count = 0};
    if (!file)
        return __real_recv(fd, bytes, size, flags);
    check_never_blocks(fd, flags);
    ssize_t count = take(file, bytes, size, &gift, flags);
    for (size_t i = 0; i < gift.count; i++)
        release(gift.files[i]); /* nobody asked for them */
    return count;
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags) {
    struct file *file = file_of(fd);
    struct gift gift = {.count = 0};
    if (!file)
        return __real_recvmsg(fd, message, flags);
    check_never_blocks(fd, flags);
    CHECK(message->msg_iovlen == 1 && flags & MSG_CMSG_CLOEXEC);
    ssize_t count = take(file, message->msg_iov[0].iov_base,
                         message->msg_iov[0].iov_len, &gift, flags);
    if (count < 0)
        return count;
    size_t room = message->msg_controllen < CMSG_LEN(sizeof(int))
                      ? 0
                      : (message->msg_controllen - CMSG_LEN(0)) / sizeof(int);
    size_t most = gift.count < room ? gift.count : room;
    message->msg_flags = most < gift.count ? MSG_CTRUNC : 0;
    if (most > 0) {
        struct cmsghdr *header = message->msg_control;
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(most * sizeof(int));
        for (size_t i = 0; i < most; i++) {
            int passed = open_file(gift.files[i]);
            memcpy(CMSG_DATA(header) + i * sizeof passed, &passed, sizeof passed);
        }
    }
    message->msg_controllen = most > 0 ? CMSG_SPACE(most * sizeof(int)) : 0;
    for (size_t i = 0; i < gift.count; i++)
        release(gift.files[i]); /* the reference of the message */
    return count;
}

static ssize_t put(int fd, const uint8_t *bytes, size_t size, const struct gift *gift,
                   int flags) {
    struct file *file = file_of(fd), *peer = file->peer;
    check_never_blocks(fd, flags);
    if (!(flags & MSG_NOSIGNAL))
        FAIL("a send on descriptor %d may raise SIGPIPE", fd);
    if (file->no_more_out)
        return failed(EPIPE);
    size_t room = QUEUE_BYTES - (size_t)(peer->written - peer->read);
    if (room < size || (gift->count > 0 && peer->gift_count == QUEUE_GIFTS))
        return failed(EAGAIN);
    copy(peer, peer->written, NULL, bytes, size);
    if (gift->count > 0) {
        struct gift *put = &peer->gifts[peer->gift_count++];
        *put = *gift;
        put->begin = peer->written;
        put->end = peer->written + size;
        for (size_t i = 0; i < gift->count; i++)
            gift->files[i]->references++;
    }
    peer->written += size;
    return (ssize_t)size;
}

ssize_t __wrap_send(int fd, const void *bytes, size_t size, int flags) {
    return file_of(fd) ? put(fd, bytes, size, &(struct gift){.count = 0}, flags)
                       : __real_send(fd, bytes, size, flags);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags) {
    if (!file_of(fd))
        return __real_sendmsg(fd, message, flags);
    struct gift gift = {.count = 0};
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    uint8_t gathered[QUEUE_BYTES];
    size_t size = 0;
    for (size_t i = 0; i < (size_t)message->msg_iovlen; i++) {
        CHECK(message->msg_iov[i].iov_len <= sizeof gathered - size);
        memcpy(gathered + size, message->msg_iov[i].iov_base,
               message->msg_iov[i].iov_len);
        size += message->msg_iov[i].iov_len;
    }
    if (header) {
        CHECK(header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS);
        gift.count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        CHECK(gift.count <= GIFT_FDS);
    }
    for (size_t i = 0; i < gift.count; i++) {
        int passed;
        memcpy(&passed, CMSG_DATA(header) + i * sizeof passed, sizeof passed);
        gift.files[i] = file_of(passed);
        if (!gift.files[i])
            return failed(EBADF);
    }
    return put(fd, gathered, size, &gift, flags);
}

/* Time only passes when it is asked for, so that an input always does the same. */
int64_t __wrap_ty_now_ns(void) {
    static int64_t now = 1000000000;
    return now += 100;
}

/* What is not ready now never will be. */
int __wrap_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                 const sigset_t *signals) {
    int ready = 0;
    for (nfds_t i = 0; i < count; i++) {
        const struct file *file = file_of(fds[i].fd);
        fds[i].revents = 0;
        if (!file && fds[i].fd >= 0)
            return __real_ppoll(fds, count, timeout, signals);
        if (!file || file->type != S_IFSOCK)
            continue;
        if (file->read < file->written || file->no_more_in)
            fds[i].revents |= fds[i].events & POLLIN;
        if (file->no_more_in && file->no_more_out)
            fds[i].revents |= POLLHUP;
        if (file->reset)
            fds[i].revents |= POLLERR;
        ready += fds[i].revents != 0;
    }
    if (ready == 0 && !timeout)
        FAIL("sleeps for ever on %zu descriptors", (size_t)count);
    return ready;
}

/* Each sleep masks the signals and lets them in again: two calls that matter to no
 * target. */
int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *before) {
    static sigset_t mask;
    CHECK(how == SIG_SETMASK);
    if (before)
        *before = mask;
    mask = *set;
    return 0;
}

/* Nobody polls it here. */
int __wrap_epoll_create1(int flags) {
    CHECK(flags & EPOLL_CLOEXEC);
    return open_file(make_file(S_IFCHR));
}

int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event) {
    if (!file_of(epoll))
        return __real_epoll_ctl(epoll, operation, fd, event);
    CHECK(file_of(fd) && (operation == EPOLL_CTL_ADD || operation == EPOLL_CTL_MOD));
    return 0;
}

long __wrap_syscall(long number, ...) {
    long value[6];
    va_list arguments;
    va_start(arguments, number);
    for (int i = 0; i < 6; i++)
        value[i] = va_arg(arguments, long);
    va_end(arguments);
    return number == SYS_membarrier
               ? 0
               : __real_syscall(number, value[0], value[1], value[2], value[3],
                                value[4], value[5]);
}

/* ---- Memory files ---- */

int __wrap_memfd_create(const char *name, unsigned flags) {
    if (strcmp(name, "arena") == 0) /* what the targets themselves stand on */
        return __real_memfd_create(name, flags);
    CHECK(flags & MFD_CLOEXEC);
    struct file *file = make_file(S_IFREG);
    file->seals = flags & MFD_ALLOW_SEALING ? 0 : F_SEAL_SEAL;
    return open_file(file);
}

static int resize(struct file *file, off_t size) {
    if ((size < file->size && file->seals & F_SEAL_SHRINK) ||
        (size > file->size && file->seals & F_SEAL_GROW))
        return failed(EPERM);
    file->size = size;
    return 0;
}

int __wrap_ftruncate(int fd, off_t size) {
    struct file *file = file_of(fd);
    return file ? resize(file, size) : __real_ftruncate(fd, size);
}

int __wrap_fallocate(int fd, int mode, off_t offset, off_t length) {
    struct file *file = file_of(fd);
    if (!file)
        return __real_fallocate(fd, mode, offset, length);
    CHECK(mode == 0 && offset == 0);
    if (length > file->size && resize(file, length) != 0)
        return -1;
    const off_t page = 4096;
    file->blocks = (length + page - 1) / page * page / 512;
    return 0;
}

int __wrap_fcntl(int fd, int command, ...) {
    va_list arguments;
    va_start(arguments, command);
    int value = va_arg(arguments, int);
    va_end(arguments);
    struct file *file = file_of(fd);
    if (!file)
        return __real_fcntl(fd, command, value);
    if (file->type != S_IFREG)
        return failed(EINVAL);
    if (command == F_GET_SEALS)
        return file->seals;
    CHECK(command == F_ADD_SEALS);
    if (file->seals & F_SEAL_SEAL)
        return failed(EPERM);
    file->seals |= value;
    return 0;
}

/* ---- Mappings ---- */

/* Room for one region of the core: data that is really mapped twice, once and for all,
 * between two inaccessible pages; poisoned while nothing is mapped there. */
struct window {
    struct arena arena;
    size_t capacity;
    bool taken;
};

static struct window windows[] = {
    {.capacity = FUZZ_CAPACITY},
    {.capacity = FUZZ_CAPACITY},
    {.capacity = 2 * FUZZ_CAPACITY},
    {.capacity = 2 * FUZZ_CAPACITY},
};

static size_t window_bytes(const struct window *window) {
    return RING_SHARED_BYTES + 2 * window->capacity;
}

static struct window *window_at(const void *address, size_t size) {
    for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
        const uint8_t *begin = (const uint8_t *)windows[i].arena.shared;
        if (windows[i].taken && (const uint8_t *)address >= begin &&
            (const uint8_t *)address + size <= begin + window_bytes(&windows[i]))
            return &windows[i];
    }
    return NULL;
}

static void *reserve(size_t size) {
    for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
        struct window *window = &windows[i];
        if (window_bytes(window) != size || window->taken)
            continue;
        if (!window->arena.base) {
            window->arena = arena_make(window->capacity);
            ASAN_POISON_MEMORY_REGION(window->arena.shared, size);
        }
        window->taken = true;
        return window->arena.shared;
    }
    return NULL;
}

void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd,
                  off_t offset) {
    void *reserved = NULL;
    if (!at && fd == -1 && protection == PROT_NONE)
        reserved = reserve(size);
    if (reserved)
        return reserved;
    const struct file *file = file_of(fd);
    if (!file)
        return __real_mmap(at, size, protection, flags, fd, offset);
    const struct window *window = window_at(at, size);
    CHECK(window && flags & MAP_FIXED && flags & MAP_SHARED);
    size_t from = (size_t)((uint8_t *)at - (uint8_t *)window->arena.shared);
    /* A ring in one file, or the data of a broadcast, which nobody can write later. */
    bool data = file->seals & F_SEAL_FUTURE_WRITE;
    if (data && protection & PROT_WRITE) {
        errno = EPERM;
        return MAP_FAILED;
    }
    size_t first = (size_t)offset + (data ? RING_SHARED_BYTES : 0);
    CHECK(first == from || first + window->capacity == from);
    if (file->type != S_IFREG || offset + (off_t)size > file->size)
        FAIL("maps %zu bytes from %jd on of memory of %jd", size, (intmax_t)offset,
             (intmax_t)file->size);
    ASAN_UNPOISON_MEMORY_REGION(at, size);
    return at;
}

int __wrap_munmap(void *at, size_t size) {
    struct window *window = window_at(at, 1);
    if (!window)
        return __real_munmap(at, size);
    CHECK(at == window->arena.shared && size == window_bytes(window));
    ASAN_POISON_MEMORY_REGION(at, size);
    window->taken = false;
    return 0;
}
