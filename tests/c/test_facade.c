/* SPDX-License-Identifier: Apache-2.0 */
/* swig/facade.c: errors of the object, waits that end, and who keeps the ring mapped. */
#include "facade.h"
#include "harness.h"

#include <math.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct ends {
    Bus *sender, *receiver;
};

static void step_both(Bus *one, Bus *other) {
    while (Bus_open_step(one) + Bus_open_step(other) < 2)
        ;
    CHECK_EQ(one->error, 0);
}

static struct ends open_ends(void) {
    struct ends ends = {new_Bus(), new_Bus()};
    Options *patient = new_Options();
    const char *path = test_path("bus");
    CHECK_EQ(Bus_listen_start(ends.sender, path, 65536, NULL), 0);
    CHECK_EQ(Bus_connect_start(ends.receiver, path, patient), 0);
    step_both(ends.sender, ends.receiver);
    delete_Options(patient);
    return ends;
}

static struct ends open_rpc(void) { /* sender calls, receiver serves */
    struct ends ends = {new_RpcBus(), new_RpcBus()};
    Options *patient = new_Options();
    const char *path = test_path("rpc");
    CHECK_EQ(RpcBus_listen_start(ends.receiver, path, 65536, 65536, NULL), 0);
    CHECK_EQ(RpcBus_connect_start(ends.sender, path, patient), 0);
    step_both(ends.receiver, ends.sender);
    delete_Options(patient);
    return ends;
}

static void delete_ends(struct ends ends) {
    delete_Bus(ends.sender);
    delete_Bus(ends.receiver);
}

static bool is_mapped(const void *page) {
    unsigned char resident;
    return mincore((void *)(uintptr_t)page, 1, &resident) == 0;
}

static Result received(Bus *bus, double timeout) {
    char into[64];
    return Bus_recv_into(bus, into, sizeof into, timeout);
}

/* ---- Errors ---- */

static void every_call_says(Bus *bus, const char *text) {
    char into[8];
#define SAYS(call)                                                                     \
    do {                                                                               \
        bus->error = 0;                                                                \
        (void)(call);                                                                  \
        CHECK_EQ(bus->error, TACHYON_ERR_CLOSED);                                      \
        CHECK(strcmp(Bus_error_text(bus), text) == 0);                                 \
    } while (0)
    SAYS(Bus_send(bus, "x", 1, 0, 0));
    SAYS(Bus_send_batch(bus, "x", 1, 1, 0, 0));
    SAYS(Bus_recv(bus, 0).data);
    SAYS(Bus_recv_into(bus, into, sizeof into, 0));
    SAYS(Bus_recv_batch(bus, 1, 1, 0).data);
    SAYS(Bus_recv_batch_into(bus, into, sizeof into, 1, 0));
    SAYS(Bus_ring_memory(bus).data);
    SAYS(Bus_reserve(bus, 1, 0));
    SAYS(Bus_commit(bus, 1, 0));
    SAYS(Bus_reserve_batch(bus, 1, 1, 0));
    SAYS(Bus_commit_batch(bus, 1, 0));
    SAYS(Bus_rollback(bus));
    SAYS(Bus_flush(bus));
    SAYS(Bus_acquire(bus, 0));
    SAYS(Bus_take(bus, 0, 0));
    SAYS(Bus_take_next(bus, 0));
    SAYS(Bus_release(bus, 0));
    SAYS(Bus_fileno(bus));
    SAYS(Bus_max_payload(bus));
    SAYS((Bus_set_polling_mode(bus, 1), 0));
    SAYS(Bus_set_numa_node(bus, 0));
    SAYS((Bus_stats(bus), 0));
    SAYS((Bus_peer(bus), 0));
    SAYS((Bus_accept(bus, 0), 0));
    SAYS((Bus_accept(bus, -1), 0));
    SAYS(Bus_peers(bus));
    SAYS(Bus_drop_peer(bus, 1));
    SAYS(Bus_sender(bus));
    SAYS(Bus_position(bus));
    SAYS(RpcBus_call(bus, "x", 1, 0, 0));
    SAYS(RpcBus_wait_for(bus, 1, 0).data);
    SAYS(RpcBus_serve(bus, 0).data);
    SAYS(RpcBus_next_reply(bus, 1, 0));
    SAYS(RpcBus_next_request(bus, 0));
    SAYS(RpcBus_reply(bus, 1, "x", 1, 0, 0));
    SAYS(RpcBus_cancel(bus, 1));
    SAYS((RpcBus_stats(bus), 0));
#undef SAYS
}

TEST(what_is_not_open_or_closed_or_deleted_says_so) {
    Bus *bus = new_Bus();
    CHECK_EQ(Bus_state(bus), TACHYON_STATE_UNINITIALIZED);
    every_call_says(bus, "the bus is not open");
    Bus_close(bus);
    Bus_close(bus);
    CHECK_EQ(Bus_state(bus), TACHYON_STATE_DISCONNECTED);
    every_call_says(bus, "the bus is closed");
    CHECK_EQ(Bus_listen(bus, test_path("late"), 4096, NULL), -TACHYON_ERR_CLOSED);
    delete_Bus(bus);
    every_call_says(bus_none(), "the bus is closed");
    delete_Bus(bus_none());
    delete_Bus(NULL);

    struct ends ends = open_ends();
    CHECK_EQ(Bus_listen(ends.sender, test_path("more"), 4096, NULL), -TACHYON_ERR_BUSY);
    Bus_close(ends.sender);
    every_call_says(ends.sender, "the bus is closed");
    CHECK_EQ(received(ends.receiver, -1), -TACHYON_ERR_CLOSED);
    CHECK(strcmp(Bus_error_text(ends.receiver), "the bus is closed") != 0);
    delete_ends(ends);
}

TEST(an_opening_that_failed_may_be_tried_again) {
    Bus *bus = new_Bus();
    Options *options = new_Options();
    options->timeout = 0.01;
    const char *path = test_path("again");
    CHECK_EQ(Bus_listen(bus, path, 3, options), -TACHYON_ERR_INVALID_SZ);
    CHECK_EQ(Bus_listen(bus, path, 0, options), -TACHYON_ERR_INVALID_SZ);
    CHECK_EQ(Bus_listen(bus, path, 4096, options), -TACHYON_ERR_TIMEOUT);
    options->timeout = 0;
    CHECK_EQ(Bus_listen(bus, path, 4096, options), -TACHYON_ERR_TIMEOUT);
    CHECK_EQ(Bus_connect(bus, path, options), -TACHYON_ERR_NETWORK);
    CHECK_EQ(Bus_connect(bus, path, NULL), -TACHYON_ERR_NETWORK);
    options->timeout = NAN;
    CHECK_EQ(Bus_connect(bus, path, options), -TACHYON_ERR_INVALID_SZ);
    for (uint32_t uid = 0; uid < 100; uid++)
        Options_allow_uid(options, uid);
    CHECK_EQ(options->uid_count, 100);
    delete_Options(options);
    delete_Bus(bus);
}

#define TICK(quantity)                                                                 \
    "tachyon-types 1 little\nmessage 1 Tick\n quantity " quantity " @0\n"              \
    " = 8 align 8\n"

static const Options *typed(Options *options, const char *types) {
    Options_set_types(options, types);
    return options;
}

