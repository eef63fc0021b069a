// SPDX-License-Identifier: Apache-2.0
// tachyon.hpp: ownership, errors, and that every call does what its C name says.
#include <tachyon.hpp>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <limits>
#include <poll.h>
#include <sys/eventfd.h>
#include <thread>
#include <unistd.h>
#if __cplusplus >= 202002L
#include <stop_token>
#endif

using namespace std::chrono_literals;
using tachyon::Bus;
using tachyon::Options;
using tachyon::RpcBus;

namespace {

#define CHECK(condition)                                                               \
    do {                                                                               \
        if (!(condition)) {                                                            \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);       \
            std::exit(1);                                                              \
        }                                                                              \
    } while (0)

// What is thrown has this type, code and text.
template <class Error>
void throws(int line, tachyon_error_t code, const std::string &text,
            const std::function<void()> &run) {
    try {
        run();
    } catch (const Error &e) {
        if (e.code() == code && std::string(e.what()).find(text) != std::string::npos)
            return;
        std::fprintf(stderr, "line %d: %s (%d)\n", line, e.what(), e.code().value());
        std::exit(1);
    }
    std::fprintf(stderr, "line %d: nothing thrown\n", line);
    std::exit(1);
}
#define THROWS(error_type, code, text, call)                                           \
    throws<tachyon::error_type>(__LINE__, code, text, [&] { call; })

std::string name() {
    static int serial;
    return "@tachyon-cpp-" + std::to_string(getpid()) + "-" + std::to_string(serial++);
}
Options patient() {
    Options options;
    options.timeout = 10s;
    return options;
}
template <class End> struct Pair {
    End listener, connector;
};
template <class End, class... Capacity>
Pair<End> pair(const Options &options, Capacity... capacity) {
    Pair<End> ends;
    const std::string path = name();
    std::thread thread(
        [&] { ends.listener = End::listen(path, capacity..., options); });
    ends.connector = End::connect(path, options);
    thread.join();
    return ends;
}
Pair<Bus> buses(const Options &options = patient()) {
    return pair<Bus>(options, 8192u);
}
Pair<RpcBus> rpcs() { return pair<RpcBus>(patient(), 8192u, 8192u); }

struct Tick {
    double price;
    std::uint32_t quantity;
};

void values_texts_and_containers_arrive_as_they_were_sent() {
    auto ends = buses();
    Bus &rx = ends.listener, &tx = ends.connector;
    tx.send(Tick{1.5, 7}, 3);
    std::uint32_t type_id = 0;
    const Tick tick = rx.recv<Tick>(1s, &type_id);
    CHECK(tick.price == 1.5 && tick.quantity == 7 && type_id == 3);
    tx.send("text");
    CHECK(rx.acquire_rx().text() == "text");
    tx.send(std::string("a\0b", 3));
    CHECK(rx.acquire_rx().text() == std::string_view("a\0b", 3));
    tx.send(std::string_view("view"));
    CHECK(rx.acquire_rx().text() == "view");
    tx.send(std::vector<std::uint16_t>{1, 2, 3});
    const auto three = rx.acquire_rx().as<std::array<std::uint16_t, 3>>();
    CHECK(three[0] == 1 && three[2] == 3);
    tx.send(std::initializer_list<std::uint16_t>{4, 5, 6});
    CHECK((rx.acquire_rx().as<std::array<std::uint16_t, 3>>()[2] == 6));
    tx.send({nullptr, 0});
    CHECK(rx.acquire_rx().size() == 0);
}
// What only points to what is meant would arrive as an address.
template <class... Each> constexpr bool values = (tachyon::detail::is_value<Each> && ...);
template <class... Each> constexpr bool points = !(tachyon::detail::is_value<Each> || ...);
static_assert(values<int, Tick, const Tick, std::array<Tick, 2>>);
static_assert(points<int *, const std::nullptr_t, std::reference_wrapper<int>,
                     const std::initializer_list<int>, std::string_view>);
#if __cplusplus >= 202002L
static_assert(points<std::span<int>, std::span<const int, 4>>);
#endif

