// SPDX-License-Identifier: Apache-2.0
// The C++ peer of the conformance tests; tests/interop/README.md has the rules.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>
#include <tachyon.hpp>
#include <unistd.h>

using namespace tachyon;

namespace {

constexpr std::size_t group_size = 100, tick_group = 1000;
std::string path;
std::map<std::string, std::string> keys = {
    {"end", "connect"}, {"open", "20"}, {"capacity", "65536"}, {"schema", "0"},
    {"role", "0"},      {"wait", "20"}, {"count", "1"},        {"size", "32"},
    {"how", "single"},  {"seed", "0"},  {"finish", "close"},   {"outstanding", "1"},
    {"order", "in"},    {"cancel", "0"},     {"types", ""},        {"required", "0"}};
std::vector<std::size_t> sizes;
std::size_t count;
bool batch, in_place, tells_why;
std::string why; // of the last error
Timeout wait_time;

std::size_t number(const char *key) { return std::stoull(keys[key]); }
Timeout seconds(const char *key) {
    return std::chrono::duration<double>(std::stod(keys[key]));
}

template <class... Words> void say(const Words &...words) {
    (std::cout << ... << words) << std::endl;
}
void expect(bool right, std::size_t i) {
    if (right) return;
    say("wrong ", i);
    std::exit(1);
}

// Runs what ends with an error and returns its number, 0 for none.
int code_of(const std::function<void()> &run) {
    try {
        run();
    } catch (const error &e) {
        why = e.what();
        return e.code().value();
    }
    return 0;
}
void say_error(int code) {
    if (code) say("error ", code);
}

std::uint32_t type_of(std::size_t i) {
    return batch ? 1 : static_cast<std::uint32_t>(i % 7) + 1;
}
std::string message(std::size_t i) {
    static const std::size_t seed = number("seed");
    std::string bytes(sizes[(batch ? i / group_size : i) % sizes.size()], 0);
    for (std::size_t j = 0; j < bytes.size(); j++)
        bytes[j] = static_cast<char>(31 * i + 7 * j + seed);
    return bytes;
}
void check(std::size_t i, const View &view) {
    expect(view.text() == message(i) && view.type_id == type_of(i), i);
}

Options options() {
    Options o;
    o.timeout = seconds("open");
    o.schema = number("schema");
    o.role = static_cast<tachyon_role_t>(number("role"));
    o.types = keys["types"];
    o.types_required = number("required") == 1;
    return o;
}
template <class End> End opened(const std::function<End()> &open) {
    End end;
    const int code = code_of([&] { end = open(); });
    say_error(code);
    if (code && tells_why) say("why ", why);
    if (code) std::exit(0);
    return end;
}
Bus open() {
    return opened<Bus>([] {
        return keys["end"] == "listen"
                   ? Bus::listen(path, number("capacity"), options())
                   : Bus::connect(path, options());
    });
}
template <class End> void finish(End &end) {
    if (keys["finish"] == "kill") std::raise(SIGKILL);
    if (keys["finish"] == "abort") end.abort();
    if (keys["finish"] == "leave") static End left = std::move(end);
}

// Message i, or with batches those up to the next hundred.
void send_next(Bus &bus, std::size_t &i, Timeout wait) {
    std::string data = message(i);
    if (in_place) {
        TxGuard slot = bus.acquire_tx(data.size(), wait);
        std::memcpy(slot.data(), data.data(), data.size());
        slot.commit_unflushed(data.size(), type_of(i));
        i++;
    } else if (batch) {
        const std::size_t size = data.size(), first = i;
        for (std::size_t k = i + 1; k < count && k % group_size; k++)
            data += message(k);
        i += tachyon_send_batch(bus.get(), data.data(), size, data.size() / size, 1,
                                bus.spin, wait.ns);
        if ((i - first) * size < data.size()) detail::raise();
    } else {
        bus.send(data, type_of(i++), wait);
    }
}
void recv_next(Bus &bus, std::size_t &i, Timeout wait) {
    if (in_place) {
        for (const View &view : bus.drain_batch<group_size>(group_size, wait))
            check(i++, view);
    } else if (batch) {
        std::string expected = message(i), data(expected.size() * group_size, 0);
        std::uint32_t type = 0;
        const auto n =
            tachyon_recv_batch(bus.get(), data.data(), expected.size(),
                               group_size - i % group_size, &type, bus.spin, wait.ns);
        if (!n) detail::raise();
        for (std::size_t k = 0; k < n; k++, i++)
            expect(data.compare(k * expected.size(), expected.size(), message(i)) ==
                           0 &&
                       type == 1,
                   i);
    } else {
        check(i++, bus.acquire_rx(wait));
    }
}
using Step = void (*)(Bus &, std::size_t &, Timeout);
int until_error(Step step, Bus &bus, std::size_t &done, Timeout wait) {
    std::size_t next = done;
    const int code = code_of([&] {
        for (; next < count; done = next) step(bus, next, wait);
    });
    if (batch && step == send_next) done = next; // some of a batch may have gone
    return code;
}

void op_open() {
    Bus bus = open();
    say("opened");
    finish(bus);
}
void op_meet() {
    say("ready");
    tells_why = true;
    op_open();
}
void op_send() {
    Bus bus = open();
    std::size_t done = 0;
    const int code = until_error(send_next, bus, done, wait_time);
    bus.flush();
    say("sent ", done);
    say_error(code);
    finish(bus);
}
void op_recv() {
    Bus bus = open();
    std::size_t done = 0;
    count = SIZE_MAX;
    const int code = until_error(recv_next, bus, done, wait_time);
    say("received ", done);
    say_error(code);
}
void op_fill() {
    Bus bus = open();
    std::size_t done = 0;
    count = SIZE_MAX;
    const int code = until_error(send_next, bus, done, no_wait);
    say("sent ", done);
    say_error(code);
    say_error(until_error(send_next, bus, done, wait_time));
    bus.flush();
    finish(bus);
}
void op_drain() {
    Bus bus = open();
    std::size_t done = 0;
    say("ready");
    say_error(until_error(recv_next, bus, done, no_wait));
    say_error(until_error(recv_next, bus, done, wait_time));
}
void op_hold() {
    Bus bus = open();
    say("ready");
    for (;;) pause();
}
void op_misuse() {
    Bus bus = open(), never;
    bus.close();
    bus.close();
    for (Bus *each : {&bus, &never}) {
        std::size_t done = 0;
        say_error(until_error(send_next, *each, done, wait_time));
        say_error(until_error(recv_next, *each, done, wait_time));
        each->flush();
    }
}

void op_serve() {
    const std::size_t capacity = number("capacity"), group = number("outstanding");
    const bool reverse = keys["order"] == "reverse";
    RpcBus rpc = opened<RpcBus>(
        [&] { return RpcBus::listen(path, capacity, capacity, options()); });
    std::size_t served = 0;
    const int code = code_of([&] {
        for (;;) {
            struct Taken {
                std::uint64_t id;
                std::uint32_t type;
                std::string data;
            };
            std::vector<Taken> taken;
            while (taken.size() < group) {
                const Request request = rpc.serve(wait_time);
                const auto text = request.text();
                taken.push_back({request.correlation_id,
                                 request.type_id + 1,
                                 {text.rbegin(), text.rend()}});
            }
            for (std::size_t k = 0; k < group; k++, served++) {
                const Taken &t = taken[reverse ? group - 1 - k : k];
                rpc.reply(t.id, t.data, t.type, wait_time);
            }
        }
    });
    say("served ", served);
    say_error(code);
}
void op_call() {
    RpcBus rpc = opened<RpcBus>([] { return RpcBus::connect(path, options()); });
    const std::size_t group = number("outstanding"), every = number("cancel");
    std::size_t answered = 0, cancelled = 0;
    const int code = code_of([&] {
        for (std::size_t first = 0; first < count; first += group) {
            const std::size_t end = std::min(count, first + group);
            std::vector<std::uint64_t> ids;
            for (std::size_t i = first; i < end; i++)
                ids.push_back(rpc.call(message(i), type_of(i), wait_time));
            for (std::size_t i = first; i < end; i++) {
                if (every && (i + 1) % every == 0) {
                    rpc.cancel(ids[i - first]);
                    cancelled++;
                    continue;
                }
                const Reply reply = rpc.wait(ids[i - first], wait_time);
                std::string right = message(i);
                expect(reply.text() == std::string(right.rbegin(), right.rend()) &&
                           reply.type_id == type_of(i) + 1,
                       i);
                answered++;
            }
        }
    });
    say("answered ", answered);
    code ? say_error(code) : say("cancelled ", cancelled);
    finish(rpc);
}

struct Tick {
    char symbol[8];
    double price;
    std::uint32_t qty, pad;
    std::uint64_t ts;
};
// In place, as the other languages fill it: a value that is built elsewhere and copied in
// one go waits for its parts to be written.
void set(Tick &tick, std::size_t i) {
    std::memcpy(tick.symbol, "TCHY\0\0\0", sizeof tick.symbol);
    tick.price = 100 + static_cast<double>(i) * 0.25;
    tick.qty = static_cast<std::uint32_t>(i % 1000);
    tick.pad = 0;
    tick.ts = i;
}
struct Sums {
    std::size_t count = 0, qty = 0;
    double price = 0;
    void add(const Tick &t) {
        expect(!std::memcmp(t.symbol, "TCHY\0\0\0", 8) && !t.pad && t.ts == count,
               count);
        count++;
        qty += t.qty;
        price += t.price;
    }
    void report(std::chrono::steady_clock::time_point start) const {
        const std::chrono::duration<double, std::nano> ns =
            std::chrono::steady_clock::now() - start;
        std::printf("count %zu qty %zu price %.2f ns %.1f\n", count, qty, price,
                    ns.count() / static_cast<double>(count ? count : 1));
    }
};
void op_produce() {
    Bus bus = open();
    std::vector<Tick> ticks(tick_group);
    Tick one;
    Sums sums;
    for (std::size_t i = 0; i < count; i++) {
        set(one, i);
        sums.add(one);
    }
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < count;) {
        if (batch) {
            ticks.resize(std::min(tick_group, count - i));
            for (Tick &each : ticks) set(each, i++);
            bus.send_batch(ticks, 7, wait_time);
        } else if (in_place) {
            TxGuard slot = bus.acquire_tx(sizeof(Tick), wait_time);
            set(slot.as<Tick>(), i++);
            slot.commit_unflushed(sizeof(Tick), 7);
        } else {
            set(one, i++);
            bus.send(one, 7, wait_time);
        }
    }
    bus.flush();
    sums.report(start);
}
void op_consume() {
    Bus bus = open();
    std::vector<Tick> ticks(tick_group);
    Sums sums;
    std::chrono::steady_clock::time_point start;
    const auto add = [&](const View &view) {
        expect(view.type_id == 7, sums.count);
        sums.add(view.view<Tick>());
    };
    try { // here, not in code_of(): the sums stay in registers
        for (bool first = true;; first = false) {
            std::uint32_t type = 0;
            if (in_place) {
                const auto views = bus.drain_batch<tick_group>(tick_group, wait_time);
                if (first) start = std::chrono::steady_clock::now();
                for (const View &view : views) add(view);
            } else if (batch) {
                const std::size_t n = bus.recv_batch(ticks, type, wait_time);
                if (first) start = std::chrono::steady_clock::now();
                expect(type == 7, sums.count);
                for (std::size_t k = 0; k < n; k++) sums.add(ticks[k]);
            } else {
                const RxGuard one = bus.acquire_rx(wait_time);
                if (first) start = std::chrono::steady_clock::now();
                add(one);
            }
        }
    } catch (const closed_error &) { // the end of the stream
    } catch (const error &e) {
        say_error(e.code().value());
        std::exit(1);
    }
    sums.report(start);
}