TEST(two_ends_whose_messages_differ_both_say_in_what) {
    const char *path = test_path("typed");
    Options *options = new_Options();
    options->timeout = 20;
    Bus *listener = new_Bus(), *connector = new_Bus();
    typed(options, "to be replaced");
    CHECK_EQ(Bus_listen_start(listener, path, 4096, typed(options, TICK("u64"))), 0);
    CHECK_EQ(Bus_connect_start(connector, path, typed(options, TICK("i64"))), 0);
    Result stepped;
    while ((stepped = Bus_open_step(connector)) == 0)
        CHECK_EQ(Bus_open_step(listener), 0);
    CHECK_EQ(stepped, -TACHYON_ERR_ABI_MISMATCH);
    CHECK(strstr(Bus_error_text(connector),
                 "Tick.quantity: i64 at 0 here, u64 at 0 at the peer"));
    typed(options, TICK("u64"));
    options->types_required = 1;
    CHECK_EQ(Bus_connect_start(connector, path, options), 0);
    step_both(listener, connector);
    delete_Bus(connector);
    delete_Bus(listener);

    listener = new_Bus();
    connector = new_Bus();
    options->timeout = 0.5;
    CHECK_EQ(Bus_listen_start(listener, path, 4096, options), 0);
    CHECK_EQ(Bus_connect_start(connector, path, typed(options, TICK("i64"))), 0);
    while ((stepped = Bus_open_step(listener)) == 0)
        Bus_open_step(connector);
    CHECK_EQ(stepped, -TACHYON_ERR_TIMEOUT);
    CHECK(strstr(Bus_error_text(listener),
                 "Tick.quantity: u64 at 0 here, i64 at 0 at the peer"));
    CHECK_EQ(Bus_connect(connector, path, typed(options, "nothing")),
             -TACHYON_ERR_INVALID_SZ);
    options->types_required = -1;
    CHECK_EQ(Bus_connect(connector, path, typed(options, TICK("u64"))),
             -TACHYON_ERR_INVALID_SZ);
    delete_Options(options);
    delete_Bus(connector);
    delete_Bus(listener);
}

TEST(a_time_out_that_is_no_number_is_refused) {
    struct ends ends = open_ends();
    CHECK_EQ(received(ends.receiver, NAN), -TACHYON_ERR_INVALID_SZ);
    CHECK_EQ(received(ends.receiver, 0), -TACHYON_ERR_EMPTY);
    CHECK_TAKES(20, 200, CHECK_EQ(received(ends.receiver, 0.02), -TACHYON_ERR_TIMEOUT));
    delete_ends(ends);
}

/* ---- Messages ---- */

TEST(a_message_that_is_too_long_for_the_room_stays) {
    struct ends ends = open_ends();
    char into[8];
    CHECK_EQ(Bus_send(ends.sender, "0123456789", 10, 7, -1), 0);
    CHECK_EQ(Bus_recv_into(ends.receiver, into, 8, -1), -TACHYON_ERR_INVALID_SZ);
    CHECK_EQ(ends.receiver->size, 10);
    CHECK_EQ(received(ends.receiver, -1), 10);
    CHECK_EQ(ends.receiver->type_id, 7);
    delete_ends(ends);
}

TEST(a_message_that_was_not_copied_comes_again) {
    struct ends ends = open_ends();
    CHECK_EQ(Bus_send(ends.sender, "abc", 3, 7, -1), 0);
    for (int i = 0; i < 3; i++) {
        Bytes bytes = Bus_recv(ends.receiver, -1);
        CHECK_EQ(bytes.len, 3);
        CHECK(memcmp(bytes.data, "abc", 3) == 0);
    }
    bytes_taken(ends.receiver);
    CHECK(!Bus_recv(ends.receiver, 0).data);
    CHECK_EQ(ends.receiver->error, TACHYON_ERR_EMPTY);
    Bus_close(ends.receiver); /* nobody is inside: it goes at once */
    CHECK(!ends.receiver->bus);
    delete_ends(ends);
}

TEST(batches_go_copied_and_in_place) {
    struct ends ends = open_ends();
    Memory ring = Bus_ring_memory(ends.sender), seen = Bus_ring_memory(ends.receiver);
    Memory views = Bus_view_memory(ends.receiver);
    CHECK_EQ(ring.len, 2 * 65536);
    CHECK_EQ(Bus_send_batch(ends.sender, "aabbcc", 6, 2, 3, -1), 3);
    CHECK_EQ(Bus_send_batch(ends.sender, "aabbc", 5, 2, 3, -1),
             -TACHYON_ERR_INVALID_SZ);
    CHECK_EQ(Bus_send_batch(ends.sender, "aabbc", 5, 0, 3, -1),
             -TACHYON_ERR_INVALID_SZ);
    Bytes all = Bus_recv_batch(ends.receiver, 2, SIZE_MAX, -1);
    CHECK_EQ(all.len, 6);
    CHECK(memcmp(all.data, "aabbcc", 6) == 0);
    CHECK(!Bus_recv_batch(ends.receiver, SIZE_MAX, 2, -1).data);
    CHECK_EQ(ends.receiver->error, TACHYON_ERR_INVALID_SZ);

    for (int turn = 0; turn < 1000; turn++) { /* round the ring a few times */
        Result offset = Bus_reserve_batch(ends.sender, 40, 4, -1);
        CHECK(offset >= 0);
        CHECK_EQ(ends.sender->count, 4);
        for (uint32_t i = 0; i < 4; i++)
            memset(ring.data + offset + i * ends.sender->stride, 'a' + (int)i, 40);
        CHECK_EQ(Bus_commit_batch(ends.sender, 3, 9), 0);
        CHECK_EQ(Bus_flush(ends.sender), 0);
        CHECK_EQ(Bus_take(ends.receiver, 0, -1), 3);
        const View *view = (const View *)(const void *)views.data;
        for (int i = 0; i < 3; i++) {
            CHECK_EQ(view[i].size, 40);
            CHECK_EQ(view[i].type_id, 9);
            CHECK_EQ(seen.data[view[i].offset + 39], 'a' + i);
        }
        CHECK_EQ(Bus_release(ends.receiver, 1), 0);
        CHECK_EQ(Bus_release(ends.receiver, 3), -TACHYON_ERR_INVALID_SZ);
        CHECK_EQ(Bus_release(ends.receiver, UINT32_MAX), -TACHYON_ERR_INVALID_SZ);
        CHECK_EQ(Bus_release(ends.receiver, 2), 0);
        CHECK_EQ(Bus_release(ends.receiver, 0), -TACHYON_ERR_EMPTY);
    }
    Result offset = Bus_reserve(ends.sender, 5, -1);
    memcpy(ring.data + offset, "hello", 5);
    CHECK_EQ(Bus_commit(ends.sender, 5, 1), 0);
    CHECK_EQ(Bus_flush(ends.sender), 0);
    offset = Bus_acquire(ends.receiver, -1);
    CHECK(offset >= 0 && ends.receiver->size == 5 && ends.receiver->type_id == 1);
    CHECK(memcmp(seen.data + offset, "hello", 5) == 0);
    CHECK_EQ(Bus_release(ends.receiver, 0), 0);
    bus_unref(ends.sender);
    bus_unref(ends.receiver);
    bus_unref(ends.receiver);
    delete_ends(ends);
}

