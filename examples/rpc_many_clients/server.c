/* SPDX-License-Identifier: Apache-2.0 */
/* The ticket office in C: what server.py does, at the same path. One thread answers all
   clients, another lets them in and says who has gone. */
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <tachyon.h>

#include "tickets.types.h"

#define CAPACITY ((size_t)1 << 16) /* of each ring; every client has two */
#define MAX_CLIENTS 64
#define PATIENCE_NS INT64_C(1000000000) /* with a client that takes no replies */

struct office {
    tachyon_rpc_bus_t *rpc;
    unsigned long clients; /* after which it closes; 0: never */
};

static _Noreturn void fail(const char *doing) {
    fprintf(stderr, "server: %s: %s\n", doing, tachyon_last_error_message());
    exit(1);
}

static void *watch_clients(void *argument) {
    const struct office *office = argument;
    unsigned long gone = 0;
    tachyon_event_t event;
    while (tachyon_rpc_accept(office->rpc, &event, -1) == TACHYON_SUCCESS) {
        if (event.kind == TACHYON_EVENT_JOINED)
            printf("%s is here\n", event.name);
        if (event.kind == TACHYON_EVENT_LEFT)
            printf("%s has left: %s\n", event.name, tachyon_error_name(event.reason));
        fflush(stdout);
        if (event.kind == TACHYON_EVENT_LEFT && ++gone == office->clients)
            tachyon_rpc_close(office->rpc); /* ends the wait for a request too */
    }
    return NULL;
}

/* A client that has died meanwhile, or takes no replies, is no reason to stop. */
static void reply(tachyon_rpc_bus_t *rpc, uint64_t call, const void *body, size_t size,
                  uint32_t type) {
    if (tachyon_rpc_reply_timed(rpc, call, body, size, type, TACHYON_DEFAULT_SPIN,
                                PATIENCE_NS) != TACHYON_SUCCESS &&
        tachyon_last_error() == TACHYON_ERR_TIMEOUT)
        tachyon_rpc_drop_peer(rpc, tachyon_rpc_sender(rpc));
}

/* Returns the number of tickets. */
static uint64_t serve(tachyon_rpc_bus_t *rpc) {
    uint64_t tickets = 0, call;
    uint32_t type;
    size_t size;
    const void *payload;
    while ((payload = tachyon_rpc_serve(rpc, &call, &type, &size,
                                        TACHYON_DEFAULT_SPIN)) != NULL) {
        const Ticket *request = Ticket_of(payload, type, size);
        bool known = request != NULL;
        Ticket ticket = {.number = known ? request->number : 0};
        uint8_t error[] = {(uint8_t)(type >> 8), (uint8_t)type};
        tachyon_rpc_commit_serve(rpc);
        ticket.ticket = known ? ++tickets : 0;
        if (known)
            reply(rpc, call, &ticket, sizeof ticket, Ticket_TYPE);
        else
            reply(rpc, call, error, sizeof error, TICKET_ERROR);
    }
    if (tachyon_last_error() != TACHYON_ERR_CLOSED)
        fail("serve");
    return tickets;
}

int main(int argc, char **argv) {
    const char *path = argc > 1 ? argv[1] : "/tmp/tachyon_tickets.sock";
    const char *clients = argc > 2 ? argv[2] : "0";
    char *end;
    struct office office = {.clients = strtoul(clients, &end, 10)};
    if (argc > 3 || *end != '\0' || *clients < '0' || *clients > '9') {
        fprintf(stderr, "usage: %s [PATH [CLIENTS]], not \"%s\"\n", argv[0], clients);
        return 2;
    }
    tachyon_options_t options = {.size = sizeof options,
                                 .max_peers = MAX_CLIENTS,
                                 .restart = 1,
                                 .types = TICKETS_TYPES,
                                 .types_size = TICKETS_TYPES_SIZE};
    if (tachyon_rpc_listen_with(path, CAPACITY, CAPACITY, &options, &office.rpc) !=
        TACHYON_SUCCESS)
        fail("listen");
    pthread_t watcher;
    if (pthread_create(&watcher, NULL, watch_clients, &office) != 0) {
        fprintf(stderr, "server: no thread\n");
        return 1;
    }
    uint64_t tickets = serve(office.rpc);
    pthread_join(watcher, NULL);
    tachyon_rpc_destroy(office.rpc);
    printf("%" PRIu64 " tickets\n", tickets);
    return 0;
}
