/* SPDX-License-Identifier: Apache-2.0 */
/* The socket path. */
#ifndef TACHYON_ADDRESS_H
#define TACHYON_ADDRESS_H

#include "error.h"

struct address {
    char path[108]; /* as much as a socket's name holds */
    int directory;  /* that the file is in; -1, as the next two, for an abstract name */
    int file;       /* of the socket */
    int lock;       /* "<path>.tachyon-lock" */
    int socket;     /* listening */
};

#define ADDRESS_NONE                                                                   \
    ((struct address){.directory = -1, .file = -1, .lock = -1, .socket = -1})

tachyon_error_t ty_address_listen(struct address *address, const char *path,
                                  uint32_t mode);
/* Stop listening and remove what listening has put there. */
void ty_address_release(struct address *address);
/* Let go of it only, as a forked child must. */
void ty_address_close(struct address *address);
/* Where a path begins for those who come back to it, whatever chdir() does: a directory
 * held open, or -1 if it is not relative. */
tachyon_error_t ty_address_hold_start(const char *path, int *out_start);
/* One try, from there (-1: from where we are). NETWORK when nobody listens; the socket is
 * non-blocking. */
tachyon_error_t ty_address_connect(const char *path, int start, int *out_socket);

#endif