TEST(calls_are_answered_and_a_reply_waits_for_room) {
    struct ends ends = open_rpc();
    Bus *caller = ends.sender, *callee = ends.receiver;
    char into[8] = {0};
    CHECK_EQ(RpcBus_copy_held(caller, into, sizeof into), -TACHYON_ERR_EMPTY);
    Result first = RpcBus_call(caller, "one", 3, 4, -1);
    Result second = RpcBus_call(caller, "two", 3, 4, -1);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(RpcBus_next_request(callee, -1), 3);
        CHECK_EQ(callee->type_id, 4);
        CHECK_EQ(RpcBus_copy_held(callee, into, sizeof into), 3);
        CHECK_EQ(RpcBus_reply(callee, callee->id, into, 3, 5, -1), 0);
    }
    CHECK_EQ(RpcBus_next_reply(caller, (uint64_t)second, -1), 3);
    CHECK_EQ(RpcBus_copy_held(caller, into, 2), -TACHYON_ERR_INVALID_SZ);
    CHECK_EQ(RpcBus_next_reply(caller, (uint64_t)second, -1), 3);
    CHECK_EQ(RpcBus_copy_held(caller, into, sizeof into), 3);
    CHECK(memcmp(into, "two", 3) == 0);
    CHECK_EQ(RpcBus_wait_for(caller, 0, -1).len, 3);
    CHECK_EQ(caller->id, first);
    bytes_taken(caller);
    CHECK_EQ(RpcBus_cancel(caller, (uint64_t)first), -TACHYON_ERR_INVALID_SZ);
    CHECK_EQ(RpcBus_stats(caller).replies, 2);
    CHECK(!Bus_ring_memory(caller).data);
    delete_ends(ends);
}

static void *every_other_receives(void *bus) {
    CHECK(!RpcBus_serve(bus, 0).data);
    CHECK_EQ(((Bus *)bus)->error, TACHYON_ERR_BUSY);
    CHECK_EQ(RpcBus_next_request(bus, 0), -TACHYON_ERR_BUSY);
    CHECK_EQ(RpcBus_next_reply(bus, 0, 0), -TACHYON_ERR_BUSY);
    return NULL;
}

TEST(what_one_thread_is_to_copy_no_other_takes_away) {
    struct ends ends = open_rpc();
    char into[8] = {0};
    Result first = RpcBus_call(ends.sender, "one", 3, 4, -1);
    CHECK(first > 0 && RpcBus_call(ends.sender, "fourth", 6, 4, -1) > 0);
    CHECK_EQ(RpcBus_next_request(ends.receiver, -1), 3);
    test_join(test_thread(every_other_receives, ends.receiver));
    CHECK_EQ(RpcBus_copy_held(ends.receiver, into, 3), 3);
    CHECK(memcmp(into, "one", 3) == 0);
    CHECK_EQ(RpcBus_reply(ends.receiver, (uint64_t)first, into, 3, 5, -1), 0);
    CHECK_EQ(RpcBus_next_reply(ends.sender, 0, -1), 3);
    test_join(test_thread(every_other_receives, ends.sender));
    CHECK_EQ(RpcBus_copy_held(ends.sender, into, 3), 3);
    CHECK_EQ(RpcBus_next_request(ends.receiver, -1), 6); /* not lost */
    CHECK_EQ(RpcBus_next_request(ends.receiver, -1), 6); /* nor in its own way */
    delete_ends(ends);
}

static void *looks(void *bus) {
    for (int i = 0; i < 300000; i++)
        CHECK(Bus_max_payload(bus) > 0);
    return NULL;
}

TEST(an_error_is_of_the_thread_that_made_the_call) {
    struct ends ends = open_rpc();
    pthread_t other = test_thread(looks, ends.receiver);
    for (int i = 0; i < 300000; i++)
        CHECK_EQ(RpcBus_next_request(ends.receiver, 0), -TACHYON_ERR_EMPTY);
    test_join(other);
    delete_ends(ends);
}

/* ---- Many peers ---- */

static Bus *listen_for_many(const char *path, int role, int slow_peer) {
    Bus *bus = new_Bus();
    Options *options = new_Options();
    options->role = role;
    options->max_peers = 4;
    options->slow_peer = slow_peer;
    options->slow_after = slow_peer ? 0.01 : 0;
    options->without_peers =
        slow_peer ? TACHYON_WITHOUT_PEERS_FREE_RUN : TACHYON_WITHOUT_PEERS_WAIT;
    CHECK_EQ(Bus_listen(bus, path, 65536, options), 0);
    delete_Options(options);
    return bus;
}

static Bus *join(Bus *listener, const char *path, const Options *options) {
    Bus *bus = new_Bus();
    tachyon_event_t event = {0};
    CHECK_EQ(Bus_connect_start(bus, path, options), 0);
    while (Bus_open_step(bus) == 0 || event.kind == 0)
        if (event.kind == 0)
            event = Bus_accept(listener, 0);
    CHECK_EQ(bus->error, 0);
    CHECK_EQ(event.kind, TACHYON_EVENT_JOINED);
    CHECK_EQ(event.who.pid, getpid());
    CHECK_EQ(event.who.uid, getuid());
    CHECK_EQ(event.who.gid, getgid());
    return bus;
}

TEST(one_collects_from_many_and_knows_who_is_there) {
    const char *path = test_path("many");
    Bus *collector = listen_for_many(path, TACHYON_ROLE_CONSUMER, 0);
    Options *named = new_Options();
    Options_set_name(named, "first");
    Options_set_name(named, "second");
    Bus *one = join(collector, path, NULL), *other = join(collector, path, named);
    delete_Options(named);

    Peers *peers = Bus_peers(collector);
    CHECK_EQ(peers->count, 2);
    tachyon_peer_info_t info = Peers_at(peers, 1);
    CHECK_EQ(info.peer, 2);
    CHECK(strcmp(info.name, "second") == 0);
    CHECK_EQ(info.who.pid, getpid());
    CHECK_EQ(info.who.uid, getuid());
    CHECK_EQ(info.who.gid, getgid());
    CHECK_EQ(Peers_at(peers, 2).peer, 0);
    delete_Peers(peers);
    delete_Peers(NULL);

    CHECK_EQ(Bus_sender(collector), 0);
    CHECK_EQ(Bus_send(other, "b", 1, 0, -1), 0);
    CHECK_EQ(received(collector, 1), 1);
    CHECK_EQ(Bus_sender(collector), 2);
    CHECK_EQ(Bus_send_batch(one, "aabb", 4, 2, 3, -1), 2);
    CHECK_EQ(Bus_recv_batch(collector, 2, SIZE_MAX, 1).len, 4);
    CHECK_EQ(Bus_position(collector), -TACHYON_ERR_INVALID_SZ);

    CHECK_EQ(Bus_accept(collector, 0).reason, TACHYON_ERR_EMPTY);
    CHECK_EQ(Bus_accept(collector, NAN).reason, TACHYON_ERR_INVALID_SZ);
    CHECK_TAKES(20, 200,
                CHECK_EQ(Bus_accept(collector, 0.02).reason, TACHYON_ERR_TIMEOUT));
    CHECK_EQ(collector->error, TACHYON_ERR_TIMEOUT);
    CHECK_EQ(Bus_accept(one, -1).reason, TACHYON_ERR_INVALID_SZ);
    CHECK(!Bus_peers(one));
    CHECK_EQ(one->error, TACHYON_ERR_INVALID_SZ);
    CHECK_EQ(Bus_drop_peer(one, 1), -TACHYON_ERR_INVALID_SZ);

    CHECK_EQ(Bus_drop_peer(collector, 3), -TACHYON_ERR_INVALID_SZ);
    CHECK_EQ(Bus_drop_peer(collector, 1), 0);
    CHECK_EQ(Bus_drop_peer(collector, 1), -TACHYON_ERR_INVALID_SZ);
    CHECK_EQ(received(collector, 0), -TACHYON_ERR_EMPTY); /* lets it go */
    tachyon_event_t left = Bus_accept(collector, 3);
    CHECK_EQ(left.kind, TACHYON_EVENT_LEFT);
    CHECK_EQ(left.peer, 1);
    CHECK_EQ(left.reason, TACHYON_ERR_CLOSED);
    Result sent;
    while ((sent = Bus_send(one, "a", 1, 0, -1)) == 0) /* it may be told later */
        ;
    CHECK_EQ(sent, -TACHYON_ERR_CLOSED);
    delete_Bus(one);
    delete_Bus(other);
    delete_Bus(collector);
}

