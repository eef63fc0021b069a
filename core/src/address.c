/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The address: a socket path, or "@name" in the abstract namespace.
 *
 * Owns: the listening socket, its file and "<path>.tachyon-lock" while listening. The
 * lock decides between listeners that start at once and is removed with the socket. A
 * socket file without a process behind it is replaced; nothing else is ever deleted.
 *
 * Everything is done in the directory that was opened at first, so that neither a
 * chdir() of the process nor a directory that is moved leads to the files of somebody
 * else, and a file is deleted only while its name leads to the very inode that is held
 * open (an inode that is held is not used anew). Between that look and the unlink() the
 * kernel leaves a gap; what may stand in it is somebody who writes into our directory
 * and follows none of this.
 */
#include "address.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 128
#define LOCK_SUFFIX ".tachyon-lock"
#define LOCK_TRIES 100 /* each lost try means that another listener just ended */
/* The mode with which a lock comes into being. The sticky bit means nothing on a file,
 * and so tells ours from a file that merely has this name, from its first moment on. */
#define LOCK_MODE (S_ISVTX | 0600)

_Static_assert(sizeof((struct address *)0)->path ==
                   sizeof((struct sockaddr_un *)0)->sun_path,
               "a path that fits one fits the other");

static bool is_abstract(const char *path) {
    return path[0] == '@';
}

/* The part behind the last slash. */
static const char *name_in_directory(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The part before it, as open() takes it. */
static void directory_of(const char *path, char *out, size_t size) {
    int length = (int)(name_in_directory(path) - path);
    snprintf(out, size, "%.*s", length > 0 ? length : 1, length > 0 ? path : ".");
}

static tachyon_error_t parse(const char *path, struct sockaddr_un *name,
                             socklen_t *length) {
    size_t bytes = strlen(path);
    *name = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (bytes == 0 || (is_abstract(path) && bytes == 1))
        return ty_fail(TACHYON_ERR_INVALID_SZ, 0, "the socket path is empty");
    if (bytes >= sizeof name->sun_path)
        return ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                       "the socket path has %zu bytes, more than %zu: %.64s...", bytes,
                       sizeof name->sun_path - 1, path);
    if (!is_abstract(path) && path[bytes - 1] == '/')
        return ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                       "the socket path names a directory: %s", path);
    memcpy(name->sun_path, path, bytes);
    *length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes + 1);
    if (is_abstract(path)) {
        name->sun_path[0] = '\0';
        *length -= 1; /* an abstract name has no terminator */
    }
    return TACHYON_SUCCESS;
}

static tachyon_error_t fail_on_path(int system, const char *what, const char *path) {
    tachyon_error_t error = system == EACCES || system == EPERM ? TACHYON_ERR_PERMISSION
                            : system == EADDRINUSE ? TACHYON_ERR_ADDR_IN_USE
                                                   : TACHYON_ERR_NETWORK;
    return ty_fail(error, system, "%s %s", what, path);
}

/* ---- Files ---- */

/* Does the name still lead to what is open as fd? */
static bool leads_to(const struct address *address, const char *name, int fd) {
    struct stat held, there;
    return fstat(fd, &held) == 0 &&
           fstatat(address->directory, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
           held.st_ino == there.st_ino && held.st_dev == there.st_dev;
}

/* Of exactly this file, which may be open with O_PATH. */
static int change_mode(int fd, mode_t mode) {
    char link[64];
    snprintf(link, sizeof link, "/proc/thread-self/fd/%d", fd);
    int changed = chmod(link, mode);
    /* Without /proc, as after a chroot(), newer kernels know another way. */
    return changed != 0 && errno == ENOENT ? ty_chmod_fd(fd, mode) : changed;
}

static tachyon_error_t open_directory(struct address *address) {
    char directory[sizeof address->path + 1];
    directory_of(address->path, directory, sizeof directory);
    address->directory = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (address->directory >= 0)
        return TACHYON_SUCCESS;
    int refused = errno;
    return ty_fail(refused == EACCES ? TACHYON_ERR_PERMISSION : TACHYON_ERR_NETWORK,
                   refused, "cannot enter the directory %s of the socket %s", directory,
                   address->path);
}

/* A relative path, as seen from its directory, which is open: bind() and connect() know
 * no other way to name it. Where there is no /proc, or no room, it stays as it is. */
static void fix_relative(const char *path, int directory, struct sockaddr_un *name,
                         socklen_t *length) {
    char fixed[sizeof name->sun_path + 64];
    struct stat found;
    if (path[0] == '/')
        return;
    int bytes = snprintf(fixed, sizeof fixed, "/proc/thread-self/fd/%d/", directory);
    if (stat(fixed, &found) != 0)
        return;
    bytes += snprintf(fixed + bytes, sizeof fixed - (size_t)bytes, "%s",
                      name_in_directory(path));
    if ((size_t)bytes >= sizeof name->sun_path)
        return;
    memcpy(name->sun_path, fixed, (size_t)bytes + 1);
    *length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)bytes + 1);
}

