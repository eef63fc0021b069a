/* SPDX-License-Identifier: Apache-2.0 */
/* rpc_server PATH: listens and answers each request with its text in upper case. */
#include <stdio.h>
#include <tachyon.h>

static int failed(const char *what) {
    fprintf(stderr, "rpc_server: %s: %s\n", what, tachyon_last_error_message());
    return 1;
}

int main(int argc, char **argv) {
    if (argc < 2)
        return fprintf(stderr, "usage: rpc_server PATH\n"), 2;
    tachyon_rpc_bus_t *rpc;
    if (tachyon_rpc_listen(argv[1], 1 << 16, 1 << 16, &rpc))
        return failed("listen");
    long count = 0;
    uint64_t id;
    uint32_t type;
    size_t size;
    for (const char *text; (text = tachyon_rpc_serve(rpc, &id, &type, &size, 10000));
         count++) {
        char *reply = tachyon_rpc_acquire_reply_tx_timed(rpc, size, 10000, -1);
        if (!reply)
            return failed("reply");
        for (size_t i = 0; i < size; i++)
            reply[i] =
                (char)(text[i] >= 'a' && text[i] <= 'z' ? text[i] - 32 : text[i]);
        if (tachyon_rpc_commit_reply(rpc, id, size, type))
            return failed("reply");
        tachyon_rpc_commit_serve(rpc);
    }
    if (tachyon_last_error() != TACHYON_ERR_CLOSED)
        return failed("serve");
    tachyon_rpc_destroy(rpc);
    printf("served %ld\n", count);
    return 0;
}