TEST(of_many_peers_only_a_broadcast_is_written_in_place) {
    static const char says[] = "each of many peers has memory of its own: send and "
                               "receive copies";
    const char *path = test_path("place");
    Bus *collector = listen_for_many(path, TACHYON_ROLE_CONSUMER, 0);
    Bus *one = join(collector, path, NULL);
    CHECK_EQ(Bus_send(one, "a", 1, 0, -1), 0);
    CHECK_EQ(Bus_acquire(collector, -1), -TACHYON_ERR_INVALID_SZ);
    CHECK(strcmp(Bus_error_text(collector), says) == 0);
    CHECK_EQ(Bus_take(collector, 0, -1), -TACHYON_ERR_INVALID_SZ);
    CHECK_EQ(Bus_take_next(collector, -1), -TACHYON_ERR_INVALID_SZ);
    CHECK_EQ(Bus_reserve(collector, 1, -1), -TACHYON_ERR_INVALID_SZ);
    CHECK_EQ(Bus_reserve_batch(collector, 1, 1, -1), -TACHYON_ERR_INVALID_SZ);
    CHECK(!Bus_ring_memory(collector).data);
    CHECK_EQ(collector->error, TACHYON_ERR_INVALID_SZ);
    CHECK_EQ(received(collector, -1), 1);
    delete_Bus(one);
    Bus_close(collector);
    CHECK_EQ(Bus_acquire(collector, -1), -TACHYON_ERR_CLOSED);
    delete_Bus(collector);

    Bus *feed = listen_for_many(path, TACHYON_ROLE_PRODUCER, 0);
    Bus *reader = join(feed, path, NULL);
    Memory ring = Bus_ring_memory(feed), seen = Bus_ring_memory(reader);
    CHECK_EQ(ring.len, seen.len);
    ring.data[Bus_reserve(feed, 1, -1)] = 'x';
    CHECK_EQ(Bus_commit(feed, 1, 0), 0);
    CHECK_EQ(Bus_flush(feed), 0);
    CHECK_EQ(seen.data[Bus_acquire(reader, -1)], 'x');
    CHECK_EQ(Bus_release(reader, 0), 0);
    delete_Bus(feed);
    delete_Bus(reader);
    bus_unref(feed);
    bus_unref(reader);
}

TEST(a_reader_goes_on_from_its_position) {
    const char *path = test_path("position");
    Bus *feed = listen_for_many(path, TACHYON_ROLE_PRODUCER, 0);
    Bus *reader = join(feed, path, NULL);
    CHECK_EQ(Bus_send_batch(feed, "abc", 3, 1, 0, -1), 3);
    CHECK_EQ(received(reader, -1), 1);
    Options *options = new_Options();
    options->start = TACHYON_START_POSITION;
    options->start_position = (uint64_t)Bus_position(reader);
    options->start_epoch = reader->epoch;
    CHECK(options->start_position % 64 == 0 && options->start_epoch > 0);
    Bus *next = join(feed, path, options);
    CHECK_EQ(Bus_position(next), options->start_position);
    Bytes bytes = Bus_recv(next, -1);
    CHECK_EQ(bytes.data[0], 'b');
    bytes_taken(next);
    CHECK_EQ(next->error, 0);

    Bus *late = new_Bus();
    options->start_epoch += 1;
    CHECK_EQ(Bus_connect_start(late, path, options), 0);
    Result outcome;
    while ((outcome = Bus_open_step(late)) == 0)
        Bus_accept(feed, 0);
    CHECK_EQ(outcome, -TACHYON_ERR_LAGGED);
    delete_Options(options);
    delete_Bus(late);
    delete_Bus(reader);
    delete_Bus(next);
    delete_Bus(feed);
}

static void overtake(Bus *feed) {
    static const char load[30000];
    for (int i = 0; i < 4; i++)
        CHECK_EQ(Bus_send(feed, load, sizeof load, 0, -1), 0);
}

TEST(a_copy_that_came_too_late_is_worth_nothing) {
    const char *path = test_path("late");
    Bus *feed = listen_for_many(path, TACHYON_ROLE_PRODUCER, TACHYON_SLOW_DISCONNECT);
    Bus *copies = join(feed, path, NULL), *looks = join(feed, path, NULL);
    CHECK_EQ(Bus_send(feed, "a", 1, 0, -1), 0);
    CHECK_EQ(Bus_recv(copies, -1).len, 1);
    CHECK_EQ(Bus_take(looks, 0, -1), 1);
    overtake(feed);
    bytes_taken(copies);
    CHECK_EQ(copies->error, TACHYON_ERR_LAGGED);
    CHECK_EQ(received(copies, -1), -TACHYON_ERR_LAGGED);
    CHECK_EQ(Bus_release(looks, 0), -TACHYON_ERR_LAGGED);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(Bus_accept(feed, 3).reason, TACHYON_ERR_LAGGED);
    delete_Bus(copies);
    delete_Bus(looks);
    delete_Bus(feed);
}

static void *waits_for_peers(void *bus) {
    tachyon_event_t event;
    do {
        event = Bus_accept(bus, -1);
        CHECK_EQ(event.kind, 0);
    } while (event.reason == TACHYON_ERR_BUSY); /* the other looks right now */
    return (void *)(intptr_t)event.reason;
}

/* Another thread is in the core: so says the one that is refused. */
static void until_it_waits(Bus *bus) {
    while (Bus_accept(bus, 0.001).reason != TACHYON_ERR_BUSY)
        ;
}

TEST(one_thread_waits_for_peers_beside_the_one_that_sends) {
    const char *path = test_path("beside");
    Bus *feed = listen_for_many(path, TACHYON_ROLE_PRODUCER, 0);
    pthread_t thread = test_thread(waits_for_peers, feed);
    until_it_waits(feed);
    CHECK_EQ(Bus_send(feed, "a", 1, 0, -1), 0);
    Bus_close(feed);
    CHECK_EQ((intptr_t)test_join(thread), TACHYON_ERR_CLOSED);
    CHECK(!feed->bus); /* whoever was inside last has released it */
    delete_Bus(feed);

    host.interruptible = 1;
    feed = listen_for_many(path, TACHYON_ROLE_PRODUCER, 0);
    thread = test_thread(waits_for_peers, feed);
    until_it_waits(feed);
    Bus_interrupt(feed);
    CHECK_EQ((intptr_t)test_join(thread), TACHYON_ERR_INTERRUPTED);
    delete_Bus(feed);
}

