/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The address: a socket path, or "@name" in the abstract namespace.
 *
 * Owns: the listening socket, its file and "<path>.lock" while listening. The lock
 * decides between listeners that start at once and is removed with the socket. A
 * socket file without a process behind it is replaced; nothing else is ever deleted.
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
#define LOCK_SUFFIX ".lock"
#define LOCK_TRIES 100 /* each lost try means that another listener just ended */

static bool is_abstract(const char *path) {
    return path[0] == '@';
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

/* ---- The lock ---- */

static void lock_path(char *out, size_t size, const char *path) {
    snprintf(out, size, "%s" LOCK_SUFFIX, path);
}

static tachyon_error_t take_lock(struct address *address) {
    char name[sizeof(struct sockaddr_un) + sizeof LOCK_SUFFIX];
    lock_path(name, sizeof name, address->path);
    for (int tries = 0; tries < LOCK_TRIES; tries++) {
        struct stat held, there;
        int fd =
            open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
        if (fd < 0)
            return fail_on_path(errno, "cannot lock", name);
        if (fstat(fd, &held) != 0 || !S_ISREG(held.st_mode) || held.st_size != 0) {
            ty_close(&fd);
            return ty_fail(TACHYON_ERR_ADDR_IN_USE, EEXIST,
                           "%s is not a lock of a listener", name);
        }
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            int refused = errno;
            ty_close(&fd);
            if (refused == EWOULDBLOCK)
                return ty_fail(TACHYON_ERR_ADDR_IN_USE, EADDRINUSE,
                               "another listener is active on %s", address->path);
            return fail_on_path(refused, "cannot lock", name);
        }
        /* Its owner may have removed it between our open and our lock. */
        if (stat(name, &there) == 0 && there.st_ino == held.st_ino &&
            there.st_dev == held.st_dev) {
            address->lock = fd;
            return TACHYON_SUCCESS;
        }
        ty_close(&fd);
    }
    return ty_fail(TACHYON_ERR_ADDR_IN_USE, EADDRINUSE,
                   "other listeners keep taking %s", address->path);
}

static void drop_lock(struct address *address) {
    char name[sizeof(struct sockaddr_un) + sizeof LOCK_SUFFIX];
    if (address->lock < 0)
        return;
    lock_path(name, sizeof name, address->path);
    unlink(name);
    ty_close(&address->lock);
}

/* ---- What stands at the path ---- */

/*
 * Is a process behind this socket file? A datagram socket cannot connect to a stream
 * socket, so asking disturbs nobody: EPROTOTYPE if it lives, ECONNREFUSED if not.
 */
static bool is_stale(const struct sockaddr_un *name, socklen_t length) {
    int probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (probe < 0)
        return false;
    bool stale = connect(probe, (const struct sockaddr *)name, length) != 0 &&
                 errno == ECONNREFUSED;
    ty_close(&probe);
    return stale;
}

static tachyon_error_t clear_path(const char *path, const struct sockaddr_un *name,
                                  socklen_t length) {
    struct stat found;
    if (lstat(path, &found) != 0)
        return TACHYON_SUCCESS; /* bind will tell, if it matters */
    if (!S_ISSOCK(found.st_mode))
        return ty_fail(TACHYON_ERR_ADDR_IN_USE, EEXIST,
                       "a file that is no socket stands at %s", path);
    if (!is_stale(name, length))
        return ty_fail(TACHYON_ERR_ADDR_IN_USE, EADDRINUSE,
                       "another program listens on %s", path);
    if (unlink(path) != 0 && errno != ENOENT)
        return fail_on_path(errno, "cannot replace the stale socket", path);
    return TACHYON_SUCCESS;
}

/* ---- Listening and connecting ---- */

tachyon_error_t ty_address_listen(struct address *address, const char *path,
                                  uint32_t mode) {
    struct sockaddr_un name;
    socklen_t length = 0;
    struct stat bound = {0};
    *address = ADDRESS_NONE;
    address->path = path;
    tachyon_error_t error = parse(path, &name, &length);
    if (error != TACHYON_SUCCESS)
        return error;

    if (!is_abstract(path) &&
        ((error = take_lock(address)) != TACHYON_SUCCESS ||
         (error = clear_path(path, &name, length)) != TACHYON_SUCCESS))
        goto fail;
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
    if (!is_abstract(path)) {
        if (lstat(path, &bound) == 0) {
            address->device = bound.st_dev;
            address->inode = bound.st_ino;
        }
        /* Exactly, whatever the umask. */
        if ((bound.st_mode & 0777) != mode && chmod(path, mode) != 0) {
            error = ty_fail(TACHYON_ERR_CHMOD, errno, "cannot set mode %04o of %s",
                            mode, path);
            goto fail;
        }
    }
    if (listen(address->socket, BACKLOG) != 0) {
        error = fail_on_path(errno, "cannot listen on", path);
        goto fail;
    }
    return TACHYON_SUCCESS;

fail:
    ty_address_release(address);
    return error;
}

/* Stop listening and remove what listening has put there. */
void ty_address_release(struct address *address) {
    struct stat found;
    if (address->inode != 0 && lstat(address->path, &found) == 0 &&
        found.st_ino == address->inode && found.st_dev == address->device)
        unlink(address->path);
    address->inode = 0;
    ty_close(&address->socket);
    drop_lock(address);
}

tachyon_error_t ty_address_connect(const char *path, int *out_socket) {
    struct sockaddr_un name;
    socklen_t length = 0;
    *out_socket = -1;
    tachyon_error_t error = parse(path, &name, &length);
    if (error != TACHYON_SUCCESS)
        return error;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return ty_fail(TACHYON_ERR_NETWORK, errno, "cannot create a socket");
    if (connect(fd, (struct sockaddr *)&name, length) != 0) {
        int refused = errno;
        ty_close(&fd);
        return fail_on_path(refused,
                            refused == EAGAIN ? "too many clients wait for"
                                              : "cannot connect to",
                            path);
    }
    *out_socket = fd;
    return TACHYON_SUCCESS;
}
