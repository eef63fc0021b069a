/* SPDX-License-Identifier: Apache-2.0 */
/* The C peer of the interop tests; test_interop.py has the rules it follows. */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tachyon.h"

enum {
    TAPE_BYTES = 1 << 19,
    MAX_SIZES = 64,
    MAX_BATCH = 256,
    SPIN_THRESHOLD = 1000,
    EXIT_PEER_DEAD = 3
};
static const int64_t CONNECT_TIMEOUT_NS = INT64_C(10000000000);

struct arguments {
    bool produce;
    const char *socket;
    uint64_t count;
    uint64_t seed;
    size_t sizes[MAX_SIZES];
    size_t size_count;
    size_t batch;
    size_t listen_capacity; /* 0: connect */
    uint64_t die_after;     /* 0: never */
};

static const char *program;

static void usage(void) {
    fprintf(
        stderr,
        "usage: %s produce|consume --socket PATH --count N --seed K --sizes A,B,...\n"
        "           [--batch N] [--listen CAPACITY] [--die-after N]\n",
        program);
    exit(2);
}

static void fail(const char *what) {
    fprintf(stderr, "%s: %s: %s\n", program, what, tachyon_last_error_message());
    exit(tachyon_last_error() == TACHYON_ERR_PEER_DEAD ? EXIT_PEER_DEAD : 1);
}

static uint64_t number(const char *text) {
    char *end;
    uint64_t value = strtoull(text, &end, 10);
    if (end == text || (*end && *end != ','))
        usage();
    return value;
}

static void parse_sizes(struct arguments *arguments, const char *text) {
    for (; text; text = strchr(text, ',')) {
        text += *text == ',';
        if (arguments->size_count == MAX_SIZES)
            usage();
        arguments->sizes[arguments->size_count++] = number(text);
    }
}

static struct arguments parse(int argc, char **argv) {
    static const struct option options[] = {{"socket", required_argument, NULL, 's'},
                                            {"count", required_argument, NULL, 'n'},
                                            {"seed", required_argument, NULL, 'k'},
                                            {"sizes", required_argument, NULL, 'z'},
                                            {"batch", required_argument, NULL, 'b'},
                                            {"listen", required_argument, NULL, 'l'},
                                            {"die-after", required_argument, NULL, 'd'},
                                            {NULL, 0, NULL, 0}};
    struct arguments arguments = {.batch = 1};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 's':
            arguments.socket = optarg;
            break;
        case 'n':
            arguments.count = number(optarg);
            break;
        case 'k':
            arguments.seed = number(optarg);
            break;
        case 'z':
            parse_sizes(&arguments, optarg);
            break;
        case 'b':
            arguments.batch = number(optarg);
            break;
        case 'l':
            arguments.listen_capacity = number(optarg);
            break;
        case 'd':
            arguments.die_after = number(optarg);
            break;
        default:
            usage();
        }
    }
    if (optind + 1 != argc || !arguments.socket || !arguments.size_count ||
        arguments.batch < 1 || arguments.batch > MAX_BATCH)
        usage();
    arguments.produce = !strcmp(argv[optind], "produce");
    if (!arguments.produce && strcmp(argv[optind], "consume"))
        usage();
    return arguments;
}

/* ---- The stream that both peers know ---------------------------------------- */

struct stream {
    const struct arguments *arguments;
    uint64_t state;
    uint8_t *tape;
};

struct message {
    const uint8_t *bytes;
    size_t size;
    size_t reserved;
    uint32_t type_id;
};

