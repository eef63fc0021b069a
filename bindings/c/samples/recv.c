/* SPDX-License-Identifier: Apache-2.0 */
/* recv PATH: listens and prints what comes until the stream ends. */
#include <stdio.h>
#include <tachyon.h>

static int failed(const char *what) {
    fprintf(stderr, "recv: %s: %s\n", what, tachyon_last_error_message());
    return 1;
}

int main(int argc, char **argv) {
    if (argc < 2)
        return fprintf(stderr, "usage: recv PATH\n"), 2;
    tachyon_bus_t *bus;
    if (tachyon_bus_listen(argv[1], 1 << 16, &bus))
        return failed("listen");
    long count = 0;
    uint32_t type;
    size_t size;
    for (const char *text;
         (text = tachyon_acquire_rx_blocking(bus, &type, &size, 10000)); count++) {
        printf("type %u: %.*s\n", type, (int)size, text);
        tachyon_commit_rx(bus);
    }
    if (tachyon_last_error() != TACHYON_ERR_CLOSED)
        return failed("receive");
    tachyon_bus_destroy(bus);
    printf("received %ld\n", count);
    return 0;
}