void a_slot_is_sent_by_commit_only() {
    auto ends = buses();
    Bus &rx = ends.listener, &tx = ends.connector;
    {
        tachyon::TxGuard slot = tx.acquire_tx(sizeof(Tick));
        slot.as<Tick>() = {2, 2};
    }
    tx.flush();
    CHECK(!rx.try_acquire_rx() && tachyon::last_error() == TACHYON_ERR_EMPTY);
    try {
        auto slot = tx.acquire_tx(4);
        throw 1;
    } catch (int) {}
    tx.flush();
    CHECK(!rx.try_acquire_rx());
    auto slot = tx.acquire_tx(64);
    CHECK(slot.size() == 64);
    auto moved = std::move(slot);
    THROWS(error, TACHYON_ERR_EMPTY, "nothing is reserved", slot.commit(1));
    THROWS(error, TACHYON_ERR_INVALID_SZ, "65", moved.commit(65)); // it stays reserved
    std::memcpy(moved.data(), "four", 4);
    moved.commit_unflushed(4, 9);
    THROWS(error, TACHYON_ERR_EMPTY, "nothing is reserved", moved.commit(1));
    moved.rollback();
    CHECK(!rx.try_acquire_rx());
    tx.flush();
    const auto message = rx.acquire_rx();
    CHECK(message.text() == "four" && message.type_id == 9);
}

void a_message_is_released_once() {
    auto ends = buses();
    Bus &rx = ends.listener, &tx = ends.connector;
    tx.send("one");
    tx.send("two");
    rx.acquire_rx().keep();
    auto one = rx.try_acquire_rx(1s);
    CHECK(one && one->text() == "one");
    auto moved = std::move(*one);
    one.reset();
    CHECK(rx.stats().messages == 0);
    moved.commit();
    moved.commit();
    CHECK(rx.stats().messages == 1);
    CHECK(rx.acquire_rx().text() == "two");
    // Of another size than asked for, it stays.
    tx.send("three");
    THROWS(error, TACHYON_ERR_INVALID_SZ, "5 bytes cannot hold a 16-byte value",
           rx.recv<Tick>());
    THROWS(error, TACHYON_ERR_INVALID_SZ, "5 bytes", auto m = rx.acquire_rx(); m.keep();
           m.view<Tick>());
    CHECK(rx.acquire_rx().text() == "three");
}

void batches_are_iterated_and_released_together() {
    auto ends = buses();
    Bus &rx = ends.listener, &tx = ends.connector;
    std::array<Tick, 20> ticks{};
    for (std::uint32_t i = 0; i < 20; i++) ticks[i] = {i * 0.5, i};
    tx.send_batch(ticks, 5);
    {
        auto batch = rx.drain_batch<8>();
        CHECK(batch.size() == 8 && batch.stride() != 0 &&
              batch[7].view<Tick>().quantity == 7);
        batch.commit(3);
        CHECK(batch.empty() && batch.begin() == batch.end());
    }
    std::uint32_t next = 3;
    for (const tachyon::View &view : rx.drain_batch(10)) {
        const Tick &tick = view.view<Tick>();
        CHECK(tick.quantity == next++ && view.type_id == 5);
    }
    CHECK(next == 13);
    std::vector<Tick> received(100);
    std::uint32_t type_id = 0;
    CHECK(rx.recv_batch(received, type_id) == 7 && received[6].quantity == 19 &&
          type_id == 5);
    CHECK(rx.try_drain_batch().empty() && tachyon::last_error() == TACHYON_ERR_EMPTY);
    THROWS(timeout_error, TACHYON_ERR_TIMEOUT, "", rx.drain_batch(8, 1ms));
    THROWS(timeout_error, TACHYON_ERR_EMPTY, "", rx.recv_batch(received, type_id, 0s));
    CHECK(rx.stats().messages == 20);
}

void a_batch_takes_more_and_releases_its_oldest() {
    auto ends = buses();
    Bus &rx = ends.listener, &tx = ends.connector;
    for (std::uint32_t i = 0; i < 5; i++) tx.send(Tick{0.0, i});
    auto batch = rx.drain_batch<4>(2);
    CHECK(batch.size() == 2 && batch.try_take_next());
    batch.take_next(1s);
    THROWS(error, TACHYON_ERR_FULL, "no more room", batch.take_next());
    CHECK(!batch.try_take_next());
    for (std::uint32_t i = 0; i < 4; i++) CHECK(batch[i].view<Tick>().quantity == i);
    batch.release_oldest(3);
    CHECK(batch.size() == 1 && batch[0].view<Tick>().quantity == 3);
    THROWS(error, TACHYON_ERR_INVALID_SZ, "", batch.release_oldest(2));
    batch.take_next();
    CHECK(!batch.try_take_next() && tachyon::last_error() == TACHYON_ERR_EMPTY);
    THROWS(timeout_error, TACHYON_ERR_TIMEOUT, "", batch.take_next(1ms));
    tx.close();
    THROWS(error, TACHYON_ERR_CLOSED, "", batch.take_next());
    CHECK(batch.size() == 2 && batch[1].view<Tick>().quantity == 4);
    batch.release_oldest(2);
    CHECK(batch.empty() && rx.stats().messages == 5);
}