/* ---- Who keeps it mapped ---- */

TEST(a_view_keeps_the_ring_mapped_past_close_and_delete) {
    struct ends ends = open_ends();
    size_t fds = test_count_fds();
    CHECK_EQ(Bus_send(ends.sender, "abc", 3, 7, -1), 0);
    Memory ring = Bus_ring_memory(ends.receiver),
           views = Bus_view_memory(ends.receiver);
    Result offset = Bus_acquire(ends.receiver, -1);
    Bus_close(ends.receiver);
    CHECK_EQ(received(ends.receiver, -1), -TACHYON_ERR_CLOSED);
    delete_Bus(ends.receiver);
    CHECK(test_count_fds() < fds); /* before the memory */
    CHECK(memcmp(ring.data + offset, "abc", 3) == 0);
    bus_unref(ends.receiver);
    CHECK_EQ(views.data[0], 0); /* the struct is still there */
    bus_unref(ends.receiver);
    CHECK(!is_mapped(ring.data));
    delete_Bus(ends.sender);
}

TEST(a_view_that_is_never_collected_costs_no_descriptor) {
    enum { PAIRS = 1000 };
    static struct ends pairs[PAIRS];
    host.interruptible = 1;
    size_t fds = test_count_fds();
    for (int i = 0; i < PAIRS; i++) {
        pairs[i] = open_ends();
        Memory sent = Bus_ring_memory(pairs[i].sender),
               received = Bus_ring_memory(pairs[i].receiver);
        CHECK(sent.data && received.data);
        CHECK(Bus_fileno(pairs[i].receiver) >= 0);
        Result room = Bus_reserve(pairs[i].sender, 1, -1);
        CHECK(room >= 0);
        sent.data[room] = 'x';
        CHECK_EQ(Bus_commit(pairs[i].sender, 1, 0), 0);
        delete_Bus(pairs[i].sender); /* flushes */
        Result offset = Bus_acquire(pairs[i].receiver, -1);
        CHECK(offset >= 0 && received.data[offset] == 'x');
        delete_Bus(pairs[i].receiver);
        CHECK_EQ(test_count_fds(), fds);
        CHECK(is_mapped(sent.data) && is_mapped(received.data));
    }
    for (int i = 0; i < PAIRS; i++) {
        bus_unref(pairs[i].sender);
        bus_unref(pairs[i].receiver);
    }
    host.interruptible = 0;
}

static void *every_other_gives_back(void *bus) {
    bus_unref(bus);
    return NULL;
}

TEST(a_close_may_meet_the_last_view) {
    for (int i = 0; i < 300; i++) {
        struct ends ends = open_ends();
        size_t fds = test_count_fds();
        Memory ring = Bus_ring_memory(ends.receiver);
        pthread_t other = test_thread(every_other_gives_back, ends.receiver);
        Bus_close(ends.receiver);
        test_join(other);
        CHECK(!is_mapped(ring.data));
        CHECK(test_count_fds() < fds);
        delete_ends(ends);
    }
}

TEST(whoever_polls_the_descriptor_keeps_it_past_a_close) {
    struct ends ends = open_ends();
    size_t fds = test_count_fds();
    struct pollfd polled = {.fd = (int)Bus_fileno(ends.receiver), .events = POLLIN};
    CHECK(bus_watch(ends.receiver));
    Memory ring = Bus_ring_memory(ends.receiver);
    delete_Bus(ends.receiver);
    CHECK_EQ(poll(&polled, 1, 0), 1);
    CHECK_EQ(polled.revents, POLLIN);
    bus_unwatch(ends.receiver);
    CHECK(test_count_fds() < fds && is_mapped(ring.data));
    bus_unref(ends.receiver);
    CHECK(!is_mapped(ring.data));
    CHECK(!bus_watch(bus_none()));
    delete_Bus(ends.sender);
}

TEST(what_was_committed_before_a_close_arrives) {
    for (int shared = 0; shared < 2; shared++) {
        struct ends ends = open_ends();
        Memory ring = shared ? Bus_ring_memory(ends.sender) : (Memory){NULL, 0};
        CHECK(Bus_reserve(ends.sender, 1, -1) >= 0);
        CHECK_EQ(Bus_commit(ends.sender, 1, 0), 0);
        Bus_close(ends.sender);
        CHECK_EQ(received(ends.receiver, -1), 1);
        CHECK_EQ(received(ends.receiver, -1), -TACHYON_ERR_CLOSED);
        if (ring.data)
            bus_unref(ends.sender);
        delete_ends(ends);
    }
    struct ends ends = open_ends();
    Bus_abort(ends.sender);
    Bus_abort(ends.sender);
    CHECK_EQ(received(ends.receiver, -1), -TACHYON_ERR_ABORTED);
    delete_ends(ends);
}

/* ---- Waits that end ---- */

static void *receive_for_ever(void *bus) {
    return (void *)(intptr_t)received(bus, -1);
}

static void *listen_for_ever(void *bus) {
    return (void *)(intptr_t)Bus_listen(bus, test_path("nobody"), 4096, NULL);
}

TEST(another_thread_ends_a_wait) {
    host.interruptible = 1;
    struct {
        void *(*body)(void *);
        void (*end)(Bus *);
        Result expected;
    } ways[] = {{receive_for_ever, Bus_close, -TACHYON_ERR_CLOSED},
                {receive_for_ever, Bus_abort, -TACHYON_ERR_CLOSED},
                {receive_for_ever, Bus_interrupt, -TACHYON_ERR_INTERRUPTED},
                {listen_for_ever, Bus_close, -TACHYON_ERR_CLOSED},
                {listen_for_ever, Bus_interrupt, -TACHYON_ERR_INTERRUPTED}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        bool listens = ways[i].body == listen_for_ever;
        struct ends ends = listens ? (struct ends){new_Bus(), new_Bus()} : open_ends();
        pthread_t thread = test_thread(ways[i].body, ends.receiver);
        test_await_sleep();
        ways[i].end(ends.receiver);
        CHECK_EQ((intptr_t)test_join(thread), ways[i].expected);
        if (ways[i].end == Bus_close) /* the last to leave has let it go */
            CHECK(!ends.receiver->bus);
        delete_ends(ends);
    }
}

/* Whoever tries until somebody listens has objects that no collector has seen yet. */
TEST(an_opening_that_failed_costs_no_descriptor) {
    host.interruptible = 1;
    size_t fds = test_count_fds();
    Bus *buses[4];
    Options *options = new_Options();
    options->timeout = 0.01;
    for (int i = 0; i < 4; i++)
        buses[i] = new_Bus();
    CHECK_EQ(Bus_connect(buses[0], test_path("nobody"), NULL), -TACHYON_ERR_NETWORK);
    CHECK_EQ(Bus_listen(buses[1], test_path("nobody"), 4096, options),
             -TACHYON_ERR_TIMEOUT);
    CHECK_EQ(Bus_listen(buses[2], test_path("nobody"), 3, options),
             -TACHYON_ERR_INVALID_SZ);
    Bus_close(buses[3]);
    CHECK_EQ(test_count_fds(), fds);
    Bus_interrupt(buses[0]); /* too late for anything */
    CHECK_EQ(Bus_listen(buses[0], test_path("nobody"), 4096, options),
             -TACHYON_ERR_TIMEOUT);
    pthread_t thread = test_thread(listen_for_ever, buses[0]);
    test_await_sleep();
    Bus_interrupt(buses[0]);
    CHECK_EQ((intptr_t)test_join(thread), -TACHYON_ERR_INTERRUPTED);
    CHECK_EQ(test_count_fds(), fds);
    for (int i = 0; i < 4; i++)
        delete_Bus(buses[i]);
    delete_Options(options);
}