/* ---- The lock ---- */

static void lock_name(const struct address *address, char *out, size_t size) {
    snprintf(out, size, "%s" LOCK_SUFFIX, name_in_directory(address->path));
}

static bool is_lock(int fd) {
    struct stat held;
    return fstat(fd, &held) == 0 && S_ISREG(held.st_mode) && held.st_size == 0 &&
           (held.st_mode & S_ISVTX);
}

static int open_lock(const struct address *address, const char *name) {
    const int flags = O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    int fd = openat(address->directory, name, flags, LOCK_MODE);
    if (fd >= 0 || errno != EACCES)
        return fd;
    /* Perhaps it was made under a umask that left its owner no access. */
    int file = openat(address->directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (file >= 0 && is_lock(file) && change_mode(file, LOCK_MODE) == 0)
        fd = openat(address->directory, name, flags, LOCK_MODE);
    else
        errno = EACCES;
    ty_close(&file);
    return fd;
}

static tachyon_error_t take_lock(struct address *address) {
    char name[sizeof address->path + sizeof LOCK_SUFFIX];
    lock_name(address, name, sizeof name);
    for (int tries = 0; tries < LOCK_TRIES; tries++) {
        int fd = open_lock(address, name);
        if (fd < 0)
            return ty_fail(errno == EACCES || errno == EPERM ? TACHYON_ERR_PERMISSION
                                                             : TACHYON_ERR_NETWORK,
                           errno, "cannot lock %s" LOCK_SUFFIX, address->path);
        if (!is_lock(fd)) {
            ty_close(&fd);
            return ty_fail(TACHYON_ERR_ADDR_IN_USE, EEXIST,
                           "%s" LOCK_SUFFIX " is not a lock of a listener; remove it "
                           "if nobody needs it",
                           address->path);
        }
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            int refused = errno;
            ty_close(&fd);
            if (refused == EWOULDBLOCK)
                return ty_fail(TACHYON_ERR_ADDR_IN_USE, EADDRINUSE,
                               "another listener is active on %s", address->path);
            return fail_on_path(refused, "cannot lock", address->path);
        }
        /* Its owner may have removed it between our open and our lock. */
        if (leads_to(address, name, fd)) {
            address->lock = fd;
            return TACHYON_SUCCESS;
        }
        ty_close(&fd);
    }
    return ty_fail(TACHYON_ERR_ADDR_IN_USE, EADDRINUSE,
                   "other listeners keep taking %s", address->path);
}

static void drop_lock(struct address *address) {
    char name[sizeof address->path + sizeof LOCK_SUFFIX];
    if (address->lock < 0)
        return;
    lock_name(address, name, sizeof name);
    if (leads_to(address, name, address->lock))
        unlinkat(address->directory, name, 0);
    ty_close(&address->lock);
}

/* ---- What stands at the path ---- */

/*
 * Is a process behind this socket file? A datagram socket cannot connect to a stream
 * socket, so asking disturbs nobody. 0: it lives; ECONNREFUSED: it is stale; else why
 * that cannot be told.
 */
static int ask(const struct sockaddr_un *name, socklen_t length) {
    int probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (probe < 0)
        return errno;
    int answer = connect(probe, (const struct sockaddr *)name, length) == 0 ? 0 : errno;
    ty_close(&probe);
    return answer == EPROTOTYPE ? 0 : answer;
}