Options many(tachyon_role_t role = TACHYON_ROLE_NONE) {
    Options options = patient();
    options.role = role;
    options.max_peers = 4;
    return options;
}

// Another peer of a listener with many.
template <class End>
End join(End &listener, const std::string &path, const Options &options = patient()) {
    auto connecting = End::start_connect(path, options);
    std::optional<tachyon_event_t> event;
    std::optional<End> end;
    while (!event || !end) {
        if (!event)
            event = listener.try_accept();
        if (!end)
            end = connecting.step();
    }
    CHECK(event->kind == TACHYON_EVENT_JOINED && event->name == options.name);
    CHECK(event->who.pid == getpid() && event->who.uid == geteuid());
    return std::move(*end);
}

// The producer of a broadcast and a reader of it.
Pair<Bus> broadcast() {
    Options options = many(TACHYON_ROLE_PRODUCER);
    options.slow_peer = TACHYON_SLOW_DISCONNECT;
    options.slow_after = 1ns;
    options.without_peers = TACHYON_WITHOUT_PEERS_FREE_RUN;
    options.keep_place = 1s;
    const std::string path = name();
    Bus feed = Bus::listen(path, 4096, options);
    Options reads = patient();
    reads.role = TACHYON_ROLE_CONSUMER;
    Bus reader = join(feed, path, reads);
    return {std::move(feed), std::move(reader)};
}

// The next to go from who sends, which is how a producer learns of it.
tachyon_event_t next_of(Bus &feed) {
    std::optional<tachyon_event_t> event;
    while (!event) {
        feed.send("");
        event = feed.try_accept(1ms);
    }
    CHECK(event->kind == TACHYON_EVENT_LEFT);
    return *event;
}

void a_collector_receives_from_all() {
    const std::string path = name();
    Bus collector = Bus::listen(path, 8192, many(TACHYON_ROLE_CONSUMER));
    Options named = patient();
    named.name = "one";
    Bus one = join(collector, path, named), other = join(collector, path);
    CHECK(collector.sender() == 0);
    for (int i = 0; i < 20; i++)
        for (Bus *bus : {&one, &other})
            bus->send(i);
    int next[3] = {};
    for (int i = 0; i < 40; i++) {
        const int got = collector.recv<int>();
        CHECK(got == next[collector.sender()]++);
    }
    auto peers = collector.peers();
    CHECK(peers.size() == 2 && peers[0].messages == 20 && peers[1].messages == 20);
    CHECK((peers[0].name == named.name) == (peers[0].peer == 1));
    one.close();
    CHECK(!collector.try_acquire_rx(10ms)); // lets it go
    const auto event = collector.accept();
    CHECK(event.kind == TACHYON_EVENT_LEFT && event.peer == 1);
    CHECK(event.reason == TACHYON_ERR_CLOSED);
    collector.drop_peer(2);
    THROWS(closed_error, TACHYON_ERR_CLOSED, "", while (true) other.send(0));
    THROWS(error, TACHYON_ERR_INVALID_SZ, "no peer 7", collector.drop_peer(7));
    THROWS(error, TACHYON_ERR_INVALID_SZ, "positions", collector.position());
}

void a_broadcast_reaches_all() {
    const std::string path = name();
    Bus feed = Bus::listen(path, 8192, many(TACHYON_ROLE_PRODUCER));
    Bus early = join(feed, path);
    for (int i = 0; i < 3; i++)
        feed.send(i);
    Options options = patient();
    options.role = TACHYON_ROLE_CONSUMER;
    options.start = TACHYON_START_OLDEST;
    Bus late = join(feed, path, options);
    CHECK(early.recv<int>() == 0 && late.recv<int>() == 0 && late.recv<int>() == 1);
    options.start = TACHYON_START_POSITION;
    options.start_position = late.position();
    Bus again = join(feed, path, options);
    CHECK(again.recv<int>() == 2);
    feed.drop_peer(1);
    CHECK(early.recv<int>() == 1 && early.recv<int>() == 2);
    THROWS(closed_error, TACHYON_ERR_CLOSED, "", early.acquire_rx());
    const auto event = next_of(feed);
    CHECK(event.peer == 1 && event.reason == TACHYON_ERR_CLOSED);
}

