/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listening side of the handshake.
 *
 * Owns: the clients that have connected but not acknowledged, and the memory that is
 * offered to one of them at a time. No client can hold up another for longer than
 * IMPATIENT_NS, nor make the listener return anything but a good peer.
 */
#include "listener.h"
#include "address.h"
#include "fork.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define HELLO_NS (1000 * MILLISECOND)   /* for a hello, or for the acknowledge ... */
#define IMPATIENT_NS (50 * MILLISECOND) /* ... while another client waits */
#define STARVED_NS (10 * MILLISECOND)   /* without a free descriptor for accept */
#define MAX_CLIENTS LISTENER_MAX_CLIENTS

void ty_listener_describe(const struct region *region, size_t capacity) {
    struct ring_shared *shared = region_shared(region);
    shared->about.magic = WIRE_MAGIC;
    shared->about.version = WIRE_VERSION;
    shared->about.capacity_bytes = capacity;
    shared->about.data_offset = region->data_offset;
    shared->about.max_payload_bytes = ring_max_payload(capacity);
}

tachyon_error_t ty_listener_create_ring(struct region *region, size_t capacity) {
    tachyon_error_t error = ty_region_create(region, capacity);
    if (error == TACHYON_SUCCESS)
        ty_listener_describe(region, capacity);
    return error;
}

static tachyon_error_t create_regions(struct listener *listener) {
    tachyon_error_t error = TACHYON_SUCCESS;
    ty_handshake_free_regions(listener->regions);
    for (unsigned i = 0;
         i < handshake_rings(listener->kind) && error == TACHYON_SUCCESS; i++)
        error = ty_listener_create_ring(&listener->regions[i], listener->capacities[i]);
    return error;
}

/* Tell a client why, as far as it can be told. */
static void refuse(struct greeting answer, int socket, tachyon_error_t status) {
    answer.status = (uint32_t)status;
    int empty = memfd_create("tachyon-refused", MFD_CLOEXEC);
    ty_handshake_send(socket, &answer, &empty, empty >= 0 ? 1 : 0);
    ty_close(&empty);
}

/* Take a client out of the table: its socket is the caller's. */
static struct client take_client(struct listener *listener, size_t index) {
    struct client client = listener->clients[index];
    ty_door_forget(listener->door, client.socket);
    listener->client_count--;
    memmove(&listener->clients[index], &listener->clients[index + 1],
            (listener->client_count - index) * sizeof client);
    return client;
}

/* The client that was asked for its types is so no longer. */
static void end_asking(struct listener *listener, struct client *client) {
    ty_handshake_free_types(&listener->asked.types);
    listener->asked.received = 0;
    client->asked = client->answered = false;
}

static void drop_client(struct listener *listener, size_t index) {
    struct client client = take_client(listener, index);
    if (client.asked)
        end_asking(listener, &client);
    ty_close(&client.socket);
    listener->starved_until = 0;
}

static bool hello_complete(const struct client *client) {
    return client->received == sizeof client->hello;
}

/* What is wrong with a client is what this end will say when it has waited in vain. */
static void remember_misfit(struct listener *listener) {
    static const char refused[] = "; one was refused: ";
    snprintf(listener->misfit, sizeof listener->misfit, "%s%.*s", refused,
             (int)(sizeof listener->misfit - sizeof refused),
             tachyon_last_error_message());
}

/* Read more of a hello. False: this client is done for. */
static bool read_hello(struct listener *listener, struct client *client) {
    if (hello_complete(client)) /* must wait for its answer in silence */
        return false;
    ssize_t count = recv(client->socket, (char *)&client->hello + client->received,
                         sizeof client->hello - client->received, MSG_DONTWAIT);
    if (count <= 0)
        return count < 0 && (errno == EAGAIN || errno == EINTR);
    client->received += (size_t)count;
    /* A foreign hello may be shorter; its first words say enough. */
    if (!hello_complete(client) &&
        !ty_handshake_foreign(&client->hello, client->received))
        return true;
    tachyon_error_t status =
        ty_handshake_check(&client->hello, listener->kind, &listener->options);
    if (status == TACHYON_SUCCESS && !listener->host.offer &&
        client->hello.start == TACHYON_START_POSITION)
        status = TACHYON_ERR_LAGGED; /* there is one consumer, and it begins at 0 */
    if (status == TACHYON_ERR_ABI_MISMATCH)
        remember_misfit(listener);
    if (status != TACHYON_SUCCESS)
        refuse(listener->answer, client->socket, status);
    return status == TACHYON_SUCCESS;
}