TEST(a_second_thread_is_refused_while_one_waits) {
    if (test_race_detector()) /* the refusal is an error of the same object */
        test_skip("misuse by two threads is a race however it is refused");
    struct ends ends = open_ends();
    pthread_t thread = test_thread(receive_for_ever, ends.receiver);
    test_await_sleep();
    CHECK_EQ(received(ends.receiver, 0), -TACHYON_ERR_BUSY);
    CHECK_EQ(Bus_release(ends.receiver, 0), -TACHYON_ERR_BUSY);
    CHECK_EQ(Bus_state(ends.receiver), TACHYON_STATE_READY);
    CHECK_EQ(Bus_stats(ends.receiver).capacity, 65536);
    CHECK_EQ(Bus_send(ends.sender, "a", 1, 0, -1), 0);
    CHECK_EQ((intptr_t)test_join(thread), 1);
    delete_ends(ends);
}

static void *receive_till_the_end(void *bus) {
    Result result;
    while ((result = received(bus, 0)) == -TACHYON_ERR_EMPTY)
        ;
    return (void *)(intptr_t)result;
}

TEST(whoever_leaves_last_lets_go) {
    for (int i = 0; i < 500; i++) {
        struct ends ends = open_ends();
        Memory memory = Bus_view_memory(ends.receiver);
        pthread_t thread = test_thread(receive_till_the_end, ends.receiver);
        for (int j = 0; j < i; j++)
            Bus_state(ends.receiver);
        if (i % 2)
            bus_unref(ends.receiver);
        Bus_close(ends.receiver);
        CHECK_EQ((intptr_t)test_join(thread), -TACHYON_ERR_CLOSED);
        CHECK(memory.data);
        if (i % 2 == 0) {
            CHECK(ends.receiver->bus); /* mapped for the views' sake */
            bus_unref(ends.receiver);
        }
        CHECK(!ends.receiver->bus);
        delete_ends(ends);
    }
}

TEST(an_interrupt_ends_one_wait_and_can_be_forgotten) {
    host.interruptible = 1;
    struct ends ends = open_ends();
    Bus_interrupt(ends.receiver);
    Bus_interrupt(ends.receiver);
    CHECK_EQ(Bus_send(ends.sender, "a", 1, 0, -1), 0);
    CHECK_EQ(received(ends.receiver, -1), 1); /* it does not wait */
    CHECK_EQ(received(ends.receiver, -1), -TACHYON_ERR_INTERRUPTED);
    CHECK_EQ(received(ends.receiver, 0.01), -TACHYON_ERR_TIMEOUT);
    Bus_interrupt(ends.receiver);
    Bus_clear_interrupt(ends.receiver);
    CHECK_EQ(received(ends.receiver, 0.01), -TACHYON_ERR_TIMEOUT);
    delete_ends(ends);
}

static _Atomic int signals, verdict, dispatched;
static _Atomic bool calm;

static void count_signal(int number) {
    (void)number;
    signals++;
}

static int signal_came(void *context) {
    (void)context;
    return signals > dispatched;
}

static int dispatch(void) {
    dispatched = signals;
    return verdict;
}

static void *signal_it(void *thread) {
    while (!atomic_load(&calm)) {
        test_sleep_ms(10);
        pthread_kill(*(pthread_t *)thread, SIGUSR1);
    }
    return NULL;
}

static void *send_late(void *sender) {
    test_sleep_ms(50); /* after some of the signals */
    CHECK_EQ(Bus_send(sender, "a", 1, 0, -1), 0);
    return NULL;
}

TEST(a_child_that_deletes_its_copy_leaves_the_parent_alone) {
    host.interruptible = 1;
    struct ends ends = open_ends();
    host.interruptible = 0;
    pid_t child = fork();
    if (child == 0) {
        CHECK_EQ(received(ends.receiver, 0), -TACHYON_ERR_FORKED);
        delete_ends(ends);
        _exit(0);
    }
    int status = -1;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    CHECK_EQ(received(ends.receiver, 0.01), -TACHYON_ERR_TIMEOUT);
    CHECK_EQ(Bus_send(ends.sender, "x", 1, 0, 0), 0);
    CHECK_EQ(received(ends.receiver, -1), 1);
    delete_ends(ends);
}

TEST(a_signal_ends_a_wait_when_the_language_says_so) {
    host.pending = signal_came;
    host.interrupted = dispatch;
    struct sigaction action = {.sa_handler = count_signal};
    sigaction(SIGUSR1, &action, NULL);
    struct ends ends = open_ends();
    pthread_t self = pthread_self(), thread = test_thread(signal_it, &self);
    while (dispatched == 0)
        CHECK_TAKES(200, 400,
                    CHECK_EQ(received(ends.receiver, 0.2), -TACHYON_ERR_TIMEOUT));
    pthread_t sending = test_thread(send_late, ends.sender);
    CHECK_EQ(received(ends.receiver, -1), 1);
    CHECK_EQ(ends.receiver->error, 0);
    test_join(sending);
    verdict = 1;
    CHECK_EQ(received(ends.receiver, -1), -TACHYON_ERR_INTERRUPTED);
    Bus *nobody = new_Bus();
    CHECK_EQ(Bus_listen(nobody, test_path("nobody"), 4096, NULL),
             -TACHYON_ERR_INTERRUPTED);
    delete_Bus(nobody);
    atomic_store(&calm, true);
    test_join(thread);
    delete_ends(ends);
}

TEST(what_cannot_be_interrupted_does_not_open) {
    host.interruptible = 1;
    struct rlimit limit, none;
    getrlimit(RLIMIT_NOFILE, &limit);
    none = limit;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_NOFILE, &none);
    Bus *bus = new_Bus();
    setrlimit(RLIMIT_NOFILE, &limit);
    Options *options = new_Options();
    options->timeout = 0.01;
    CHECK_EQ(Bus_listen(bus, test_path("mute"), 4096, options), -TACHYON_ERR_OPEN);
    delete_Options(options);
    delete_Bus(bus);
}

/* ---- What others do meanwhile ---- */

static Bus *looked_at;

static void wait_while_others_look(void (*call)(void *), void *context) {
    call(context);
    Bus_stats(looked_at); /* another thread, before this one has the lock again */
}

TEST(an_error_is_of_the_call_that_failed) {
    struct ends ends = open_ends();
    host.wait = wait_while_others_look;
    looked_at = ends.receiver;
    CHECK_EQ(received(ends.receiver, 0.01), -TACHYON_ERR_TIMEOUT);
    CHECK_EQ(ends.receiver->error, TACHYON_ERR_TIMEOUT);
    CHECK(strcmp(Bus_error_text(ends.receiver),
                 tachyon_strerror(TACHYON_ERR_TIMEOUT)) == 0);
    CHECK_EQ(Bus_send(ends.sender, "a", 1, 0, -1), 0);
    CHECK_EQ(received(ends.receiver, 0.01), 1);
    delete_ends(ends);
}

