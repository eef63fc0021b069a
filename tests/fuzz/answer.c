/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connector before a listener that answers with any bytes, in any pieces, and
 * passes any descriptors. It succeeds exactly when all of it is right, and then every
 * byte of what it has mapped can be touched.
 */
#include "session.h"

static tachyon_error_t connect_to_input(const char *path, int start, int *out_socket);
#define ty_address_connect connect_to_input
#include "connector.c" /* the product's */
#undef ty_address_connect

#include "fuzz.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define KINDS 14
#define CONTROL 10 /* of a broadcast ... */
#define DATA 11    /* ... and its data; then what is not quite that */
#define GOOD 2     /* the first kinds are what they should be, for these capacities */
#define MOST_FDS 8 /* in one message, of which there may be several */
#define PIECES 9

static const uint64_t capacities[GOOD] = {FUZZ_CAPACITY, 2 * FUZZ_CAPACITY};
static int pool[KINDS];
static int peer_end = -1, our_end = -1;

static tachyon_error_t connect_to_input(const char *path, int start, int *out_socket) {
    (void)path, (void)start;
    *out_socket = our_end;
    our_end = -1;
    return TACHYON_SUCCESS;
}

static int make_memory(off_t size, bool allocated, int seals) {
    int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(fd >= 0);
    CHECK_EQ(allocated ? fallocate(fd, 0, 0, size) : ftruncate(fd, size), 0);
    CHECK_EQ(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

static void make_pool(void) {
    const off_t size = RING_SHARED_BYTES + FUZZ_CAPACITY;
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW;
    int pipe_ends[2], sockets[2];
    CHECK_EQ(pipe2(pipe_ends, O_CLOEXEC), 0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    pool[0] = make_memory(size, true, seals);
    pool[1] = make_memory(size + FUZZ_CAPACITY, true, seals | F_SEAL_SEAL);
    pool[2] = make_memory(size, true, 0);
    pool[3] = make_memory(size, true, F_SEAL_GROW);
    pool[4] = make_memory(size - 1, true, seals);
    pool[5] = make_memory(0, false, seals);
    pool[6] = make_memory(size, false, seals); /* no pages */
    pool[7] = pipe_ends[0];
    pool[8] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    pool[9] = sockets[0];
    pool[CONTROL] = make_memory(RING_SHARED_BYTES, true, seals | F_SEAL_SEAL);
    pool[DATA] = make_memory(FUZZ_CAPACITY, true, seals | F_SEAL_FUTURE_WRITE);
    pool[12] = make_memory(FUZZ_CAPACITY, true, seals);
    pool[13] = make_memory(FUZZ_CAPACITY + 4096, true, seals | F_SEAL_FUTURE_WRITE);
}

static void pass(const void *bytes, size_t size, const int *fds, size_t count) {
    union {
        char bytes[CMSG_SPACE(sizeof(int) * MOST_FDS)];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec data = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
    if (count > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * count);
        memcpy(CMSG_DATA(header), fds, sizeof(int) * count);
    }
    CHECK_EQ(sendmsg(peer_end, &message, MSG_NOSIGNAL | MSG_DONTWAIT), (ssize_t)size);
}

struct offer {
    bool told;   /* before it: of types that differ, which ... */
    bool agreed; /* ... fit, and are what was said of them */
    struct greeting answer;
    size_t sent; /* bytes of it */
    char joined; /* and then, in a broadcast, this byte; 0: none */
    size_t kinds[MOST_FDS], count;
    size_t passed[PIECES * MOST_FDS], passed_count; /* kinds, as they arrive */
};

static bool offers_broadcast(const struct greeting *answer) {
    return answer->kind == HANDSHAKE_BUS && answer->flags & WIRE_FLAG_BROADCAST;
}

static bool is_good(const struct offer *offer, enum handshake_kind kind,
                    const tachyon_options_t *options) {
    const struct greeting *answer = &offer->answer;
    bool good = offer->sent == sizeof *answer && answer->status == TACHYON_SUCCESS &&
                fuzz_is_good(answer, kind, options, offer->agreed) &&
                (!offer->told || offer->agreed) && !(answer->flags & WIRE_FLAG_TYPES);
    if (offers_broadcast(answer)) /* where it begins stands in the memory: at 0 */
        return good && options->role != TACHYON_ROLE_PRODUCER &&
               offer->passed_count == 2 && offer->passed[0] == CONTROL &&
               offer->passed[1] == DATA && answer->capacity[0] == FUZZ_CAPACITY &&
               offer->joined == WIRE_JOINED && options->start_position == 0;
    good = good && offer->passed_count == handshake_rings(kind);
    for (size_t i = 0; good && i < offer->passed_count; i++)
        good = offer->passed[i] < GOOD &&
               answer->capacity[i] == capacities[offer->passed[i]];
    return good;
}

/* Of the kind that is due, as a rule. */
static size_t choose_memory(struct input *input, bool broadcast, size_t i) {
    if (input_below(input, 4) == 0)
        return input_below(input, KINDS);
    return broadcast ? (i == 0 ? CONTROL : DATA) : input_below(input, GOOD);
}

static void make_offer(struct input *input, struct offer *offer,
                       enum handshake_kind kind) {
    *offer = (struct offer){
        .answer = {.magic = WIRE_MAGIC, .version = WIRE_VERSION, .kind = kind}};
    bool broadcast = kind == HANDSHAKE_BUS && input_below(input, 2);
    if (broadcast) {
        offer->answer.flags = WIRE_FLAG_BROADCAST;
        offer->joined =
            input_below(input, 4) ? WIRE_JOINED : (char)input_below(input, 3);
    }
    offer->count = input_below(input, 4) ? (broadcast ? 2 : handshake_rings(kind))
                                         : input_below(input, MOST_FDS + 1);
    for (size_t i = 0; i < offer->count; i++) {
        offer->kinds[i] = choose_memory(input, broadcast, i);
        if (i < HANDSHAKE_MAX_RINGS && offer->kinds[i] < GOOD)
            offer->answer.capacity[i] = capacities[offer->kinds[i]];
        else if (i < HANDSHAKE_MAX_RINGS)
            offer->answer.capacity[i] = FUZZ_CAPACITY;
    }
    switch (input_below(input, 6)) {
    case 0:
        ((uint8_t *)&offer->answer)[input_below(input, sizeof offer->answer)] ^=
            (uint8_t)input_number(input, 1);
        break;
    case 1:
        offer->answer.status = (uint32_t)input_below(input, 30);
        break;
    case 2:
        offer->answer.capacity[input_below(input, 2)] = input_number(input, 8);
        break;
    case 3:
        offer->answer.role = (uint32_t)input_below(input, 4);
        offer->answer.schema = input_below(input, 4);
        break;
    case 4:
        fuzz_say_types(&offer->answer, fuzz_theirs[input_below(input, 4)]);
        break;
    }
}

/* May this be said by who meant to say that? */
static bool tells_right(const uint8_t *bytes, struct greeting meant,
                        const tachyon_options_t *options) {
    struct greeting said;
    memcpy(&said, bytes, sizeof said);
    return said.schema == meant.schema && said.types_size == meant.types_size &&
           said.flags & WIRE_FLAG_TYPES &&
           fuzz_is_good(&said, (enum handshake_kind)meant.kind, options, true);
}

/* The first of two answers: with a description. */
static void tell_types(struct input *input, struct offer *offer,
                       const tachyon_options_t *options) {
    size_t which = input_below(input, 4);
    struct greeting greeting = offer->answer;
    uint8_t bytes[sizeof greeting + 128];
    greeting.status = TACHYON_ERR_ABI_MISMATCH;
    greeting.role = TACHYON_ROLE_NONE;
    greeting.flags = WIRE_FLAG_TYPES;
    fuzz_say_types(&greeting, fuzz_theirs[which]);
    size_t size = sizeof greeting + greeting.types_size;
    memcpy(bytes, &greeting, sizeof greeting);
    memcpy(bytes + sizeof greeting, fuzz_theirs[which], greeting.types_size);
    offer->told = true;
    if (input_below(input, 4) == 1)
        bytes[input_below(input, size)] = (uint8_t)input_number(input, 1);
    offer->agreed = which < FUZZ_FITTING && options->types &&
                    memcmp(bytes + sizeof greeting, fuzz_theirs[which],
                           size - sizeof greeting) == 0 &&
                    tells_right(bytes, greeting, options);
    for (size_t sent = 0; sent < size;) {
        size_t piece =
            input_below(input, 2) ? 1 + input_below(input, size - sent) : size - sent;
        pass(bytes + sent, piece, NULL, 0);
        sent += piece;
    }
}

static void send_offer(struct input *input, struct offer *offer) {
    int fds[MOST_FDS];
    size_t most = input_below(input, 8) ? sizeof offer->answer
                                        : input_below(input, sizeof offer->answer);
    for (size_t i = 0; i < offer->count; i++)
        fds[i] = pool[offer->kinds[i]];
    for (int pieces = 1; offer->sent < most; pieces++) {
        size_t size = most - offer->sent;
        if (pieces < PIECES && input_below(input, 2))
            size = 1 + input_below(input, size);
        bool last = size == most - offer->sent;
        bool with_fds = offer->passed_count == 0 ? last || input_below(input, 2)
                                                 : input_below(input, 4) == 1;
        size_t count = with_fds ? offer->count : 0;
        pass((uint8_t *)&offer->answer + offer->sent, size, fds, count);
        memcpy(&offer->passed[offer->passed_count], offer->kinds,
               count * sizeof offer->kinds[0]);
        offer->passed_count += count;
        offer->sent += size;
    }
    if (offer->joined && offer->sent == sizeof offer->answer)
        pass(&offer->joined, 1, NULL, 0);
    shutdown(peer_end, SHUT_WR);
}

/* All of it is there, and mapped twice; the data of a broadcast is only read. */
static void touch(const struct region *region) {
    volatile uint8_t *map = region->map;
    size_t last = region->data_offset + 2 * region->capacity - 1;
    map[0] = 1;
    if (region->read_only) {
        CHECK_EQ(map[region->data_offset] | map[last], 0);
        return;
    }
    map[region->data_offset] = 1;
    CHECK_EQ(map[region->data_offset + region->capacity], 1);
    map[last] = 0;
    map[region->data_offset] = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct input input = {bytes, size};
    struct session session;
    struct offer offer;
    tachyon_options_t options = {.socket_mode = 0600};
    int ends[2];
    if (pool[0] == 0)
        make_pool();
    size_t fds_before = fuzz_count_fds();

    enum handshake_kind kind = input_below(&input, 2) ? HANDSHAKE_BUS : HANDSHAKE_RPC;
    options.role = kind == HANDSHAKE_BUS ? (uint32_t)input_below(&input, 3) : 0;
    options.schema = input_below(&input, 3);
    if (options.role == TACHYON_ROLE_CONSUMER)
        options.start = (uint32_t)input_below(&input, 3);
    if (options.start == TACHYON_START_POSITION)
        options.start_position = 64 * input_below(&input, 2);
    if (input_below(&input, 2))
        fuzz_declare_types(&options);
    options.types_required = options.types && input_below(&input, 2);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends),
             0);
    peer_end = ends[0];
    our_end = ends[1];
    make_offer(&input, &offer, kind);
    if (input_below(&input, 3) == 1)
        tell_types(&input, &offer, &options);
    send_offer(&input, &offer);
    const struct patience none = {.until = 0};
    struct door door = DOOR_NONE;
    struct connector connector;
    ty_connector_init(&connector, kind, &options, &door);
    CHECK_EQ(ty_connector_open(&connector, "fuzz"), TACHYON_SUCCESS);
    tachyon_error_t error;
    while ((error = ty_connector_round(&connector, &none, &session)) ==
           TACHYON_ERR_EMPTY)
        ;
    ty_connector_close(&connector);
    CHECK_EQ(error == TACHYON_SUCCESS, is_good(&offer, kind, &options));
    if (error == TACHYON_SUCCESS) {
        for (size_t i = 0; i < handshake_rings(kind); i++)
            touch(&session.regions[i]);
        ty_handshake_free_regions(session.regions);
        ty_close(&session.socket);
        ty_close(&session.pidfd);
    } else {
        CHECK_EQ(tachyon_last_error(), error);
    }
    close(peer_end);
    CHECK_EQ(fuzz_count_fds(), fds_before);
    return 0;
}
