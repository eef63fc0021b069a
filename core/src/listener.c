/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listening side of the handshake.
 *
 * Owns: the clients that have connected but not acknowledged, and the memory that is
 * offered to one of them at a time. No client can hold up another for longer than
 * IMPATIENT_NS, nor make the listener return anything but a good peer.
 */
#include "address.h"
#include "fork.h"
#include "handshake.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define HELLO_NS (1000 * MILLISECOND)   /* for a hello, or for the acknowledge ... */
#define IMPATIENT_NS (50 * MILLISECOND) /* ... while another client waits */
#define STARVED_NS (10 * MILLISECOND)   /* without a free descriptor for accept */
#define MAX_CLIENTS 64

struct client {
    int socket;
    bool answered;
    size_t received;
    int64_t deadline;
    struct greeting hello;
    tachyon_peer_t peer;
};

struct listener {
    struct fork_watch watch;
    struct address address;
    enum handshake_kind kind;
    tachyon_options_t options;
    struct greeting answer;
    size_t capacities[HANDSHAKE_MAX_RINGS];
    struct region regions[HANDSHAKE_MAX_RINGS]; /* seen by no client but the answered */
    struct client clients[MAX_CLIENTS];         /* in the order of their arrival */
    size_t client_count;
    bool starved; /* accept found no free descriptor */
};

static void close_in_child(struct fork_watch *watch) {
    struct listener *listener = (struct listener *)(void *)watch; /* first member */
    ty_address_close(&listener->address);
    for (size_t i = 0; i < listener->client_count; i++)
        ty_close(&listener->clients[i].socket);
    for (unsigned i = 0; i < HANDSHAKE_MAX_RINGS; i++)
        ty_region_close_fd(&listener->regions[i]);
}

static tachyon_error_t create_regions(struct listener *listener) {
    ty_handshake_free_regions(listener->regions);
    for (unsigned i = 0; i < handshake_rings(listener->kind); i++) {
        struct region *region = &listener->regions[i];
        tachyon_error_t error = ty_region_create(region, listener->capacities[i]);
        if (error != TACHYON_SUCCESS)
            return error;
        struct ring_shared *shared = region_shared(region);
        shared->about.magic = WIRE_MAGIC;
        shared->about.version = WIRE_VERSION;
        shared->about.capacity_bytes = region->capacity;
        shared->about.data_offset = region->data_offset;
        shared->about.max_payload_bytes = ring_max_payload(region->capacity);
    }
    return TACHYON_SUCCESS;
}

/* Tell a client why, as far as it can be told. */
static void refuse(const struct listener *listener, int socket,
                   tachyon_error_t status) {
    struct greeting answer = listener->answer;
    answer.status = (uint32_t)status;
    int empty = memfd_create("tachyon-refused", MFD_CLOEXEC);
    ty_handshake_send(socket, &answer, &empty, empty >= 0 ? 1 : 0);
    ty_close(&empty);
}

static void drop_client(struct listener *listener, size_t index) {
    ty_close(&listener->clients[index].socket);
    listener->client_count--;
    memmove(&listener->clients[index], &listener->clients[index + 1],
            (listener->client_count - index) * sizeof listener->clients[0]);
    listener->starved = false;
}

static bool hello_complete(const struct client *client) {
    return client->received == sizeof client->hello;
}

/* Read more of a hello. False: this client is done for. */
static bool read_hello(const struct listener *listener, struct client *client) {
    if (hello_complete(client)) /* must wait for its answer in silence */
        return false;
    ssize_t count = recv(client->socket, (char *)&client->hello + client->received,
                         sizeof client->hello - client->received, MSG_DONTWAIT);
    if (count <= 0)
        return count < 0 && (errno == EAGAIN || errno == EINTR);
    client->received += (size_t)count;
    if (!hello_complete(client))
        return true;
    tachyon_error_t status =
        ty_handshake_check(&client->hello, listener->kind, &listener->options);
    if (status != TACHYON_SUCCESS)
        refuse(listener, client->socket, status);
    return status == TACHYON_SUCCESS;
}