void accept_waits_beside_who_receives() {
    const std::string path = name();
    Bus collector = Bus::listen(path, 8192, many(TACHYON_ROLE_CONSUMER));
    CHECK(!collector.try_accept() && tachyon::last_error() == TACHYON_ERR_EMPTY);
    std::thread receiver(
        [&] { THROWS(closed_error, TACHYON_ERR_CLOSED, "", collector.acquire_rx()); });
    THROWS(timeout_error, TACHYON_ERR_TIMEOUT, "", collector.accept(5ms));
    Bus peer = Bus::connect(path, patient());
    CHECK(collector.accept().kind == TACHYON_EVENT_JOINED);
    std::thread closer([&] {
        std::this_thread::sleep_for(20ms);
        collector.close();
    });
    THROWS(closed_error, TACHYON_ERR_CLOSED, "", while (true) collector.accept());
    receiver.join();
    closer.join();
}

void a_callee_serves_many_callers() {
    const std::string path = name();
    RpcBus callee = RpcBus::listen(path, 8192, 8192, many());
    RpcBus one = join(callee, path), other = join(callee, path);
    for (RpcBus *caller : {&one, &other}) {
        const uint64_t id = caller->call("x");
        const uint64_t request = callee.serve().correlation_id;
        CHECK(callee.sender() == (caller == &one ? 1 : 2));
        callee.reply(request, "y");
        CHECK(caller->wait(id).text() == "y");
    }
    CHECK(callee.peers().size() == 2);
    const uint64_t id = one.call("x");
    callee.drop_peer(1);
    THROWS(closed_error, TACHYON_ERR_CLOSED, "", one.wait(id));
}

void wrong_options_for_many_are_refused() {
    constexpr auto free_run = TACHYON_WITHOUT_PEERS_FREE_RUN;
    const auto refused = [](const char *text, void (*change)(Options &)) {
        Options options = many(TACHYON_ROLE_PRODUCER);
        change(options);
        THROWS(error, TACHYON_ERR_INVALID_SZ, text,
               options.max_peers ? Bus::listen(name(), 4096, options)
                                 : Bus::connect(name(), options));
    };
    refused("1025", [](Options &o) { o.max_peers = 1025; });
    refused("max_peers", [](Options &o) { o.role = TACHYON_ROLE_NONE; });
    refused("slow_after", [](Options &o) { o.slow_peer = TACHYON_SLOW_DISCONNECT; });
    refused("slow_after", [](Options &o) { o.slow_after = 1ns; });
    refused("without_peers",
            [](Options &o) { o.max_peers = 1, o.without_peers = free_run; });
    refused("keep_place", [](Options &o) { o.keep_place = tachyon::forever; });
    refused("start", [](Options &o) { o.start = TACHYON_START_OLDEST; });
    refused("start", [](Options &o) { o.max_peers = 0, o.start = tachyon_start_t(3); });
    refused("name", [](Options &o) { o.name = "x"; });
    refused("name", [](Options &o) { o.max_peers = 0, o.name.assign(32, 'x'); });
    refused("a NUL", [](Options &o) { o.name.assign(1, '\0'); });
    auto ends = buses();
    THROWS(error, TACHYON_ERR_INVALID_SZ, "single peer", ends.listener.accept());
    THROWS(error, TACHYON_ERR_INVALID_SZ, "single peer", ends.listener.peers());
    CHECK(ends.listener.sender() == 0);
}

// What was read may have been overwritten: its release says so once, and is done.
void who_was_overtaken_is_told() {
    using Overtake = std::function<void()>;
    const std::function<void(Bus &, const Overtake &)> ways[] = {
        [](Bus &rx, const Overtake &overtake) {
            auto message = rx.acquire_rx();
            overtake();
            THROWS(aborted_error, TACHYON_ERR_LAGGED, "", message.commit());
            message.commit();
        },
        [](Bus &rx, const Overtake &overtake) {
            auto batch = rx.drain_batch<2>();
            overtake();
            THROWS(aborted_error, TACHYON_ERR_LAGGED, "", batch.commit());
            CHECK(batch.empty());
        },
        [](Bus &rx, const Overtake &overtake) {
            auto batch = rx.drain_batch<2>();
            overtake();
            THROWS(aborted_error, TACHYON_ERR_LAGGED, "", batch.release_oldest(1));
            CHECK(batch.size() == 1);
        },
        [](Bus &rx, const Overtake &overtake) {
            overtake(); // which acquire_rx() does not see
            THROWS(aborted_error, TACHYON_ERR_LAGGED, "", rx.recv<Tick>());
        },
        [](Bus &rx, const Overtake &overtake) { // a destructor throws nothing
            auto message = rx.acquire_rx();
            overtake();
        },
        [](Bus &rx, const Overtake &overtake) {
            auto batch = rx.drain_batch<2>();
            overtake();
        }};
    for (const auto &way : ways) {
        auto ends = broadcast();
        Bus &feed = ends.listener, &rx = ends.connector;
        feed.send_batch(std::array<Tick, 2>{});
        way(rx, [&] { feed.send_batch(std::array<Tick, 100>{}); });
        THROWS(aborted_error, TACHYON_ERR_LAGGED, "", rx.acquire_rx());
    }
}