/* To ask takes the right to write to the file, which its owner may give himself. */
static int ask_as_owner(int file, mode_t mode, const struct sockaddr_un *name,
                        socklen_t length) {
    int answer = ask(name, length);
    if (answer != EACCES || (mode & S_IWUSR) ||
        change_mode(file, (mode & 07777) | S_IWUSR) != 0)
        return answer;
    answer = ask(name, length);
    if (answer != ECONNREFUSED)
        change_mode(file, mode & 07777);
    return answer;
}

static tachyon_error_t replace_stale(const struct address *address, int file,
                                     const struct sockaddr_un *name, socklen_t length) {
    const char *path = address->path;
    struct stat found;
    if (fstat(file, &found) != 0)
        return fail_on_path(errno, "cannot look at", path);
    if (!S_ISSOCK(found.st_mode))
        return ty_fail(TACHYON_ERR_ADDR_IN_USE, EEXIST,
                       "a file that is no socket stands at %s", path);
    int answer = ask_as_owner(file, found.st_mode, name, length);
    if (answer == 0)
        return ty_fail(TACHYON_ERR_ADDR_IN_USE, EADDRINUSE,
                       "another program listens on %s", path);
    if (answer == EACCES || answer == EPERM)
        return ty_fail(TACHYON_ERR_PERMISSION, answer,
                       "the socket at %s (mode %04o, user id %u) may be in use: only "
                       "its owner can tell, or remove it",
                       path, (unsigned)found.st_mode & 07777, (unsigned)found.st_uid);
    if (answer != ECONNREFUSED)
        return fail_on_path(answer, "cannot find out whether anybody listens on", path);
    if (!leads_to(address, name_in_directory(path), file)) /* bind will tell */
        return TACHYON_SUCCESS;
    if (unlinkat(address->directory, name_in_directory(path), 0) != 0 &&
        errno != ENOENT)
        return fail_on_path(errno, "cannot replace the stale socket", path);
    return TACHYON_SUCCESS;
}

static tachyon_error_t clear_path(const struct address *address,
                                  const struct sockaddr_un *name, socklen_t length) {
    int file = openat(address->directory, name_in_directory(address->path),
                      O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0) /* bind will tell, if it matters */
        return errno == EMFILE || errno == ENFILE || errno == ENOMEM
                   ? fail_on_path(errno, "cannot look at", address->path)
                   : TACHYON_SUCCESS;
    tachyon_error_t error = replace_stale(address, file, name, length);
    ty_close(&file);
    return error;
}

/* ---- Listening and connecting ---- */