static bool read_acknowledge(const struct client *client) {
    char byte = 0; /* exactly one: a bye may follow at once */
    return recv(client->socket, &byte, 1, MSG_DONTWAIT) == 1 &&
           byte == WIRE_ACKNOWLEDGE;
}

/* The client to give up when the table is full: the oldest that has not greeted. Its
 * number, or client_count when all have: then the others must wait in the backlog. */
static size_t dispensable(const struct listener *listener) {
    size_t i = 0;
    while (i < listener->client_count && hello_complete(&listener->clients[i]))
        i++;
    return i;
}

static bool full(const struct listener *listener) {
    return listener->client_count == MAX_CLIENTS &&
           dispensable(listener) == MAX_CLIENTS;
}

static void accept_clients(struct listener *listener) {
    for (int accepted = 0; accepted < MAX_CLIENTS && !full(listener); accepted++) {
        int socket =
            accept4(listener->address.socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (socket < 0) {
            listener->starved = errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
                                errno == ENOBUFS;
            return;
        }
        struct client client = {.socket = socket, .deadline = ty_now_ns() + HELLO_NS};
        if (ty_handshake_check_peer(socket, &listener->options, &client.peer) !=
            TACHYON_SUCCESS) {
            refuse(listener, socket, TACHYON_ERR_PERMISSION);
            ty_close(&socket);
            continue;
        }
        /* Now, so that one which greets at once is not taken for a silent one. */
        if (!read_hello(listener, &client)) {
            ty_close(&socket);
            continue;
        }
        if (listener->client_count == MAX_CLIENTS)
            drop_client(listener, dispensable(listener));
        listener->clients[listener->client_count++] = client;
    }
}

/* Offer the memory to a client. False: it cannot be answered. */
static bool offer(const struct listener *listener, struct client *client) {
    int fds[HANDSHAKE_MAX_RINGS];
    for (unsigned i = 0; i < handshake_rings(listener->kind); i++)
        fds[i] = listener->regions[i].fd;
    client->answered = true;
    client->deadline = ty_now_ns() + HELLO_NS;
    return ty_handshake_send(client->socket, &listener->answer, fds,
                             handshake_rings(listener->kind));
}

/* Answer the first client that has greeted, unless one is being answered; that one
 * must hurry when another waits. */
static tachyon_error_t answer_next(struct listener *listener) {
    struct client *answered = NULL;
    for (size_t i = 0; i < listener->client_count; i++)
        if (listener->clients[i].answered)
            answered = &listener->clients[i];
    for (size_t i = 0; i < listener->client_count;) {
        struct client *client = &listener->clients[i];
        if (client->answered || !hello_complete(client)) {
            i++;
        } else if (answered) {
            answered->deadline =
                ty_earlier(answered->deadline, ty_now_ns() + IMPATIENT_NS);
            break;
        } else {
            tachyon_error_t error =
                listener->regions[0].map ? TACHYON_SUCCESS : create_regions(listener);
            if (error != TACHYON_SUCCESS)
                return error;
            if (offer(listener, client))
                answered = client;
            else
                drop_client(listener, i); /* and look at the one that moved here */
        }
    }
    return TACHYON_SUCCESS;
}

/* Drop a client; the memory that an answered one has seen goes with it. */
static void dismiss(struct listener *listener, size_t index) {
    if (listener->clients[index].answered)
        ty_handshake_free_regions(listener->regions);
    drop_client(listener, index);
}

static void expire_clients(struct listener *listener) {
    int64_t now = ty_now_ns();
    for (size_t i = 0; i < listener->client_count;) {
        struct client *client = &listener->clients[i];
        bool our_turn = hello_complete(client) && !client->answered;
        if (our_turn || now < client->deadline) {
            i++;
            continue;
        }
        if (!client->answered)
            refuse(listener, client->socket, TACHYON_ERR_ABI_MISMATCH);
        dismiss(listener, i);
    }
}

/* One round. EMPTY: go on. SUCCESS: clients[*chosen] has acknowledged. */
static tachyon_error_t listen_round(struct listener *listener, int64_t deadline,
                                    size_t *chosen) {
    expire_clients(listener);
    tachyon_error_t error = answer_next(listener);
    if (error != TACHYON_SUCCESS)
        return error;

    int64_t now = ty_now_ns();
    if (now >= deadline)
        return ty_fail(TACHYON_ERR_TIMEOUT, 0, "no peer connected to %s in time",
                       listener->address.path);
    int64_t until = deadline;
    struct pollfd fds[1 + MAX_CLIENTS];
    size_t count = listener->client_count;
    bool deaf = listener->starved || full(listener);
    fds[0] =
        (struct pollfd){.fd = deaf ? -1 : listener->address.socket, .events = POLLIN};
    if (listener->starved) {
        until = ty_earlier(until, now + STARVED_NS);
        listener->starved = false;
    }
    for (size_t i = 0; i < count; i++) {
        fds[i + 1] =
            (struct pollfd){.fd = listener->clients[i].socket, .events = POLLIN};
        if (!hello_complete(&listener->clients[i]) || listener->clients[i].answered)
            until = ty_earlier(until, listener->clients[i].deadline);
    }
    error = ty_handshake_poll(fds, count + 1, until, &listener->options);
    if (error != TACHYON_SUCCESS)
        return error;

    for (size_t i = count; i-- > 0;) { /* backwards: dismissing moves those behind */
        struct client *client = &listener->clients[i];
        if (fds[i + 1].revents == 0)
            continue;
        if (client->answered && read_acknowledge(client)) {
            *chosen = i;
            return TACHYON_SUCCESS;
        }
        if (client->answered || !read_hello(listener, client))
            dismiss(listener, i);
    }
    if (fds[0].revents)
        accept_clients(listener);
    return TACHYON_ERR_EMPTY;
}

tachyon_error_t ty_handshake_listen(const char *path, enum handshake_kind kind,
                                    const size_t *capacities,
                                    const tachyon_options_t *options,
                                    struct session *out) {
    struct listener listener = {.kind = kind,
                                .address = ADDRESS_NONE,
                                .regions = {REGION_NONE, REGION_NONE},
                                .watch.in_child = close_in_child};
    tachyon_error_t error = ty_handshake_options(options, kind, &listener.options);
    if (error != TACHYON_SUCCESS)
        return error;
    int64_t deadline = listener.options.timeout_ns == 0
                           ? TY_NEVER
                           : ty_deadline(listener.options.timeout_ns);
    listener.answer = ty_handshake_greeting(kind, &listener.options);
    for (unsigned i = 0; i < handshake_rings(kind); i++) {
        listener.capacities[i] = capacities[i];
        if ((error = ty_region_round(&listener.capacities[i])) != TACHYON_SUCCESS)
            return error;
        listener.answer.capacity[i] = listener.capacities[i];
    }
    if ((error = ty_fork_watch(&listener.watch)) != TACHYON_SUCCESS)
        return error;
    if ((error = ty_address_listen(&listener.address, path,
                                   listener.options.socket_mode)) != TACHYON_SUCCESS ||
        (error = create_regions(&listener)) != TACHYON_SUCCESS)
        goto end;

    size_t chosen = 0;
    do
        error = listen_round(&listener, deadline, &chosen);
    while (error == TACHYON_ERR_EMPTY);
    if (error != TACHYON_SUCCESS)
        goto end;

    struct client *client = &listener.clients[chosen];
    *out = (struct session){
        .side = RING_SIDE_LISTENER, .socket = client->socket, .peer = client->peer};
    client->socket = -1;
    for (unsigned i = 0; i < HANDSHAKE_MAX_RINGS; i++) {
        out->regions[i] = listener.regions[i];
        listener.regions[i] = REGION_NONE;
    }
    ty_handshake_establish(out, &listener.options, listener.answer.flags,
                           client->hello.flags);

end:
    ty_fork_unwatch(&listener.watch);
    while (listener.client_count > 0)
        drop_client(&listener, 0);
    ty_handshake_free_regions(listener.regions);
    ty_address_release(&listener.address);
    return error;
}