static uint64_t splitmix64(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static struct stream open_stream(const struct arguments *arguments) {
    struct stream stream = {arguments, arguments->seed, malloc(TAPE_BYTES)};
    if (!stream.tape)
        abort();
    for (size_t at = 0; at < TAPE_BYTES; at += 8) {
        uint64_t word = splitmix64(&stream.state);
        for (size_t byte = 0; byte < 8; byte++)
            stream.tape[at + byte] = (uint8_t)(word >> (8 * byte));
    }
    return stream;
}

static struct message next_message(struct stream *stream) {
    const struct arguments *arguments = stream->arguments;
    uint64_t pick = splitmix64(&stream->state);
    uint64_t type = splitmix64(&stream->state);
    uint64_t place = splitmix64(&stream->state);
    size_t size = arguments->sizes[pick % arguments->size_count];
    return (struct message){.bytes = stream->tape + place % (TAPE_BYTES - size + 1),
                            .size = size,
                            .reserved = size + (size_t)(pick >> 32) % 64,
                            .type_id = (uint32_t)type};
}

struct totals {
    uint64_t count;
    uint64_t bytes;
    uint32_t adler_a, adler_b;
};

static void add(struct totals *totals, const uint8_t *bytes, size_t size) {
    totals->count++;
    totals->bytes += size;
    for (size_t i = 0; i < size; i++) {
        totals->adler_a = (totals->adler_a + bytes[i]) % 65521;
        totals->adler_b = (totals->adler_b + totals->adler_a) % 65521;
    }
}

static void print_totals(const struct totals *totals) {
    printf("count=%" PRIu64 " bytes=%" PRIu64 " adler32=%08" PRIx32 "\n", totals->count,
           totals->bytes, totals->adler_b << 16 | totals->adler_a);
    fflush(stdout);
}

static void die_when_due(const struct arguments *arguments,
                         const struct totals *totals) {
    if (arguments->die_after && totals->count >= arguments->die_after) {
        print_totals(totals);
        raise(SIGKILL);
    }
}

/* ---- The two roles ---------------------------------------------------------- */

static void produce(tachyon_bus_t *bus, struct stream *stream, struct totals *totals) {
    const struct arguments *arguments = stream->arguments;
    size_t unflushed = 0;
    while (totals->count < arguments->count) {
        struct message message = next_message(stream);
        if (arguments->batch == 1) {
            if (tachyon_send(bus, message.bytes, message.size, message.type_id,
                             SPIN_THRESHOLD, -1))
                fail("send");
        } else {
            size_t reserved = message.reserved;
            if (reserved > tachyon_max_payload(bus))
                reserved = message.size;
            void *slot = tachyon_acquire_tx_timed(bus, reserved, SPIN_THRESHOLD, -1);
            if (!slot)
                fail("acquire_tx");
            memcpy(slot, message.bytes, message.size);
            if (tachyon_commit_tx(bus, message.size, message.type_id))
                fail("commit_tx");
            if (++unflushed == arguments->batch) {
                tachyon_flush(bus);
                unflushed = 0;
            }
        }
        add(totals, message.bytes, message.size);
        if (!unflushed)
            die_when_due(arguments, totals);
    }
}

static void take(struct stream *stream, struct totals *totals, const void *bytes,
                 size_t size, uint32_t type_id) {
    struct message expected = next_message(stream);
    if (size != expected.size || type_id != expected.type_id ||
        memcmp(bytes, expected.bytes, size)) {
        fprintf(stderr,
                "%s: message %" PRIu64
                " is not the one sent: size %zu and type %" PRIu32
                ", expected %zu and %" PRIu32 "\n",
                program, totals->count, size, type_id, expected.size, expected.type_id);
        exit(1);
    }
    add(totals, bytes, size);
}

/* Returns the error that ended the stream. */
static tachyon_error_t consume(tachyon_bus_t *bus, struct stream *stream,
                               struct totals *totals) {
    const struct arguments *arguments = stream->arguments;
    tachyon_msg_view_t views[MAX_BATCH];
    for (;;) {
        if (arguments->batch == 1) {
            uint32_t type_id;
            size_t size;
            const void *bytes =
                tachyon_acquire_rx_blocking(bus, &type_id, &size, SPIN_THRESHOLD);
            if (!bytes)
                return tachyon_last_error();
            take(stream, totals, bytes, size, type_id);
            if (tachyon_commit_rx(bus))
                fail("commit_rx");
        } else {
            size_t n =
                tachyon_drain_batch(bus, views, arguments->batch, SPIN_THRESHOLD);
            if (!n)
                return tachyon_last_error();
            for (size_t i = 0; i < n; i++)
                take(stream, totals, views[i].ptr, views[i].actual_size,
                     views[i].type_id);
            if (tachyon_commit_rx_batch(bus, views, n))
                fail("commit_rx_batch");
        }
        die_when_due(arguments, totals);
    }
}

static tachyon_bus_t *open_bus(const struct arguments *arguments) {
    tachyon_bus_t *bus;
    tachyon_options_t options = {.size = sizeof options,
                                 .timeout_ns = CONNECT_TIMEOUT_NS};
    if (arguments->listen_capacity) {
        if (tachyon_bus_listen_with(arguments->socket, arguments->listen_capacity,
                                    &options, &bus))
            fail("listen");
    } else if (tachyon_bus_connect_with(arguments->socket, &options, &bus)) {
        fail("connect");
    }
    return bus;
}

int main(int argc, char **argv) {
    program = argv[0];
    struct arguments arguments = parse(argc, argv);
    struct stream stream = open_stream(&arguments);
    struct totals totals = {.adler_a = 1};
    tachyon_bus_t *bus = open_bus(&arguments);
    int status = 0;
    if (arguments.produce) {
        produce(bus, &stream, &totals);
    } else {
        tachyon_error_t end = consume(bus, &stream, &totals);
        if (end == TACHYON_ERR_PEER_DEAD)
            status = EXIT_PEER_DEAD;
        else if (end != TACHYON_ERR_CLOSED)
            fail("receive");
    }
    tachyon_bus_destroy(bus);
    print_totals(&totals);
    free(stream.tape);
    return status;
}