void a_full_ring_refuses_or_times_out() {
    auto ends = buses();
    Bus &rx = ends.listener, &tx = ends.connector;
    std::size_t sent = 0;
    while (tx.try_send(Tick{})) sent++;
    CHECK(sent == 127 && tachyon::last_error() == TACHYON_ERR_FULL);
    CHECK(!tx.try_acquire_tx(1));
    THROWS(timeout_error, TACHYON_ERR_TIMEOUT, "", tx.send("x", 0, 2ms));
    THROWS(timeout_error, TACHYON_ERR_FULL, "", tx.acquire_tx(1, tachyon::no_wait));
    rx.acquire_rx().commit();
    rx.acquire_rx().commit();
    try {
        tx.send_batch(std::vector<Tick>(9), 0, 1ms);
        CHECK(false);
    } catch (const tachyon::timeout_error &e) { CHECK(e.sent == 2); }
    THROWS(error, TACHYON_ERR_INVALID_SZ, "8065", tx.acquire_tx(8065));
    CHECK(tx.max_payload() == 8064);
    CHECK(tx.stats().full > 0 && rx.stats().capacity == 8192);
}

void the_end_of_a_stream_is_told() {
    {
        auto ends = buses();
        Bus &rx = ends.listener, &tx = ends.connector;
        tx.send("last");
        tx = Bus();
        CHECK(rx.acquire_rx().text() == "last");
        THROWS(closed_error, TACHYON_ERR_CLOSED, "", rx.acquire_rx());
        CHECK(rx.state() == TACHYON_STATE_DISCONNECTED);
    }
    auto ends = buses();
    Bus &rx = ends.listener, &tx = ends.connector;
    try { // leaving by an exception is no orderly end
        const Bus inner = std::move(tx);
        throw std::runtime_error("half");
    } catch (const std::runtime_error &) {}
    try {
        rx.acquire_rx();
        CHECK(false);
    } catch (const tachyon::peer_dead_error &e) {
        CHECK(e.code() == TACHYON_ERR_ABORTED && e.kind() == TACHYON_KIND_ABORTED);
        CHECK(dynamic_cast<const tachyon::aborted_error *>(&e) != nullptr);
    }
}

void another_thread_may_close() {
    auto ends = buses();
    Bus &rx = ends.listener, &tx = ends.connector;
    std::thread closer([&bus = rx] {
        std::this_thread::sleep_for(20ms);
        bus.close();
    });
    THROWS(closed_error, TACHYON_ERR_CLOSED, "", rx.acquire_rx());
    closer.join();
    rx.close();
    rx.abort();
    THROWS(closed_error, TACHYON_ERR_CLOSED, "", rx.acquire_rx());
    CHECK(tx.state() == TACHYON_STATE_DISCONNECTED);
}