/* The same hello again, with the mark that the description follows. */
static tachyon_error_t read_second_hello(struct listener *listener,
                                         const struct client *client) {
    struct greeting *again = &listener->asked.hello;
    ssize_t count = recv(client->socket, (char *)again + listener->asked.received,
                         sizeof *again - listener->asked.received, MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return TACHYON_ERR_EMPTY;
    if (count <= 0)
        return ty_fail_plain(TACHYON_ERR_NETWORK);
    listener->asked.received += (size_t)count;
    if (listener->asked.received < sizeof *again)
        return TACHYON_ERR_EMPTY;
    again->flags ^= WIRE_FLAG_TYPES;
    return memcmp(again, &client->hello, sizeof *again) == 0
               ? TACHYON_SUCCESS
               : ty_fail_plain(TACHYON_ERR_CORRUPT);
}

/* Read more of a description. False: this client is done for. */
static bool read_types(struct listener *listener, struct client *client) {
    tachyon_error_t error = TACHYON_SUCCESS;
    if (listener->asked.received < sizeof listener->asked.hello)
        error = read_second_hello(listener, client);
    if (error == TACHYON_SUCCESS)
        error = ty_handshake_receive_types(client->socket, &client->hello,
                                           &listener->asked.types);
    if (error == TACHYON_SUCCESS)
        error = ty_handshake_compare_types(&client->hello, &listener->options,
                                           &listener->asked.types);
    if (error == TACHYON_ERR_EMPTY)
        return true;
    if (error == TACHYON_ERR_ABI_MISMATCH)
        remember_misfit(listener);
    if (error != TACHYON_SUCCESS) {
        refuse(listener->answer, client->socket, TACHYON_ERR_ABI_MISMATCH);
        return false;
    }
    end_asking(listener, client);
    client->agreed = true;
    return true;
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

/* No new clients are wanted now. */
static bool deaf(const struct listener *listener, int64_t now) {
    return now < listener->starved_until || full(listener);
}

static void accept_clients(struct listener *listener) {
    for (int accepted = 0; accepted < MAX_CLIENTS && !full(listener); accepted++) {
        int socket =
            accept4(listener->address.socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (socket < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
                errno == ENOBUFS)
                listener->starved_until = ty_now_ns() + STARVED_NS;
            return;
        }
        struct client client = {.socket = socket, .deadline = ty_now_ns() + HELLO_NS};
        if (ty_handshake_check_peer(socket, &listener->options, &client.peer) !=
            TACHYON_SUCCESS) {
            refuse(listener->answer, socket, TACHYON_ERR_PERMISSION);
            ty_close(&socket);
            continue;
        }
        /* Now, so that one which greets at once is not taken for a silent one. */
        if (!read_hello(listener, &client) ||
            !ty_door_watch(listener->door, socket, EPOLLIN)) {
            ty_close(&socket);
            continue;
        }
        if (listener->client_count == MAX_CLIENTS)
            drop_client(listener, dispensable(listener));
        listener->clients[listener->client_count++] = client;
    }
}

/* Offer the memory to a client. False: it cannot be answered. */
static bool offer(const struct listener *listener, struct client *client,
                  const struct greeting *answer) {
    int fds[HANDSHAKE_MAX_RINGS];
    unsigned count = 0; /* a bus has a region, of one or two of them */
    for (unsigned i = 0; i < handshake_rings(listener->kind); i++)
        count += ty_region_fds(&listener->regions[i], fds + count);
    client->answered = true;
    client->deadline = ty_now_ns() + HELLO_NS;
    return ty_handshake_send(client->socket, answer, fds, count);
}

/* Say what our messages are, and let the client say what its are. False: it cannot be
 * asked. */
static bool ask_for_types(struct listener *listener, struct client *client) {
    client->answered = client->asked = true;
    client->deadline = ty_now_ns() + HELLO_NS;
    return ty_handshake_send_types(client->socket, listener->answer,
                                   &listener->options);
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
        } else if (!client->agreed &&
                   ty_handshake_types_differ(&client->hello, &listener->options)) {
            if (ask_for_types(listener, client))
                answered = client;
            else
                drop_client(listener, i);
        } else {
            struct greeting answer = listener->answer;
            tachyon_error_t error = TACHYON_SUCCESS;
            if (listener->host.offer)
                error = listener->host.offer(listener->host.context, client, &answer,
                                             listener->regions);
            else if (!listener->regions[0].map)
                error = create_regions(listener);
            if (error != TACHYON_SUCCESS && !listener->host.offer)
                return error;
            if (error != TACHYON_SUCCESS)
                refuse(answer, client->socket, error);
            else if (offer(listener, client, &answer))
                answered = client;
            if (!answered) {
                if (listener->host.offer) /* they were for this client */
                    ty_handshake_free_regions(listener->regions);
                drop_client(listener, i); /* and look at the one that moved here */
            }
        }
    }
    return TACHYON_SUCCESS;
}

