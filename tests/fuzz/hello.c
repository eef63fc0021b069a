/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener among clients that send any bytes in any pieces at any time. It chooses
 * only one that has greeted well, was answered, and then acknowledged; and memory that
 * one client has seen is never offered to another. Or it has a host, as a listener with many
 * peers, which makes the memory for each or refuses it; then it goes on to the next.
 */
#include "listener.c" /* the product's: its rounds are nobody else's business */

#include "fuzz.h"

#include <sys/stat.h>
#include <unistd.h>

#define CLIENTS 4
#define STREAM 512

struct stranger {
    int end;      /* theirs */
    int listener; /* the number of the listener's socket: its name */
    uint8_t stream[STREAM];
    size_t sent;
    ino_t seen[HANDSHAKE_MAX_RINGS]; /* memory that was offered */
};

static struct stranger strangers[CLIENTS];
static size_t stranger_count;

static void come(struct listener *listener) {
    int ends[2];
    if (stranger_count == CLIENTS)
        return;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends),
             0);
    strangers[stranger_count++] =
        (struct stranger){.end = ends[0], .listener = ends[1]};
    listener->clients[listener->client_count++] =
        (struct client){.socket = ends[1], .deadline = TY_NEVER};
}

static void speak(struct stranger *stranger, const void *bytes, size_t size) {
    if (size > STREAM - stranger->sent)
        size = STREAM - stranger->sent;
    ssize_t count = send(stranger->end, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count <= 0)
        return;
    memcpy(stranger->stream + stranger->sent, bytes, (size_t)count);
    stranger->sent += (size_t)count;
}

/* Say that hello again, and a description. */
static void tell_types(struct stranger *stranger, struct input *input,
                       struct greeting hello) {
    const char *types = fuzz_theirs[input_below(input, 4)];
    hello.flags |= input_below(input, 8) ? WIRE_FLAG_TYPES : 0;
    speak(stranger, &hello, sizeof hello);
    speak(stranger, types, input_below(input, 8) ? strlen(types) : strlen(types) - 1);
}

static void greet(struct stranger *stranger, struct input *input, uint32_t kind) {
    struct greeting hello = {
        .magic = WIRE_MAGIC, .version = WIRE_VERSION, .kind = kind};
    size_t size = sizeof hello;
    switch (input_below(input, 8)) {
    case 0:
        ((uint8_t *)&hello)[input_below(input, sizeof hello)] ^=
            (uint8_t)input_number(input, 1);
        break;
    case 1:
        hello.role = (uint32_t)input_below(input, 4);
        hello.schema = input_below(input, 4);
        break;
    case 2:
        size = input_below(input, sizeof hello);
        break;
    case 3:
        hello.kind = (uint32_t)input_below(input, 4);
        break;
    case 4:
        hello.version = (uint32_t)input_below(input, 256);
        break;
    case 5:
        hello.start = (uint32_t)input_below(input, 4);
        hello.position = input_below(input, 4) * 32;
        hello.epoch = input_below(input, 2);
        memset(hello.name, 'a', input_below(input, sizeof hello.name + 1));
        break;
    case 6:
    case 7:
        fuzz_say_types(&hello, fuzz_theirs[input_below(input, 4)]);
        hello.schema += input_below(input, 4) == 1; /* that of another text */
        break;
    }
    speak(stranger, &hello, size);
    if (hello.types_size > 0 && input_below(input, 4))
        tell_types(stranger, input, hello);
    if (input_below(input, 2)) /* without waiting for the answer */
        speak(stranger, "A", 1);
}

