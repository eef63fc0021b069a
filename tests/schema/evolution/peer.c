/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One end of a bus, with the messages of the tick.h that it is compiled with:
 *
 *   peer listen PATH SECONDS   receives a Tick, prints what it reads in hexadecimal
 *   peer connect PATH BYTES    prints "ready", sends one, given in hexadecimal, and prints
 *                              "sent"
 *
 * Either prints "error CODE TEXT" when it cannot.
 */
#include "tick.types.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(void) {
    printf("error %d %s\n", (int)tachyon_last_error(), tachyon_last_error_message());
    return 0;
}

/* What may grow is copied, so that an older message is as long as a newer. */
static bool read_tick(Tick *tick, const void *payload, uint32_t type_id, size_t size) {
#ifdef MAY_GROW
    return Tick_copy(tick, payload, type_id, size);
#else
    const Tick *there = Tick_of(payload, type_id, size);
    if (there)
        *tick = *there;
    return there != NULL;
#endif
}

static int receive(const char *path, tachyon_options_t *options) {
    tachyon_bus_t *bus;
    uint32_t type_id;
    size_t size;
    Tick tick;
    if (tachyon_bus_listen_with(path, 4096, options, &bus))
        return fail();
    const void *payload =
        tachyon_acquire_rx_timed(bus, &type_id, &size, 0, options->timeout_ns);
    if (!payload)
        return fail();
    if (!read_tick(&tick, payload, type_id, size))
        return printf("no Tick: type %u, %zu bytes\n", (unsigned)type_id, size) < 0;
    for (size_t i = 0; i < sizeof tick; i++)
        printf("%02x", ((const unsigned char *)&tick)[i]);
    puts("");
    tachyon_bus_destroy(bus);
    return 0;
}

static int send_bytes(const char *path, tachyon_options_t *options, const char *text) {
    tachyon_bus_t *bus;
    Tick tick;
    for (size_t i = 0; i < sizeof tick; i++) {
        char byte[3] = {text[2 * i], text[2 * i + 1], 0};
        ((unsigned char *)&tick)[i] = (unsigned char)strtoul(byte, NULL, 16);
    }
    puts("ready");
    fflush(stdout);
    if (tachyon_bus_connect_with(path, options, &bus))
        return fail();
    if (tachyon_send(bus, &tick, sizeof tick, Tick_TYPE, 0, options->timeout_ns))
        return fail();
    tachyon_bus_destroy(bus);
    puts("sent");
    return 0;
}

int main(int argc, char **argv) {
    tachyon_options_t options = {.size = sizeof options,
                                 .timeout_ns = 20000000000,
                                 .types = TICK_TYPES,
                                 .types_size = TICK_TYPES_SIZE};
    if (argc != 4)
        return 2;
    if (strcmp(argv[1], "connect") == 0)
        return send_bytes(argv[2], &options, argv[3]);
    options.timeout_ns = (int64_t)(strtod(argv[3], NULL) * 1e9);
    return receive(argv[2], &options);
}
