/* SPDX-License-Identifier: Apache-2.0 */
/* send PATH [COUNT]: connects and sends texts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tachyon.h>

static int failed(const char *what) {
    fprintf(stderr, "send: %s: %s\n", what, tachyon_last_error_message());
    return 1;
}

int main(int argc, char **argv) {
    if (argc < 2)
        return fprintf(stderr, "usage: send PATH [COUNT]\n"), 2;
    long count = argc > 2 ? atol(argv[2]) : 10;
    tachyon_options_t options = {.size = sizeof options,
                                 .timeout_ns = INT64_C(10000000000)};
    tachyon_bus_t *bus;
    if (tachyon_bus_connect_with(argv[1], &options, &bus))
        return failed("connect");
    for (long i = 0; i < count; i++) {
        char text[32];
        snprintf(text, sizeof text, "tick %ld", i);
        if (tachyon_send(bus, text, strlen(text), 1, 10000, -1))
            return failed("send");
    }
    tachyon_bus_destroy(bus);
    printf("sent %ld\n", count);
    return 0;
}