/* Drop a client; the memory that an answered one has seen goes with it. */
static void dismiss(struct listener *listener, size_t index) {
    if (listener->clients[index].answered && !listener->clients[index].asked)
        ty_handshake_free_regions(listener->regions);
    drop_client(listener, index);
}

static void expire_clients(struct listener *listener, int64_t now) {
    for (size_t i = 0; i < listener->client_count;) {
        struct client *client = &listener->clients[i];
        bool our_turn = hello_complete(client) && !client->answered;
        if (our_turn || now < client->deadline) {
            i++;
            continue;
        }
        if (!client->answered)
            refuse(listener->answer, client->socket, TACHYON_ERR_ABI_MISMATCH);
        dismiss(listener, i);
    }
}

/* ---- Rounds ---- */

/* When something is to be done although nothing arrives. */
static int64_t next_deadline(const struct listener *listener) {
    int64_t next = listener->deadline;
    if (listener->starved_until > 0)
        next = ty_earlier(next, listener->starved_until);
    for (size_t i = 0; i < listener->client_count; i++) {
        const struct client *client = &listener->clients[i];
        if (!hello_complete(client) || client->answered)
            next = ty_earlier(next, client->deadline);
    }
    return next;
}

/* Let the descriptor tell of what the next round is for. */
static void set_door(struct listener *listener) {
    bool now_deaf = deaf(listener, ty_now_ns());
    if (listener->deaf != now_deaf &&
        ty_door_change(listener->door, listener->address.socket,
                       now_deaf ? 0 : EPOLLIN))
        listener->deaf = now_deaf;
    ty_door_ring_at(listener->door, next_deadline(listener));
}

/* The connection stands; all that the client has seen goes with it. */
static void hand_over(struct listener *listener, size_t index, struct session *out) {
    struct client client = listener->clients[index];
    *out = SESSION_NONE;
    out->side = RING_SIDE_LISTENER;
    out->socket = client.socket;
    out->peer = client.peer;
    listener->hello = client.hello;
    take_client(listener, index); /* now that a forked child finds it elsewhere */
    for (unsigned i = 0; i < HANDSHAKE_MAX_RINGS; i++) {
        out->regions[i] = listener->regions[i];
        listener->regions[i] = REGION_NONE;
    }
    ty_handshake_establish(out, &listener->options, listener->answer.flags,
                           client.hello.flags);
}