void op_ping() {
    Bus bus = open();
    path += "-back";
    Bus back = open();
    const std::string data = message(0);
    for (std::size_t i = 0; i < count; i++) {
        bus.send(data, 1, wait_time);
        expect(back.acquire_rx(wait_time).text() == data, i);
    }
    say("answered ", count);
}
void op_ask() {
    RpcBus rpc = opened<RpcBus>([] { return RpcBus::connect(path, options()); });
    const std::string data = message(0);
    for (std::size_t i = 0; i < count; i++)
        expect(rpc.wait(rpc.call(data, 1, wait_time), wait_time).text() == data, i);
    say("answered ", count);
}

} // namespace

int main(int argc, char **argv) {
    const std::map<std::string, void (*)()> operations = {
        {"open", op_open},       {"send", op_send},      {"recv", op_recv},
        {"fill", op_fill},       {"drain", op_drain},    {"hold", op_hold},
        {"serve", op_serve},     {"call", op_call},      {"misuse", op_misuse},
        {"produce", op_produce}, {"consume", op_consume}, {"meet", op_meet},
        {"ping", op_ping},       {"ask", op_ask}};
    if (argc < 3 || !operations.count(argv[1])) return 2;
    path = argv[2];
    for (int i = 3; i < argc; i++) {
        const std::string word = argv[i];
        const auto at = word.find('=');
        if (!keys.count(word.substr(0, at))) return 2;
        keys[word.substr(0, at)] = word.substr(at + 1);
    }
    std::istringstream list(keys["size"]);
    for (std::string size; std::getline(list, size, ',');)
        sizes.push_back(std::stoull(size));
    count = number("count");
    batch = keys["how"] == "batch";
    in_place = keys["how"] == "in_place";
    wait_time = seconds("wait");
    operations.at(argv[1])();
}