// Every call on an object that is not open.
template <class End>
void says_closed(End &end, const std::vector<std::function<void()>> &calls) {
    for (const auto &call : calls) {
        try {
            call();
            CHECK(false);
        } catch (const tachyon::closed_error &e) {
            CHECK(std::string(e.what()) == "it is not open");
        }
    }
    end.close();
    end.abort();
    end.set_polling_mode(true);
    CHECK(end.state() == TACHYON_STATE_UNKNOWN && end.max_payload() == 0 && !end.get());
}
void what_is_not_open_says_so() {
    auto ends = buses();
    Bus &rx = ends.listener, &tx = ends.connector;
    Bus taken = std::move(tx), never;
    std::vector<Tick> room(1);
    std::uint32_t type_id;
    for (Bus *bus : {&tx, &never}) {
        bus->flush();
        CHECK(!bus->try_send("x") && tachyon::last_error() == TACHYON_ERR_CLOSED);
        CHECK(!bus->try_acquire_rx() && bus->try_drain_batch().empty());
        says_closed(*bus, {[&] { bus->send("x"); }, [&] { bus->acquire_tx(1); },
                           [&] { bus->send_batch(room); }, [&] { bus->acquire_rx(); },
                           [&] { bus->recv<Tick>(); }, [&] { bus->drain_batch(); },
                           [&] { bus->recv_batch(room, type_id); },
                           [&] { bus->peer(); }, [&] { bus->stats(); },
                           [&] { bus->fileno(); }, [&] { bus->set_numa_node(0); },
                           [&] { bus->accept(); }, [&] { bus->peers(); },
                           [&] { bus->drop_peer(1); }, [&] { bus->position(); }});
    }
    RpcBus none;
    says_closed(none,
                {[&] { none.call("x"); }, [&] { none.acquire_call(1); },
                 [&] { none.wait(1); }, [&] { none.wait(0); }, [&] { none.serve(); },
                 [&] { none.reply(1, "x"); }, [&] { none.acquire_reply(1, 1); },
                 [&] { none.cancel(1); }, [&] { none.peer(); }, [&] { none.stats(); },
                 [&] { none.fileno(); }, [&] { none.accept(); },
                 [&] { none.peers(); }, [&] { none.drop_peer(1); }});
    taken.send("still");
    CHECK(rx.acquire_rx().text() == "still");
    Bus &itself = taken;
    taken = std::move(itself); // does no harm
    taken.send("still");
}

// In `guard = bus.acquire_rx()` the old one would release what the new one holds.
template <class Guard>
constexpr bool only_moves = std::is_nothrow_move_constructible_v<Guard> &&
                            !std::is_move_assignable_v<Guard> &&
                            !std::is_copy_constructible_v<Guard>;
static_assert(only_moves<tachyon::RxGuard> && only_moves<tachyon::TxGuard>);
static_assert(only_moves<tachyon::Reply> && only_moves<tachyon::Request>);
static_assert(only_moves<tachyon::CallGuard> && only_moves<tachyon::ReplyGuard>);

// CLOSED is the end of the stream, and no other mistake is taken for it.
void what_is_null_is_not_the_end() {
    auto ends = buses();
    std::vector<Tick> no_room;
    std::uint32_t type_id;
    THROWS(error, TACHYON_ERR_NULL_PTR, "payload is NULL",
           ends.connector.send(tachyon::Bytes(nullptr, 5)));
    THROWS(error, TACHYON_ERR_NULL_PTR, "items is NULL",
           ends.listener.recv_batch(no_room, type_id));
}

void bad_arguments_are_refused() {
    const struct {
        const char *path;
        std::size_t capacity;
        tachyon_error_t code;
        const char *text;
    } bad[] = {{"", 4096, TACHYON_ERR_INVALID_SZ, ""},
               {"@x", 5000, TACHYON_ERR_INVALID_SZ, "5000"},
               {"@x", 0, TACHYON_ERR_INVALID_SZ, ""},
               {"@x", SIZE_MAX, TACHYON_ERR_INVALID_SZ, ""},
               {"/nowhere/at/all", 4096, TACHYON_ERR_NETWORK, "/nowhere/at/all"}};
    for (const auto &one : bad)
        throws<tachyon::error>(__LINE__, one.code, one.text,
                               [&] { Bus::listen(one.path, one.capacity, patient()); });
    const std::string nul("@a\0b", 4), longest(200, '@');
    THROWS(error, TACHYON_ERR_INVALID_SZ, "NUL", Bus::connect(nul));
    THROWS(error, TACHYON_ERR_INVALID_SZ, "", Bus::connect(longest));
    THROWS(error, TACHYON_ERR_NETWORK, "nobody", Bus::connect(name()));
    Options options;
    options.role = TACHYON_ROLE_PRODUCER;
    THROWS(error, TACHYON_ERR_INVALID_SZ, "", RpcBus::connect(name(), options));
    options = {};
    options.timeout = 0s; // not for ever
    THROWS(timeout_error, TACHYON_ERR_TIMEOUT, "", Bus::listen(name(), 4096, options));
    auto ends = buses();
    Bus &rx = ends.listener, &tx = ends.connector;
    CHECK(!tx.try_send(std::string(9000, 'x')));
    CHECK(tachyon::last_error() == TACHYON_ERR_INVALID_SZ);
    THROWS(error, TACHYON_ERR_INVALID_SZ, "4 bytes", tx.acquire_tx(4).as<Tick>());
    THROWS(error, TACHYON_ERR_INVALID_SZ, "", tx.acquire_tx(SIZE_MAX));
    THROWS(error, TACHYON_ERR_INVALID_SZ, "", tx.set_numa_node(-1));
    tx.send("x");
    THROWS(error, TACHYON_ERR_BUSY, "", tx.acquire_rx());
    CHECK(rx.acquire_rx().text() == "x");
}

