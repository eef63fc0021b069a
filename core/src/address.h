/* SPDX-License-Identifier: Apache-2.0 */
/* The socket path. */
#ifndef TACHYON_ADDRESS_H
#define TACHYON_ADDRESS_H

#include "error.h"

#include <sys/types.h>

struct address {
    const char *path; /* the caller's */
    int socket;       /* listening */
    int lock;         /* "<path>.lock", -1 for an abstract name */
    dev_t device;
    ino_t inode;
};

#define ADDRESS_NONE ((struct address){.socket = -1, .lock = -1})

tachyon_error_t ty_address_listen(struct address *address, const char *path,
                                  uint32_t mode);
void ty_address_release(struct address *address);
/* One try. NETWORK when nobody listens; the socket is non-blocking. */
tachyon_error_t ty_address_connect(const char *path, int *out_socket);

#endif