static void listen_to(struct stranger *stranger) {
    struct greeting answer;
    union {
        char bytes[CMSG_SPACE(sizeof(int) * 8)];
        struct cmsghdr align;
    } control;
    struct iovec data = {.iov_base = &answer, .iov_len = sizeof answer};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    if (recvmsg(stranger->end, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) <= 0)
        return;
    CHECK_EQ(answer.magic, WIRE_MAGIC);
    if (answer.flags & WIRE_FLAG_TYPES) {
        char text[sizeof FUZZ_OURS];
        CHECK_EQ(recv(stranger->end, text, sizeof text - 1, MSG_DONTWAIT),
                 sizeof text - 1);
        CHECK_EQ(memcmp(text, FUZZ_OURS, sizeof text - 1), 0);
    }
    size_t offered = 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header;
         header = CMSG_NXTHDR(&message, header))
        for (size_t i = 0; i < (header->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
            int fd;
            struct stat about;
            memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
            CHECK_EQ(fstat(fd, &about), 0);
            close(fd);
            if (about.st_size == 0)
                continue; /* the consolation of a refused one */
            CHECK(offered < HANDSHAKE_MAX_RINGS);
            stranger->seen[offered++] = about.st_ino;
        }
    CHECK(offered == 0 || answer.status == TACHYON_SUCCESS);
}

/* Behind the hello stands what may be asked for, and it fits. Its bytes, or 0. */
static size_t told(const struct stranger *stranger, struct greeting hello) {
    const uint8_t *at = stranger->stream + sizeof hello;
    const char *types = NULL;
    hello.flags ^= WIRE_FLAG_TYPES;
    for (size_t i = 0; i < FUZZ_FITTING; i++)
        if (strlen(fuzz_theirs[i]) == hello.types_size &&
            memcmp(at + sizeof hello, fuzz_theirs[i], hello.types_size) == 0)
            types = fuzz_theirs[i];
    return types && memcmp(at, &hello, sizeof hello) == 0 &&
                   tachyon_types_fingerprint(types, hello.types_size) == hello.schema
               ? sizeof hello + hello.types_size
               : 0;
}

static bool is_good(const struct stranger *stranger, const struct listener *listener) {
    struct greeting hello;
    const tachyon_options_t *options = &listener->options;
    memcpy(&hello, stranger->stream, sizeof hello);
    bool differ = hello.schema && options->schema && hello.schema != options->schema;
    size_t between = differ && options->types ? told(stranger, hello) : 0;
    return stranger->sent > sizeof hello + between &&
           fuzz_is_good(&hello, listener->kind, options, between > 0) &&
           (listener->host.offer || hello.start != TACHYON_START_POSITION) &&
           stranger->stream[sizeof hello + between] == WIRE_ACKNOWLEDGE;
}

/* The host of many: makes all that the kind has, or less, and then refuses. */
static tachyon_error_t host(void *context, const struct client *client,
                            struct greeting *answer, struct region *regions) {
    struct input *input = context;
    uint64_t whim = input_below(input, 8);
    unsigned rings = handshake_rings((enum handshake_kind)answer->kind);
    CHECK(client->received == sizeof client->hello && !client->answered);
    CHECK(!regions[0].map && !regions[1].map);
    answer->peer = 7;
    if (whim == 0)
        return TACHYON_ERR_LAGGED;
    for (unsigned i = 0; i < rings; i++) {
        if (whim == 1 && i + 1 == rings)
            return TACHYON_ERR_BUSY;
        CHECK_EQ(ty_listener_create_ring(&regions[i], FUZZ_CAPACITY), TACHYON_SUCCESS);
    }
    return TACHYON_SUCCESS;
}

/* The last one of that name: the listener may have dropped earlier ones. */
static struct stranger *named(int listener_socket) {
    for (size_t i = stranger_count; i-- > 0;)
        if (strangers[i].listener == listener_socket)
            return &strangers[i];
    return NULL;
}

