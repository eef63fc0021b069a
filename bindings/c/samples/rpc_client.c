/* SPDX-License-Identifier: Apache-2.0 */
/* rpc_client PATH WORD...: connects and makes a call for each word. */
#include <stdio.h>
#include <string.h>
#include <tachyon.h>

static int failed(const char *what) {
    fprintf(stderr, "rpc_client: %s: %s\n", what, tachyon_last_error_message());
    return 1;
}

int main(int argc, char **argv) {
    if (argc < 2)
        return fprintf(stderr, "usage: rpc_client PATH WORD...\n"), 2;
    tachyon_options_t options = {.size = sizeof options,
                                 .timeout_ns = INT64_C(10000000000)};
    tachyon_rpc_bus_t *rpc;
    if (tachyon_rpc_connect_with(argv[1], &options, &rpc))
        return failed("connect");
    for (char **word = argv + 2; *word; word++) {
        uint64_t id;
        uint32_t type;
        size_t size;
        if (tachyon_rpc_call_timed(rpc, *word, strlen(*word), 1, &id, 10000, -1))
            return failed("call");
        const char *reply = tachyon_rpc_wait(rpc, id, &size, &type, 10000);
        if (!reply)
            return failed("wait");
        printf("%s -> %.*s\n", *word, (int)size, reply);
        tachyon_rpc_commit_rx(rpc);
    }
    tachyon_rpc_destroy(rpc);
    return 0;
}