TEST(one_thread_opens_at_a_time) {
    if (test_race_detector()) /* the refusal is an error of the same object */
        test_skip("misuse by two threads is a race however it is refused");
    host.interruptible = 1;
    Bus *bus = new_Bus();
    pthread_t thread = test_thread(listen_for_ever, bus);
    test_await_sleep();
    CHECK_EQ(Bus_open_step(bus), -TACHYON_ERR_BUSY);
    CHECK_EQ(Bus_fileno(bus), -TACHYON_ERR_BUSY);
    CHECK_EQ(Bus_listen(bus, test_path("more"), 4096, NULL), -TACHYON_ERR_BUSY);
    CHECK_EQ(Bus_connect_start(bus, test_path("more"), NULL), -TACHYON_ERR_BUSY);
    CHECK_EQ(received(bus, -1), -TACHYON_ERR_CLOSED);
    Bus_close(bus);
    CHECK_EQ((intptr_t)test_join(thread), -TACHYON_ERR_CLOSED);
    delete_Bus(bus);
}

static struct ends handled;
static jmp_buf out_of_it;

static int raise_pending(void *context) {
    (void)context;
    return handled.receiver != NULL;
}

static int receive_in_handler(void) {
    struct ends ends = handled;
    handled.receiver = NULL;
    CHECK(!Bus_recv_batch(ends.receiver, 1, 60000, 0).data); /* a larger buffer */
    CHECK_EQ(Bus_send_batch(ends.sender, "abc", 3, 1, 0, 0), 3);
    return 0;
}

static int jump_out(void) {
    handled.receiver = NULL;
    longjmp(out_of_it, 1);
}

TEST(a_handler_may_receive_meanwhile) {
    struct ends ends = open_ends();
    host.pending = raise_pending;
    host.interrupted = receive_in_handler;
    handled = ends;
    Bytes bytes = Bus_recv_batch(ends.receiver, 1, 10, 5);
    CHECK_EQ(bytes.len, 3);
    CHECK(bytes.data && memcmp(bytes.data, "abc", 3) == 0);
    delete_ends(ends);
}

static int fail(void) {
    handled.receiver = NULL;
    return 1;
}

TEST(a_handler_that_ends_half_a_batch_does_so_once_and_leaves_the_count) {
    static const char items[100 * 1000];
    struct ends ends = open_ends();
    int (*handlers[])(void) = {fail, jump_out};
    host.pending = raise_pending;
    for (int i = 0; i < 2; i++) {
        host.interrupted = handlers[i];
        handled = ends;
        if (setjmp(out_of_it) == 0)
            CHECK_EQ(Bus_send_batch(ends.sender, items, sizeof items, 1000, 0, 5),
                     -TACHYON_ERR_INTERRUPTED);
        uint32_t sent = ends.sender->count;
        CHECK(sent > 0 && sent < 100);
        CHECK_EQ(Bus_send_batch(ends.sender, items, 1000, 1000, 0, 0.01),
                 -TACHYON_ERR_TIMEOUT);
        CHECK_EQ(ends.sender->count, 0);
        CHECK_EQ(Bus_take(ends.receiver, 0, -1), sent);
        CHECK_EQ(Bus_release(ends.receiver, 0), 0);
    }
    delete_ends(ends);
}

static int close_and_fail(void) {
    Bus_close(handled.receiver);
    return fail();
}

TEST(a_handler_that_closes_what_it_ends_is_heard_all_the_same) {
    Bus *bus = new_Bus();
    host.pending = raise_pending;
    host.interrupted = close_and_fail;
    handled.receiver = bus;
    CHECK_EQ(Bus_listen(bus, test_path("closed"), 4096, NULL),
             -TACHYON_ERR_INTERRUPTED);
    CHECK_EQ(Bus_open_step(bus), -TACHYON_ERR_CLOSED);
    delete_Bus(bus);
}

static void jump_out_of_listen(Bus *bus, const char *path) {
    host.pending = raise_pending;
    host.interrupted = jump_out;
    handled.receiver = bus;
    if (setjmp(out_of_it) == 0) {
        Bus_listen(bus, path, 4096, NULL);
        CHECK(!"reached");
    }
}

TEST(a_handler_may_jump_out_of_an_opening) {
    size_t fds = test_count_fds();
    Options *options = new_Options();
    options->timeout = 0.02;
    Bus *bus = new_Bus();
    jump_out_of_listen(bus, test_path("left"));
    CHECK_EQ(Bus_listen(bus, test_path("left"), 4096, options), -TACHYON_ERR_TIMEOUT);
    CHECK_EQ(test_count_fds(), fds);
    delete_Options(options);
    delete_Bus(bus);
}

TEST(a_close_gives_the_address_of_an_opening_back) {
    size_t fds = test_count_fds();
    Bus *left = new_Bus(), *started = new_Bus();
    jump_out_of_listen(left, test_path("left"));
    CHECK_EQ(Bus_listen_start(started, test_path("started"), 4096, NULL), 0);
    Bus_close(left);
    Bus_abort(started);
    CHECK_EQ(test_count_fds(), fds);
    CHECK_EQ(Bus_open_step(started), -TACHYON_ERR_CLOSED);
    Bus *next[] = {new_Bus(), new_Bus()};
    CHECK_EQ(Bus_listen_start(next[0], test_path("left"), 4096, NULL), 0);
    CHECK_EQ(RpcBus_listen_start(next[1], test_path("started"), 4096, 4096, NULL), 0);
    delete_Bus(left);
    delete_Bus(started);
    for (int i = 0; i < 2; i++)
        delete_Bus(next[i]);
    CHECK_EQ(test_count_fds(), fds);
}

TEST(an_interrupt_that_meets_half_a_batch_ends_the_next_call) {
    static char items[100 * 1000];
    host.interruptible = 1;
    struct ends ends = open_ends();
    Bus_interrupt(ends.sender);
    Result sent = Bus_send_batch(ends.sender, items, sizeof items, 1000, 0, 5);
    CHECK(sent > 0);
    CHECK(sent < 100);
    CHECK_EQ(Bus_send_batch(ends.sender, items, 1000, 1000, 0, 0.1),
             -TACHYON_ERR_INTERRUPTED);
    CHECK_EQ(Bus_send_batch(ends.sender, items, 1000, 1000, 0, 0.1),
             -TACHYON_ERR_TIMEOUT);
    delete_ends(ends);
}

TEST(a_reply_that_is_not_copied_yet_is_not_lost) {
    struct ends ends = open_rpc();
    Bus *caller = ends.sender, *callee = ends.receiver;
    char into[8] = {0};
    Result ids[2];
    for (int i = 0; i < 2; i++) {
        ids[i] = RpcBus_call(caller, "one", 3, 4, -1);
        CHECK_EQ(RpcBus_next_request(callee, -1), 3);
        CHECK_EQ(RpcBus_copy_held(callee, into, sizeof into), 3);
        CHECK_EQ(RpcBus_reply(callee, callee->id, into, 3, 5, -1), 0);
    }
    CHECK_EQ(RpcBus_next_reply(caller, (uint64_t)ids[0], -1), 3);
    CHECK_EQ(RpcBus_next_reply(caller, (uint64_t)ids[1], -1), -TACHYON_ERR_BUSY);
    CHECK_EQ(RpcBus_next_request(caller, 0), -TACHYON_ERR_BUSY);
    CHECK_EQ(RpcBus_copy_held(caller, into, sizeof into), 3);
    CHECK_EQ(caller->id, ids[0]);
    CHECK_EQ(RpcBus_next_reply(caller, (uint64_t)ids[1], -1), 3);
    CHECK_EQ(RpcBus_copy_held(caller, into, sizeof into), 3);
    delete_ends(ends);
}