/* Hold the file that bind() has made, and give it its mode, whatever the umask. */
static tachyon_error_t hold_file(struct address *address, uint32_t mode) {
    struct stat bound;
    address->file = openat(address->directory, name_in_directory(address->path),
                           O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (address->file < 0) { /* bind() has made it just now, so it is ours */
        int refused = errno;
        unlinkat(address->directory, name_in_directory(address->path), 0);
        return fail_on_path(refused, "cannot hold the new socket", address->path);
    }
    if (fstat(address->file, &bound) != 0)
        return fail_on_path(errno, "cannot look at the new socket", address->path);
    if (!S_ISSOCK(bound.st_mode)) {
        ty_close(&address->file);
        return ty_fail(TACHYON_ERR_ADDR_IN_USE, EEXIST,
                       "somebody has put a file in the place of the new socket %s",
                       address->path);
    }
    if ((bound.st_mode & 0777) != mode && change_mode(address->file, mode) != 0)
        return ty_fail(TACHYON_ERR_CHMOD, errno, "cannot set mode %04o of %s", mode,
                       address->path);
    return TACHYON_SUCCESS;
}

tachyon_error_t ty_address_listen(struct address *address, const char *path,
                                  uint32_t mode) {
    struct sockaddr_un name;
    socklen_t length = 0;
    *address = ADDRESS_NONE;
    tachyon_error_t error = parse(path, &name, &length);
    if (error != TACHYON_SUCCESS)
        return error;
    memcpy(address->path, path, strlen(path) + 1);

    if (!is_abstract(path)) {
        if ((error = open_directory(address)) != TACHYON_SUCCESS)
            goto fail;
        fix_relative(path, address->directory, &name, &length);
        if ((error = take_lock(address)) != TACHYON_SUCCESS ||
            (error = clear_path(address, &name, length)) != TACHYON_SUCCESS)
            goto fail;
    }
    address->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (address->socket < 0) {
        error = ty_fail(TACHYON_ERR_NETWORK, errno, "cannot create a socket");
        goto fail;
    }
    /* Before bind, so that the file never exists with a wider mode. */
    if (fchmod(address->socket, mode & 0600) != 0) {
        error = ty_fail(TACHYON_ERR_CHMOD, errno, "cannot set the socket's mode");
        goto fail;
    }
    if (bind(address->socket, (struct sockaddr *)&name, length) != 0) {
        error = fail_on_path(errno, "cannot listen on", path);
        goto fail;
    }
    if (!is_abstract(path) && (error = hold_file(address, mode)) != TACHYON_SUCCESS)
        goto fail;
    if (listen(address->socket, BACKLOG) != 0) {
        error = fail_on_path(errno, "cannot listen on", path);
        goto fail;
    }
    return TACHYON_SUCCESS;

fail:
    ty_address_release(address);
    return error;
}

void ty_address_release(struct address *address) {
    const char *name = name_in_directory(address->path);
    if (address->file >= 0 && leads_to(address, name, address->file))
        unlinkat(address->directory, name, 0);
    ty_close(&address->socket);
    drop_lock(address);
    ty_address_close(address);
}

void ty_address_close(struct address *address) {
    ty_close(&address->socket);
    ty_close(&address->file);
    ty_close(&address->lock);
    ty_close(&address->directory);
}

tachyon_error_t ty_address_hold_start(const char *path, int *out_start) {
    *out_start = -1;
    if (path[0] == '/' || is_abstract(path))
        return TACHYON_SUCCESS;
    *out_start = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return *out_start >= 0
               ? TACHYON_SUCCESS
               : fail_on_path(errno, "cannot hold the current directory for", path);
}

/* Why there is nobody; the path begins at `start`. */
static tachyon_error_t nobody_there(const char *path, int start, int refused) {
    char directory[sizeof((struct address *)0)->path + 1];
    struct stat found;
    directory_of(path, directory, sizeof directory);
    if (!is_abstract(path) && refused == ENOENT &&
        fstatat(start, directory, &found, 0) != 0 && errno == ENOENT)
        return ty_fail(TACHYON_ERR_NETWORK, refused,
                       "there is no directory %s for the socket %s", directory, path);
    if (refused == ENOENT || refused == ECONNREFUSED)
        return ty_fail(TACHYON_ERR_NETWORK, refused,
                       "nobody listens on %s (a listener takes one peer; then its path "
                       "is free again)",
                       path);
    return fail_on_path(
        refused, refused == EAGAIN ? "too many clients wait for" : "cannot connect to",
        path);
}

/* connect(), with a relative path from `start`. 0, or why not. */
static int connect_from(int start, const char *path, int fd, struct sockaddr_un *name,
                        socklen_t length) {
    int directory = -1;
    if (start >= 0) {
        char parent[sizeof((struct address *)0)->path + 1];
        directory_of(path, parent, sizeof parent);
        directory = openat(start, parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (directory < 0)
            return errno;
        fix_relative(path, directory, name, &length);
    }
    int refused = connect(fd, (struct sockaddr *)name, length) == 0 ? 0 : errno;
    ty_close(&directory);
    return refused;
}

tachyon_error_t ty_address_connect(const char *path, int start, int *out_socket) {
    struct sockaddr_un name;
    socklen_t length = 0;
    *out_socket = -1;
    tachyon_error_t error = parse(path, &name, &length);
    if (error != TACHYON_SUCCESS)
        return error;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return ty_fail(TACHYON_ERR_NETWORK, errno, "cannot create a socket");
    int refused = connect_from(start, path, fd, &name, length);
    if (refused != 0) {
        ty_close(&fd);
        return nobody_there(path, start >= 0 ? start : AT_FDCWD, refused);
    }
    *out_socket = fd;
    return TACHYON_SUCCESS;
}