/* One round, in which somebody is heard. True: somebody was chosen. */
static bool hold_round(struct listener *listener) {
    struct session session;
    struct patience patience = {.until = ty_now_ns() + 20000};
    tachyon_error_t error = ty_listener_round(listener, &patience, &session);
    CHECK(error == TACHYON_SUCCESS || error == TACHYON_ERR_EMPTY ||
          error == TACHYON_ERR_INTERRUPTED); /* by the fuzzer's alarm clock */
    size_t answered = 0;
    for (size_t i = 0; i < listener->client_count; i++)
        answered += listener->clients[i].answered;
    CHECK(answered <= 1); /* so that no two share memory */
    for (size_t i = 0; i < stranger_count; i++)
        listen_to(&strangers[i]);
    if (error != TACHYON_SUCCESS)
        return false;
    struct stranger *good = named(session.socket);
    CHECK(good && good->seen[0] != 0 && is_good(good, listener));
    CHECK_EQ(memcmp(&listener->hello, good->stream, sizeof listener->hello), 0);
    for (size_t i = 0; i < stranger_count; i++)
        for (size_t j = 0; j < HANDSHAKE_MAX_RINGS; j++)
            CHECK(&strangers[i] == good || strangers[i].seen[j] == 0 ||
                  strangers[i].seen[j] != good->seen[j]);
    ty_handshake_free_regions(session.regions);
    ty_close(&session.socket);
    ty_close(&session.pidfd);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static struct listener listener;
    static struct door door = DOOR_NONE;
    struct input input = {bytes, size};
    size_t fds_before = fuzz_count_fds();
    /* Not all of it: clients are set when they come. */
    listener.address = ADDRESS_NONE;
    listener.kind = input_below(&input, 2) ? HANDSHAKE_BUS : HANDSHAKE_RPC;
    listener.door = &door;
    listener.deadline = TY_NEVER;
    listener.starved_until = 0;
    for (size_t i = 0; i < HANDSHAKE_MAX_RINGS; i++) {
        listener.capacities[i] = FUZZ_CAPACITY;
        listener.regions[i] = REGION_NONE;
    }
    listener.options = (tachyon_options_t){.schema = input_below(&input, 3)};
    if (input_below(&input, 2))
        fuzz_declare_types(&listener.options);
    listener.options.types_required = listener.options.types && input_below(&input, 2);
    listener.options.role =
        listener.kind == HANDSHAKE_BUS ? (uint32_t)input_below(&input, 3) : 0;
    listener.answer = (struct greeting){
        .magic = WIRE_MAGIC,
        .version = WIRE_VERSION,
        .kind = (uint32_t)listener.kind,
        .schema = listener.options.schema,
        .types_size = (uint32_t)listener.options.types_size,
    };
    bool many = input_below(&input, 2);
    listener.host = (struct listener_host){many ? host : NULL, &input};
    stranger_count = 0;
    come(&listener);
    bool chosen = false;
    for (bool heard = false; input.left > 0 && !chosen;) {
        struct stranger *stranger = &strangers[input_below(&input, stranger_count)];
        uint8_t piece[16];
        switch (input_below(&input, 8)) {
        case 0:
            come(&listener);
            break;
        case 1:
        case 2:
            greet(stranger, &input, listener.kind);
            heard = true;
            break;
        case 3:
            speak(stranger, "A", 1);
            heard = true;
            break;
        case 4:
            for (size_t i = 0; i < sizeof piece; i++)
                piece[i] = (uint8_t)input_number(&input, 1);
            speak(stranger, piece, input_below(&input, sizeof piece + 1));
            heard = true;
            break;
        case 5:
            shutdown(stranger->end, input_below(&input, 2) ? SHUT_WR : SHUT_RDWR);
            heard = true;
            break;
        case 6:
            if (listener.client_count > 0)
                listener.clients[input_below(&input, listener.client_count)].deadline =
                    0;
            heard = true;
            break;
        default:
            chosen = heard && hold_round(&listener) && !many;
            heard = false;
        }
    }
    while (listener.client_count > 0)
        drop_client(&listener, 0);
    ty_handshake_free_regions(listener.regions);
    for (size_t i = 0; i < stranger_count; i++)
        close(strangers[i].end);
    CHECK_EQ(fuzz_count_fds(), fds_before);
    return 0;
}