tachyon_error_t ty_listener_round(struct listener *listener,
                                  const struct patience *patience,
                                  struct session *out) {
    struct pollfd fds[1 + MAX_CLIENTS + 1];
    size_t count = listener->client_count;
    int64_t now = ty_now_ns();
    if (now >= listener->starved_until)
        listener->starved_until = 0;
    fds[0] = (struct pollfd){.fd = deaf(listener, now) ? -1 : listener->address.socket,
                             .events = POLLIN};
    for (size_t i = 0; i < count; i++)
        fds[i + 1] =
            (struct pollfd){.fd = listener->clients[i].socket, .events = POLLIN};
    tachyon_error_t error = ty_handshake_poll(fds, count + 1, next_deadline(listener),
                                              patience, &listener->options);
    if (error != TACHYON_SUCCESS)
        return error;

    /* One whose time is over is looked at once more: it may have acknowledged since, and
     * then believes that it is connected. */
    now = ty_now_ns();
    for (size_t i = count; i-- > 0;) { /* backwards: dismissing moves those behind */
        struct client *client = &listener->clients[i];
        bool late = client->answered && now >= client->deadline;
        if (fds[i + 1].revents == 0 && !late)
            continue;
        if (client->asked) {
            if (!read_types(listener, client))
                dismiss(listener, i);
            continue;
        }
        if (client->answered && read_acknowledge(client)) {
            hand_over(listener, i, out);
            return TACHYON_SUCCESS;
        }
        if (client->answered || !read_hello(listener, client))
            dismiss(listener, i);
    }
    if (fds[0].revents)
        accept_clients(listener);
    expire_clients(listener, now);
    error = answer_next(listener);
    if (error != TACHYON_SUCCESS)
        return error;
    if (ty_now_ns() >= listener->deadline)
        return ty_fail(TACHYON_ERR_TIMEOUT, 0, "no peer connected to %s in time%s",
                       listener->address.path, listener->misfit);
    set_door(listener);
    return TACHYON_ERR_EMPTY;
}

bool ty_listener_last(struct listener *listener, struct session *out) {
    size_t i = 0;
    while (i < listener->client_count && !listener->clients[i].answered)
        i++;
    if (i == listener->client_count || listener->clients[i].asked ||
        !read_acknowledge(&listener->clients[i]))
        return false;
    hand_over(listener, i, out);
    return true;
}

bool ty_listener_watch(struct listener *listener) {
    bool watched = ty_door_watch(listener->door, listener->address.socket, EPOLLIN);
    for (size_t i = 0; i < listener->client_count; i++)
        watched = watched &&
                  ty_door_watch(listener->door, listener->clients[i].socket, EPOLLIN);
    set_door(listener);
    return watched;
}

/* ---- Opening and closing ---- */

void ty_listener_init(struct listener *listener, enum handshake_kind kind,
                      const tachyon_options_t *options, struct door *door) {
    *listener = (struct listener){.kind = kind,
                                  .options = *options,
                                  .deadline = options->timeout_ns == 0
                                                  ? TY_NEVER
                                                  : ty_deadline(options->timeout_ns),
                                  .address = ADDRESS_NONE,
                                  .door = door,
                                  .regions = {REGION_NONE, REGION_NONE}};
    listener->answer = ty_handshake_greeting(kind, options);
}

tachyon_error_t ty_listener_open(struct listener *listener, const char *path,
                                 const size_t *capacities) {
    tachyon_error_t error;
    for (unsigned i = 0; i < handshake_rings(listener->kind); i++) {
        listener->capacities[i] = capacities[i];
        if ((error = ty_region_round(&listener->capacities[i])) != TACHYON_SUCCESS)
            return error;
        listener->answer.capacity[i] = listener->capacities[i];
    }
    if ((error = ty_address_listen(&listener->address, path,
                                   listener->options.socket_mode)) != TACHYON_SUCCESS ||
        (!listener->host.offer &&
         (error = create_regions(listener)) != TACHYON_SUCCESS))
        return error;
    /* May take the kernel 30 ms: not before clients can come. */
    listener->answer.flags = ty_handshake_flags();
    return TACHYON_SUCCESS;
}

void ty_listener_close(struct listener *listener) {
    while (listener->client_count > 0)
        drop_client(listener, 0);
    ty_handshake_free_regions(listener->regions);
    ty_address_release(&listener->address);
}

void ty_listener_in_child(struct listener *listener) {
    ty_address_close(&listener->address); /* what is at the path is the parent's */
    ty_listener_close(listener);
}
