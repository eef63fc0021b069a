/* SPDX-License-Identifier: Apache-2.0 */
/* Draws tickets with many calls outstanding, and checks each reply: what client.py does,
   at the same server. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <tachyon.h>

#include "tickets.types.h"

#define OUTSTANDING 64
#define CONNECT_NS INT64_C(60000000000)

static _Noreturn void fail(const char *doing) {
    fprintf(stderr, "client: %s: %s\n", doing, tachyon_last_error_message());
    exit(1);
}

static uint64_t send_call(tachyon_rpc_bus_t *rpc, uint64_t number) {
    Ticket request = {.number = number};
    uint64_t call;
    if (tachyon_rpc_call_timed(rpc, &request, sizeof request, Ticket_TYPE, &call,
                               TACHYON_DEFAULT_SPIN, -1) != TACHYON_SUCCESS)
        fail("call");
    return call;
}

/* Returns the ticket that the call has brought. */
static uint64_t take_reply(tachyon_rpc_bus_t *rpc, uint64_t call, uint64_t number) {
    size_t size;
    uint32_t type;
    const void *payload =
        tachyon_rpc_wait(rpc, call, &size, &type, TACHYON_DEFAULT_SPIN);
    if (payload == NULL)
        fail("wait");
    const Ticket *reply = Ticket_of(payload, type, size);
    if (reply == NULL || reply->number != number) {
        fprintf(stderr, "client: call %" PRIu64 " has another's reply\n", number);
        exit(1);
    }
    uint64_t ticket = reply->ticket;
    tachyon_rpc_commit_rx(rpc);
    return ticket;
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t parse_count(const char *text) {
    char *end;
    errno = 0;
    uint64_t count = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || *text < '0' || *text > '9' || count == 0) {
        fprintf(stderr, "client: %s: not a number of calls\n", text);
        exit(2);
    }
    return count;
}

int main(int argc, char **argv) {
    if (argc > 4) {
        fprintf(stderr, "usage: %s [PATH [CALLS [NAME]]]\n", argv[0]);
        return 2;
    }
    const char *path = argc > 1 ? argv[1] : "/tmp/tachyon_tickets.sock";
    uint64_t count = argc > 2 ? parse_count(argv[2]) : 100000;
    const char *name = argc > 3 ? argv[3] : "C";

    /* With a time-out it waits for the server to listen. */
    tachyon_options_t options = {.size = sizeof options,
                                 .timeout_ns = CONNECT_NS,
                                 .restart = 1,
                                 .name = name,
                                 .types = TICKETS_TYPES,
                                 .types_size = TICKETS_TYPES_SIZE};
    tachyon_rpc_bus_t *rpc;
    if (tachyon_rpc_connect_with(path, &options, &rpc) != TACHYON_SUCCESS)
        fail("connect");

    uint64_t calls[OUTSTANDING], sum = 0, last = 0;
    double start = seconds();
    for (uint64_t sent = 0, done = 0; done < count; done++) {
        for (; sent < count && sent < done + OUTSTANDING; sent++)
            calls[sent % OUTSTANDING] = send_call(rpc, sent);
        uint64_t ticket = take_reply(rpc, calls[done % OUTSTANDING], done);
        if (ticket <= last) {
            fprintf(stderr, "client: ticket %" PRIu64 " after %" PRIu64 "\n", ticket,
                    last);
            return 1;
        }
        last = ticket;
        sum += ticket;
    }
    double rate = (double)count / (seconds() - start);
    tachyon_rpc_destroy(rpc);
    printf("%s: %" PRIu64 " tickets, sum %" PRIu64 ", %.0f calls/s\n", name, count, sum,
           rate);
    return 0;
}