TEST(what_is_released_was_handed_out) {
    static const char items[MAX_VIEWS + 1];
    struct ends ends = open_ends();
    CHECK_EQ(Bus_send(ends.sender, "a", 1, 0, -1), 0);
    CHECK(Bus_acquire(ends.receiver, -1) >= 0);
    CHECK_EQ(Bus_release(ends.receiver, 2), -TACHYON_ERR_INVALID_SZ);
    CHECK_EQ(Bus_release(ends.receiver, 1), 0);
    CHECK_EQ(Bus_release(ends.receiver, 1), -TACHYON_ERR_EMPTY);
    CHECK_EQ(Bus_send_batch(ends.sender, items, MAX_VIEWS - 1, 1, 0, 0), MAX_VIEWS - 1);
    CHECK_EQ(Bus_take(ends.receiver, 0, 0), MAX_VIEWS - 1);
    CHECK_EQ(Bus_release(ends.receiver, 0), 0);
    delete_ends(ends);

    ends = (struct ends){new_Bus(), new_Bus()};
    const char *path = test_path("wide");
    CHECK_EQ(Bus_listen_start(ends.sender, path, 1 << 17, NULL), 0);
    CHECK_EQ(Bus_connect_start(ends.receiver, path, NULL), 0);
    step_both(ends.sender, ends.receiver);
    CHECK_EQ(Bus_send_batch(ends.sender, items, MAX_VIEWS + 1, 1, 0, 0), MAX_VIEWS + 1);
    CHECK_EQ(Bus_take(ends.receiver, 0, 0), MAX_VIEWS);
    CHECK_EQ(Bus_release(ends.receiver, MAX_VIEWS), 0);
    CHECK_EQ(Bus_release(ends.receiver, 1), -TACHYON_ERR_EMPTY);
    CHECK_EQ(Bus_acquire(ends.receiver, 0) >= 0, 1);
    CHECK_EQ(Bus_release(ends.receiver, 1), 0);
    delete_ends(ends);
}

/* View i of those that are held is of message `first` + i. */
static void check_views(Bus *bus, uint32_t first, uint32_t count) {
    Memory views = Bus_view_memory(bus), ring = Bus_ring_memory(bus);
    const View *view = (const View *)(const void *)views.data;
    for (uint32_t i = 0; i < count; i++) {
        CHECK_EQ(view[i].type_id, first + i);
        CHECK_EQ(view[i].size, 1 + (first + i) % 60);
        CHECK_EQ(ring.data[view[i].offset + view[i].size - 1], (char)(first + i));
    }
    bus_unref(bus);
    bus_unref(bus);
}

static void send_numbered(Bus *bus, uint32_t number) {
    char payload[60];
    memset(payload, (int)(number & 0xFF), sizeof payload);
    CHECK_EQ(Bus_send(bus, payload, 1 + number % 60, number, -1), 0);
}

TEST(several_messages_are_held_and_the_oldest_released) {
    struct ends ends = open_ends();
    uint32_t first = 0, held = 0, sent = 0;
    for (; sent < 1000; sent++) {
        send_numbered(ends.sender, sent);
        CHECK_EQ(Bus_take_next(ends.receiver, -1), ++held);
        CHECK_EQ(ends.receiver->count, held);
        check_views(ends.receiver, first, held);
        if (held < 7)
            continue;
        uint32_t some = 1 + sent % 7;
        CHECK_EQ(Bus_release(ends.receiver, some), 0);
        first += some, held -= some;
    }
    CHECK_EQ(Bus_take_next(ends.receiver, 0), -TACHYON_ERR_EMPTY);
    CHECK_EQ(Bus_take_next(ends.receiver, 0.01), -TACHYON_ERR_TIMEOUT);
    check_views(ends.receiver, first, held);
    CHECK_EQ(Bus_release(ends.receiver, 0), 0);

    /* Behind what the others gave; and what begins at the oldest takes them back. */
    for (uint32_t end = sent + 6; sent < end; sent++)
        send_numbered(ends.sender, sent);
    first = sent - 6;
    CHECK(Bus_acquire(ends.receiver, -1) >= 0);
    CHECK_EQ(Bus_take_next(ends.receiver, -1), 2);
    check_views(ends.receiver, first, 2);
    CHECK_EQ(Bus_take(ends.receiver, 3, -1), 3);
    CHECK_EQ(Bus_release(ends.receiver, 1), 0);
    CHECK_EQ(Bus_take_next(ends.receiver, -1), 3);
    check_views(ends.receiver, first + 1, 3);
    CHECK(Bus_recv(ends.receiver, -1).data);
    bytes_taken(ends.receiver);
    CHECK_EQ(Bus_release(ends.receiver, 1), -TACHYON_ERR_EMPTY);
    CHECK_EQ(Bus_take_next(ends.receiver, -1), 1);
    check_views(ends.receiver, first + 2, 1);
    CHECK_EQ(Bus_take_next(ends.receiver, -1), 2);
    CHECK_EQ(Bus_release(ends.receiver, 3), -TACHYON_ERR_INVALID_SZ);
    Bus_close(ends.sender);
    CHECK_EQ(Bus_take_next(ends.receiver, -1), 3);
    CHECK_EQ(Bus_take_next(ends.receiver, -1), 4);
    CHECK_EQ(Bus_take_next(ends.receiver, -1), -TACHYON_ERR_CLOSED);
    check_views(ends.receiver, first + 2, 4);
    CHECK_EQ(Bus_release(ends.receiver, 4), 0);
    delete_ends(ends);
}

TEST(more_than_may_be_held_is_refused) {
    static const char items[MAX_VIEWS + 1], half[33000];
    struct ends ends = {new_Bus(), new_Bus()};
    const char *path = test_path("wide");
    CHECK_EQ(Bus_listen_start(ends.sender, path, 1 << 18, NULL), 0);
    CHECK_EQ(Bus_connect_start(ends.receiver, path, NULL), 0);
    step_both(ends.sender, ends.receiver);
    CHECK_EQ(Bus_send_batch(ends.sender, items, MAX_VIEWS + 1, 1, 0, 0), MAX_VIEWS + 1);
    CHECK_EQ(Bus_take(ends.receiver, 0, 0), MAX_VIEWS);
    CHECK_EQ(Bus_take_next(ends.receiver, -1), -TACHYON_ERR_FULL);
    CHECK(strcmp(Bus_error_text(ends.receiver),
                 "1024 messages are held: release the oldest first") == 0);
    CHECK_EQ(Bus_release(ends.receiver, 1), 0);
    CHECK_EQ(Bus_take_next(ends.receiver, -1), MAX_VIEWS);
    CHECK_EQ(Bus_release(ends.receiver, MAX_VIEWS), 0);
    delete_ends(ends);

    ends = open_ends();
    CHECK_EQ(Bus_send(ends.sender, half, sizeof half, 1, -1), 0);
    CHECK_EQ(Bus_take_next(ends.receiver, -1), 1);
    CHECK_EQ(Bus_take_next(ends.receiver, -1), -TACHYON_ERR_FULL);
    CHECK(strstr(Bus_error_text(ends.receiver), "more than half"));
    delete_ends(ends);
}