void errors_are_error_codes() {
    for (int i = 1; i <= TACHYON_ERR_ABORTED; i++) {
        const auto code = static_cast<tachyon_error_t>(i);
        const std::error_code error = code;
        CHECK(error.value() == i && error.message() == tachyon_strerror(code));
        CHECK(tachyon::error(error, "").kind() == tachyon_error_kind(code));
    }
    CHECK(std::string(tachyon::category().name()) == "tachyon");
    try {
        Bus::connect(name());
        CHECK(false);
    } catch (const std::system_error &e) {
        CHECK(e.code().category() == tachyon::category());
    }
}

void durations_are_time_outs() {
    using tachyon::Timeout;
    using Days = std::chrono::duration<double, std::ratio<86400>>;
    static_assert(tachyon::forever.ns == -1 && tachyon::no_wait.ns == 0);
    static_assert(Timeout(2ms).ns == 2'000'000 && Timeout(-1s).ns == 0);
    CHECK(Timeout(std::chrono::hours::max()).ns == -1);
    CHECK(Timeout(std::chrono::nanoseconds::max()).ns == -1);
    CHECK(Timeout(std::chrono::hours::min()).ns == 0);
    CHECK(Timeout(std::chrono::duration<double, std::pico>(1)).ns == 1);
    CHECK(Timeout(Days(std::numeric_limits<double>::infinity())).ns == -1);
    CHECK(Timeout(Days(std::numeric_limits<double>::quiet_NaN())).ns == 0);
}

void options_reach_the_other_end() {
    Options options = patient();
    options.schema = 7;
    options.allowed_uids = {getuid(), 12345};
    options.mode = 0660;
    auto ends = buses(options);
    Bus &rx = ends.listener, &tx = ends.connector;
    CHECK(rx.peer().pid == getpid() && tx.peer().uid == getuid());
    options.allowed_uids = {getuid() + 1};
    options.timeout = 20ms;
    const std::string path = name();
    std::thread refused([&] {
        THROWS(error, TACHYON_ERR_PERMISSION, "", Bus::connect(path, patient()));
    });
    options.timeout = 300ms;
    THROWS(timeout_error, TACHYON_ERR_TIMEOUT, "", Bus::listen(path, 4096, options));
    refused.join();
    options.types_required = true;
    THROWS(error, TACHYON_ERR_INVALID_SZ, "options.types is NULL",
           Bus::connect(path, options));
    options.types.assign("\0", 1);
    THROWS(error, TACHYON_ERR_INVALID_SZ, "options.types does not begin with",
           Bus::connect(path, options));
}

void opening_in_steps() {
    const std::string path = name();
    auto listening = Bus::start_listen(path, 4096, patient());
    CHECK(!listening.step());
    auto connecting = Bus::start_connect(path, patient());
    std::optional<Bus> rx, tx;
    while (!rx || !tx) {
        pollfd fds[] = {{listening.fileno(), POLLIN, 0},
                        {connecting.fileno(), POLLIN, 0}};
        poll(fds, 2, 1000);
        if (!rx) rx = listening.step();
        if (!tx) tx = connecting.step();
    }
    THROWS(error, TACHYON_ERR_EMPTY, "handed out before", listening.step());
    tx->send("x");
    pollfd readable = {rx->fileno(), POLLIN, 0};
    CHECK(poll(&readable, 1, 1000) == 1 && rx->acquire_rx().text() == "x");
    auto given_up = RpcBus::start_listen(path, 4096, 4096);
    auto moved = std::move(given_up);
    THROWS(error, TACHYON_ERR_NETWORK, "",
           while (!RpcBus::start_connect(name()).step(1s)));
}

