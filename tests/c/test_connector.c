/* SPDX-License-Identifier: Apache-2.0 */
/* connector.c against listeners that are silent, wrong, or lie about their memory. */
#include "peers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHARED 8192
#define SEALED (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* What a server answers to the first client. */
struct server {
    const char *path;
    struct wire_greeting answer;
    size_t bytes; /* of the answer */
    size_t fd_count;
    bool reads_hello, stays;
    uint32_t role; /* that the client declares */
    int fds[16];
    int listener;
    struct wire_greeting hello; /* what it has read */
    char acknowledge;
};

static void *serve(void *context) {
    struct server *server = context;
    int client = wire_accept(server->listener);
    if (server->reads_hello)
        CHECK_EQ(wire_receive(client, &server->hello, sizeof server->hello, NULL, NULL,
                              3000),
                 sizeof server->hello);
    if (server->bytes > 0)
        wire_send(client, &server->answer, server->bytes, server->fds,
                  server->fd_count);
    if (server->stays)
        wire_receive(client, &server->acknowledge, 1, NULL, NULL, 3000);
    close(client);
    return NULL;
}

static int make_memfd(off_t bytes, int seals) {
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(fd >= 0);
    CHECK_EQ(fallocate(fd, 0, 0, bytes), 0);
    if (seals)
        CHECK_EQ(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

/* The pages would be found at the first access, or not at all. */
static int make_sparse(void) {
    int fd = memfd_create("sparse", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(fd >= 0);
    CHECK_EQ(ftruncate(fd, SHARED + 4096), 0);
    CHECK_EQ(fcntl(fd, F_ADD_SEALS, SEALED), 0);
    return fd;
}

static struct server good_server(void) {
    return (struct server){.path = test_path("bus"),
                           .answer = {.magic = WIRE_MAGIC,
                                      .version = WIRE_VERSION,
                                      .kind = WIRE_BUS,
                                      .capacity = {4096}},
                           .bytes = sizeof(struct wire_greeting),
                           .fd_count = 1,
                           .fds = {-1},
                           .reads_hello = true,
                           .stays = true};
}

/* What does connect say to this server? Its descriptors are closed here. */
static tachyon_error_t connect_to(struct server *server, tachyon_bus_t **bus) {
    tachyon_options_t options = options_with_timeout_ms(0);
    options.role = server->role;
    if (server->fds[0] < 0)
        server->fds[0] = make_memfd(SHARED + 4096, SEALED);
    server->listener = wire_listen(server->path);
    pthread_t thread = test_thread(serve, server);
    tachyon_error_t error = tachyon_bus_connect_with(server->path, &options, bus);
    test_join(thread);
    close(server->listener);
    CHECK_EQ(unlink(server->path), 0);
    for (size_t i = 0; i < 16; i++)
        if (server->fds[i] > 2)
            close(server->fds[i]);
    return error;
}

static void expect(struct server server, tachyon_error_t error, const char *cause) {
    tachyon_bus_t *bus;
    size_t before = test_count_fds();
    if (server.fds[0] > 2)
        before--; /* connect_to() closes it */
    for (size_t i = 1; i < 16; i++)
        before -= server.fds[i] > 2;
    CHECK_ERROR(connect_to(&server, &bus), error);
    CHECK_SAYS(cause);
    CHECK(!bus);
    CHECK_EQ(test_count_fds(), before);
}

TEST(an_honest_answer_is_accepted_and_acknowledged) {
    struct server server = good_server();
    tachyon_bus_t *bus;
    CHECK_OK(connect_to(&server, &bus));
    CHECK_EQ(server.acknowledge, 'A');
    CHECK_EQ(tachyon_max_payload(bus), 4096 - 128);
    CHECK_EQ(server.hello.magic, WIRE_MAGIC);
    CHECK_EQ(server.hello.version, WIRE_VERSION);
    CHECK_EQ(server.hello.kind, WIRE_BUS);
    CHECK_EQ(server.hello.pid, getpid());
    CHECK_EQ(server.hello.status, 0);
    CHECK_EQ(server.hello.epoch, 0);
    tachyon_bus_destroy(bus);
}

TEST(fault_5_a_descriptor_that_is_no_sealed_ring_is_refused) {
    struct server server = good_server();
    int fds[2];
    CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
    close(fds[1]);
    server.fds[0] = fds[0];
    expect(server, TACHYON_ERR_SEAL, "not sealed");
    server.fds[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    expect(server, TACHYON_ERR_SEAL, "not sealed");
    server.fds[0] = open("/", O_RDONLY | O_CLOEXEC);
    expect(server, TACHYON_ERR_SEAL, "not sealed");
    server.fds[0] = make_memfd(SHARED + 4096, 0);
    expect(server, TACHYON_ERR_SEAL, "not sealed");
    server.fds[0] = make_memfd(SHARED + 4096, F_SEAL_GROW);
    expect(server, TACHYON_ERR_SEAL, "not sealed");
    server.fds[0] = make_memfd(SHARED + 2048, SEALED);
    expect(server, TACHYON_ERR_CORRUPT, "10240 bytes instead of 12288");
    server.fds[0] = make_memfd(SHARED + 4096, SEALED | F_SEAL_WRITE);
    expect(server, TACHYON_ERR_MAP, "cannot map");
    server.fds[0] = make_sparse();
    expect(server, TACHYON_ERR_CORRUPT, "only 0 of the 12288 bytes");
    server.fds[0] = -1;
    server.answer.capacity[0] = 1 << 20; /* more than the memory has */
    expect(server, TACHYON_ERR_CORRUPT, "12288 bytes instead of 1056768");
    server.answer.capacity[0] = 4095;
    expect(server, TACHYON_ERR_CORRUPT, "a ring of 4095 bytes");
    server.answer.capacity[0] = UINT64_C(1) << 63;
    expect(server, TACHYON_ERR_CORRUPT, "a ring of 9223372036854775808 bytes");
}

TEST(a_wrong_number_of_descriptors_is_refused_and_none_leaks) {
    if (test_emulated())
        test_skip("an emulator leaks the descriptors that there is no room for");
    for (size_t count = 0; count <= 12; count++) {
        struct server server = good_server();
        char cause[64];
        if (count == 1)
            continue;
        for (size_t i = 0; i < count; i++)
            server.fds[i] = make_memfd(SHARED + 4096, SEALED);
        if (count == 0)
            server.fds[0] = 0; /* not passed */
        server.fd_count = count;
        snprintf(cause, sizeof cause, "%zu descriptors instead of 1",
                 count < 8 ? count : 8);
        if (count <= 8)
            expect(server, TACHYON_ERR_CORRUPT, cause);
        else
            expect(server, TACHYON_ERR_CORRUPT, "descriptors instead of 1");
    }
}

TEST(another_protocol_or_version_is_an_abi_mismatch) {
    struct server server = good_server();
    server.answer.magic = 0x50545448; /* "HTTP" */
    expect(server, TACHYON_ERR_ABI_MISMATCH, "50545448");
    server = good_server();
    server.answer.version = 102;
    expect(server, TACHYON_ERR_ABI_MISMATCH, "wire version 102");
    server = good_server();
    server.answer.kind = WIRE_RPC;
    expect(server, TACHYON_ERR_ABI_MISMATCH, "RPC bus");
    server = good_server();
    server.answer.kind = 77;
    expect(server, TACHYON_ERR_ABI_MISMATCH, "unknown");
    server = good_server();
    server.answer.status = 99;
    expect(server, TACHYON_ERR_ABI_MISMATCH, "status 99");
    server = good_server();
    server.answer.status = TACHYON_ERR_PERMISSION;
    expect(server, TACHYON_ERR_PERMISSION, "user id");
    server = good_server();
    server.answer.status = TACHYON_ERR_BUSY;
    expect(server, TACHYON_ERR_BUSY, "no place for another peer");
    server = good_server();
    server.answer.position = 65;
    expect(server, TACHYON_ERR_ABI_MISMATCH, "what none may");
}

TEST(who_sends_wants_no_memory_that_it_can_only_read) {
    struct server server = good_server();
    server.answer.flags = WIRE_BROADCAST;
    server.role = TACHYON_ROLE_PRODUCER;
    expect(server, TACHYON_ERR_BUSY, "can only receive");
}

TEST(the_forerunners_listener_is_an_abi_mismatch) {
    /* It reads no hello; it writes 32 bytes with a descriptor, and closes. */
    for (int slow = 0; slow < 2; slow++) {
        struct server server = good_server();
        server.answer.version = 4;
        server.bytes = 32;
        server.reads_hello = slow;
        server.stays = false;
        server.fds[0] = make_memfd(4096, 0);
        expect(server, TACHYON_ERR_ABI_MISMATCH, "wire version 4");
    }
}

TEST(a_socket_that_is_no_tachyon_is_told_from_one_that_hangs_up) {
    struct server server = good_server();
    memset(&server.answer, 'x', sizeof server.answer);
    server.bytes = 40;
    server.fd_count = 0;
    server.fds[0] = 0;
    server.stays = false;
    expect(server, TACHYON_ERR_ABI_MISMATCH, "no Tachyon");
    server.stays = true; /* the first word is enough, whether more comes or not */
    server.bytes = 4;
    expect(server, TACHYON_ERR_ABI_MISMATCH, "no Tachyon");
    server.stays = false;
    for (server.bytes = 0; server.bytes < 4; server.bytes += 3)
        for (int reads = 0; reads < 2; reads++) {
            server.reads_hello = reads;
            expect(server, TACHYON_ERR_NETWORK, "before it answered");
        }
}

TEST(fault_8_a_listener_that_never_answers_is_a_timeout) {
    static const int64_t timeouts_ms[] = {1, 50, 300};
    const char *path = test_path("bus");
    int listener = wire_listen(path);
    for (int i = 0; i < 3; i++) {
        tachyon_options_t options = options_with_timeout_ms(timeouts_ms[i]);
        tachyon_bus_t *bus;
        size_t before = test_count_fds();
        CHECK_TAKES(timeouts_ms[i] - 1, timeouts_ms[i] + 250,
                    CHECK_ERROR(tachyon_bus_connect_with(path, &options, &bus),
                                TACHYON_ERR_TIMEOUT));
        CHECK_EQ(test_count_fds(), before);
    }
    close(listener);
}

struct drip {
    int listener;
    struct wire_greeting answer;
};

static void *drip_body(void *context) {
    struct drip *drip = context;
    int client = wire_accept(drip->listener);
    for (size_t i = 0; i < sizeof drip->answer; i++) {
        if (send(client, (char *)&drip->answer + i, 1, MSG_NOSIGNAL) != 1)
            break;
        test_sleep_ms(10);
    }
    close(client);
    return NULL;
}

TEST(a_listener_that_answers_byte_by_byte_gets_no_more_time) {
    const char *path = test_path("bus");
    struct drip drip = {.listener = wire_listen(path), .answer = good_server().answer};
    tachyon_options_t options = options_with_timeout_ms(100);
    tachyon_bus_t *bus;
    CHECK_TAKES(99, 350, {
        pthread_t thread = test_thread(drip_body, &drip);
        CHECK_ERROR(tachyon_bus_connect_with(path, &options, &bus),
                    TACHYON_ERR_TIMEOUT);
        test_join(thread);
    });
    close(drip.listener);
}

TEST(fault_8_a_thousand_refused_connects_leak_nothing) {
    struct server server = good_server();
    server.answer.version = 102;
    server.stays = false;
    size_t before = test_count_fds();
    for (int i = 0; i < 1000; i++) {
        tachyon_bus_t *bus;
        server.fds[0] = -1;
        server.answer.version = i % 2 ? 102 : WIRE_VERSION;
        server.fd_count = i % 2 ? 1 : 0;
        CHECK(connect_to(&server, &bus) != TACHYON_SUCCESS);
    }
    CHECK_EQ(test_count_fds(), before);
}

TEST(the_ring_of_a_hostile_listener_leads_nowhere) {
    /* Whatever stands in the memory at the start. */
    for (int fill = 1; fill < 256; fill += 31)
        for (int sends = 0; sends < 2; sends++) {
            struct server server = good_server();
            tachyon_bus_t *bus;
            uint32_t type;
            size_t size;
            server.fds[0] = make_memfd(SHARED + 4096, SEALED);
            char bytes[SHARED + 4096];
            memset(bytes, fill, sizeof bytes);
            /* The sides are not claimed, or the bus is of no use to anybody. */
            memset(bytes, 0, 256);
            memset(bytes + 4096 + 256, 0, 128);
            CHECK_EQ(pwrite(server.fds[0], bytes, sizeof bytes, 0), sizeof bytes);
            CHECK_OK(connect_to(&server, &bus));
            if (!sends)
                CHECK_REFUSED(tachyon_acquire_rx(bus, &type, &size),
                              TACHYON_ERR_CORRUPT);
            else
                while (tachyon_send(bus, "x", 1, 1, 0, 0) == TACHYON_SUCCESS)
                    continue;
            CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CORRUPT);
            tachyon_bus_destroy(bus);
        }
}

static void *connect_to_a_spender(void *context) {
    tachyon_bus_t *bus;
    CHECK_ERROR(tachyon_bus_connect(context, &bus), TACHYON_ERR_CORRUPT);
    CHECK_SAYS("8 descriptors instead of 1");
    return NULL;
}

TEST(descriptors_with_each_piece_of_the_answer_overflow_nothing) {
    struct server server = good_server();
    const uint8_t *answer = (const uint8_t *)&server.answer;
    const size_t piece = sizeof server.answer / 4;
    int listener = wire_listen(server.path), fds[8];
    for (int i = 0; i < 8; i++)
        fds[i] = make_memfd(SHARED + 4096, SEALED);
    size_t before = test_count_fds();
    pthread_t thread =
        test_thread(connect_to_a_spender, (void *)(uintptr_t)server.path);
    int client = wire_accept(listener);
    CHECK_EQ(wire_receive(client, &server.hello, sizeof server.hello, NULL, NULL, 3000),
             sizeof server.hello);
    for (size_t i = 0; i < 4; i++)
        wire_send(client, answer + i * piece, piece, fds, 8);
    test_join(thread);
    close(client);
    CHECK_EQ(test_count_fds(), before); /* of the 32, none */
    for (int i = 0; i < 8; i++)
        close(fds[i]);
    close(listener);
    CHECK_EQ(unlink(server.path), 0);
}