void a_descriptor_interrupts() {
    const int fd = eventfd(0, EFD_CLOEXEC);
    Options options = patient();
    options.interrupt_fd = fd;
    auto ends = buses(options);
    Bus &rx = ends.listener, &tx = ends.connector;
    std::thread interrupter([fd] {
        std::this_thread::sleep_for(20ms);
        eventfd_write(fd, 1);
    });
    THROWS(interrupted_error, TACHYON_ERR_INTERRUPTED, "", rx.acquire_rx());
    interrupter.join();
    THROWS(interrupted_error, TACHYON_ERR_INTERRUPTED, "",
           Bus::listen(name(), 4096, options));
    eventfd_t value;
    eventfd_read(fd, &value);
    tx.send("on");
    CHECK(rx.acquire_rx().text() == "on");
#if __cplusplus >= 202002L
    std::jthread stopped([&, &bus = rx](std::stop_token token) {
        std::stop_callback on_stop(token, [fd] { eventfd_write(fd, 1); });
        THROWS(interrupted_error, TACHYON_ERR_INTERRUPTED, "", bus.acquire_rx());
    });
    stopped.request_stop();
    stopped.join();
#endif
    close(fd);
}

void calls_are_answered() {
    auto ends = rpcs();
    RpcBus &callee = ends.listener, &caller = ends.connector;
    std::thread server([&bus = callee] {
        std::vector<std::uint64_t> ids;
        while (ids.size() < 3) ids.push_back(bus.serve().correlation_id);
        bus.reply(ids[2], "third", 3);
        bus.reply(ids[1], Tick{1, 2});
        auto slot = bus.acquire_reply(ids[0], 8);
        THROWS(error, TACHYON_ERR_INVALID_SZ, "", slot.commit(9));
        std::memcpy(slot.data(), "first", 5);
        slot.commit(5, 1);
        THROWS(error, TACHYON_ERR_INVALID_SZ, "", bus.reply(ids[0], "again"));
        THROWS(error, TACHYON_ERR_INVALID_SZ, "request 0", bus.acquire_reply(0, 1));
        CHECK(bus.serve().text() == "x");
        THROWS(closed_error, TACHYON_ERR_CLOSED, "", bus.serve());
    });
    { auto dropped = caller.acquire_call(4); }
    const auto one = caller.call("1", 5), two = caller.call(Tick{}, 6);
    auto slot = caller.acquire_call(4);
    const auto three = slot.commit(0);
    CHECK(one == 1 && two == 2 && three == 3);
    {
        const auto reply = caller.wait(one, 5s);
        CHECK(reply.text() == "first" && reply.type_id == 1 &&
              reply.correlation_id == one);
    }
    CHECK(caller.wait(two).as<Tick>().quantity == 2);
    CHECK(caller.wait(0).correlation_id == three); // any
    THROWS(error, TACHYON_ERR_INVALID_SZ, "", caller.wait(two));
    CHECK(caller.stats().replies == 3 && caller.stats().outstanding == 0);
    const auto given_up = caller.call("x");
    CHECK(!caller.try_wait(given_up) && tachyon::last_error() == TACHYON_ERR_EMPTY);
    THROWS(timeout_error, TACHYON_ERR_TIMEOUT, "", caller.wait(given_up, 1ms));
    caller.cancel(given_up);
    THROWS(error, TACHYON_ERR_INVALID_SZ, "", caller.cancel(given_up));
    THROWS(error, TACHYON_ERR_BUSY, "", caller.serve());
    caller.watch_messages(false);
    caller = RpcBus();
    server.join();
}

} // namespace

int main() {
#define RUN(test) test(), std::puts(#test)
    RUN(values_texts_and_containers_arrive_as_they_were_sent);
    RUN(a_slot_is_sent_by_commit_only);
    RUN(a_message_is_released_once);
    RUN(batches_are_iterated_and_released_together);
    RUN(a_batch_takes_more_and_releases_its_oldest);
    RUN(a_collector_receives_from_all);
    RUN(a_broadcast_reaches_all);
    RUN(accept_waits_beside_who_receives);
    RUN(a_callee_serves_many_callers);
    RUN(wrong_options_for_many_are_refused);
    RUN(who_was_overtaken_is_told);
    RUN(a_full_ring_refuses_or_times_out);
    RUN(the_end_of_a_stream_is_told);
    RUN(another_thread_may_close);
    RUN(what_is_not_open_says_so);
    RUN(what_is_null_is_not_the_end);
    RUN(bad_arguments_are_refused);
    RUN(errors_are_error_codes);
    RUN(durations_are_time_outs);
    RUN(options_reach_the_other_end);
    RUN(opening_in_steps);
    RUN(a_descriptor_interrupts);
    RUN(calls_are_answered);
}
