// SPDX-License-Identifier: Apache-2.0
// Tachyon for C++17 and later: header only, over tachyon.h, whose words it uses.
//
// Ownership: a Bus or RpcBus owns one end of a connection, is moved and not copied, and
// closes it when destroyed; by an exception that leaves the block it aborts, so that
// half of a stream is never taken for the whole. One that was moved from, or never
// opened, says CLOSED. What it lends (guards, batches, views) points into its ring: it
// may be moved meanwhile but must outlive them. One slot, and one message or batch, is
// held at a time.
// Errors: calls throw tachyon::error; its code() compares with TACHYON_ERR_* and its
// kind() with TACHYON_KIND_*. A call named try_ throws nothing; when it has nothing to
// give, last_error() says why. Threads: as in tachyon.h; close() and abort() from any.
#ifndef TACHYON_HPP
#define TACHYON_HPP

#include <tachyon.h>

#include <chrono>
#include <cstddef>
#include <cstring>
#include <exception>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>
#if __cplusplus >= 202002L
#include <span>
#endif

namespace tachyon {

// ---- Errors ----

class category_type final : public std::error_category {
    const char *name() const noexcept override { return "tachyon"; }
    std::string message(int code) const override {
        return tachyon_strerror(tachyon_error_t(code));
    }
};
inline const std::error_category &category() noexcept {
    static const category_type instance;
    return instance;
}

namespace detail {
inline bool is_open() noexcept { // else what is NULL is the handle
    const std::string_view text = tachyon_last_error_message();
    return text != "bus is NULL" && text != "rpc is NULL" && text != "opening is NULL";
}
} // namespace detail

/// Why the last call of this thread had nothing to give.
inline std::error_code last_error() noexcept {
    return {detail::is_open() ? tachyon_last_error() : TACHYON_ERR_CLOSED, category()};
}

struct error : std::system_error {
    error(std::error_code code, const std::string &text, size_t items = 0)
        : system_error(code), sent(items), text_(text) {}
    const char *what() const noexcept override { return text_.what(); }
    tachyon_error_kind_t kind() const noexcept {
        return tachyon_error_kind(tachyon_error_t(code().value()));
    }
    size_t sent; ///< by send_batch() before it failed
private:
    std::runtime_error text_; // whose copies cannot fail
};
struct closed_error : error { using error::error; }; ///< the end of the stream
struct peer_dead_error : error { using error::error; };
struct aborted_error : peer_dead_error { using peer_dead_error::peer_dead_error; };
struct timeout_error : error { using error::error; }; ///< also: full, empty
struct interrupted_error : error { using error::error; };

namespace detail {
[[noreturn]] inline void raise(size_t sent = 0) {
    const bool open = is_open();
    const std::string text = open ? tachyon_last_error_message() : "it is not open";
    const std::error_code code = last_error();
    switch (tachyon_error_kind(tachyon_error_t(code.value()))) {
    case TACHYON_KIND_CLOSED: throw closed_error(code, text, sent);
    case TACHYON_KIND_PEER_DEAD: throw peer_dead_error(code, text, sent);
    case TACHYON_KIND_ABORTED: throw aborted_error(code, text, sent);
    case TACHYON_KIND_TIMEOUT:
    case TACHYON_KIND_WOULD_BLOCK: throw timeout_error(code, text, sent);
    case TACHYON_KIND_INTERRUPTED: throw interrupted_error(code, text, sent);
    default: throw error(code, text, sent);
    }
}
inline void check(tachyon_error_t code) { if (code) raise(); }
inline void check_release(tachyon_error_t code) { // another end the next call says
    if (code == TACHYON_ERR_LAGGED) raise();
}
[[noreturn]] inline void refuse(tachyon_error_t code, const std::string &text) {
    throw error({code, category()}, text);
}
template <class T> auto data_of(T &from, int) -> decltype(std::data(from));
template <class T> void data_of(T &, ...); // T is no container
template <class T>
using item_t = std::remove_pointer_t<decltype(data_of(std::declval<T &>(), 0))>;
template <class T> constexpr bool points = std::is_pointer_v<T>; // elsewhere
template <> inline constexpr bool points<std::nullptr_t> = true;
template <class T> inline constexpr bool points<std::reference_wrapper<T>> = true;
template <class T> inline constexpr bool points<std::initializer_list<T>> = true;
template <class C> inline constexpr bool points<std::basic_string_view<C>> = true;
#if __cplusplus >= 202002L
template <class T, size_t n> inline constexpr bool points<std::span<T, n>> = true;
#endif
template <class T> // can be sent as it lies in memory
constexpr bool is_value =
    std::is_trivially_copyable_v<T> && !points<std::remove_cv_t<T>>;
[[noreturn]] inline void misfit(size_t size, size_t value) { // out of the way
    refuse(TACHYON_ERR_INVALID_SZ, std::to_string(size) + " bytes cannot hold a " +
                                       std::to_string(value) + "-byte value");
}
template <class T> void fits(bool right, size_t size) {
    static_assert(is_value<T> && alignof(T) <= 32, "payloads are aligned to 32 bytes");
    if (!right) misfit(size, sizeof(T));
}
template <class Guard, class... Arguments>
std::optional<Guard> given(const void *data, Arguments... arguments) noexcept {
    return data ? std::optional<Guard>(std::in_place, arguments...) : std::nullopt;
}
template <class T> T must(std::optional<T> &&given) {
    if (!given) raise();
    return std::move(*given);
}
template <auto call> struct Call { // as a deleter
    template <class H> void operator()(H *handle) const noexcept { call(handle); }
};
} // namespace detail

// ---- Arguments ----

/// Longest wait of a call: any std::chrono::duration; less than 0 is 0.
struct Timeout {
    constexpr Timeout() noexcept : ns(-1) {} ///< for ever
    template <class Rep, class Period>
    constexpr Timeout(std::chrono::duration<Rep, Period> wait) noexcept : ns(-1) {
        using namespace std::chrono;
        const double seconds = duration<double>(wait).count();
        if (!(seconds > 0))
            ns = 0;
        else if (seconds < 9.2e9) // 292 years
            ns = duration_cast<nanoseconds>(wait).count() + (seconds < 1e-9);
    }
    int64_t ns; ///< as C has it
};
inline constexpr Timeout forever{};
inline constexpr Timeout no_wait{std::chrono::nanoseconds(0)};

/// What is to be sent: text, the items of a container, a value as it lies in memory.
struct Bytes {
    Bytes(const void *bytes, size_t count) noexcept : data(bytes), size(count) {}
    Bytes(const char *text) noexcept : Bytes(text, text ? std::strlen(text) : 0) {}
    template <class T, class = std::enable_if_t<!std::is_pointer_v<std::decay_t<T>>>>
    Bytes(const T &from) noexcept : Bytes(&from, sizeof from) {
        using Item = detail::item_t<const T>;
        if constexpr (std::is_void_v<Item>) static_assert(detail::is_value<T>);
        else {
            static_assert(detail::is_value<Item>);
            *this = Bytes(std::data(from), std::size(from) * sizeof(Item));
        }
    }
    const void *data;
    size_t size;
};

/// Where an end of a broadcast stands, and in which epoch that means anything.
struct Position { uint64_t position = 0, epoch = 0; };

struct Options {
    std::optional<Timeout> timeout{}; ///< none: listen for ever, connect in one try
    uint32_t mode = 0;           ///< of the socket; 0 is 0600
    tachyon_role_t role = TACHYON_ROLE_NONE;
    uint64_t schema = 0;
    std::vector<uint32_t> allowed_uids{}; ///< none: only our own
    bool restart = true;                       ///< a signal does not end a wait
    int interrupt_fd = 0;                      ///< readable, it ends waits; 0: none
    std::string types{}; ///< described by the generated file, sets schema; none: empty
    bool types_required = false; ///< refuses a peer that does not say its types
    uint32_t max_peers = 0;      ///< listen: so many peers, with a role; 0: one, ever
    tachyon_slow_peer_t slow_peer = TACHYON_SLOW_BLOCK;
    tachyon_without_peers_t without_peers = TACHYON_WITHOUT_PEERS_WAIT;
    Timeout slow_after = no_wait, keep_place = no_wait;
    tachyon_start_t start = TACHYON_START_NOW; ///< connect, as consumer
    Position start_position{};
    std::string name{}; ///< connect
    tachyon_options_t raw(bool listens) const noexcept {
        int64_t ns = timeout ? timeout->ns : 0;
        if (listens && timeout && !ns) ns = 1;
        tachyon_options_t raw{};
        raw.size = sizeof raw;
        raw.timeout_ns = ns;
        raw.socket_mode = mode;
        raw.role = static_cast<uint32_t>(role);
        raw.allowed_uids = allowed_uids.empty() ? nullptr : allowed_uids.data();
        raw.allowed_uid_count = allowed_uids.size();
        raw.schema = schema;
        raw.types = types.empty() ? nullptr : types.data();
        raw.types_size = types.size();
        raw.types_required = types_required;
        raw.restart = restart;
        raw.interrupt_fd = interrupt_fd;
        raw.max_peers = max_peers;
        raw.slow_peer = static_cast<uint32_t>(slow_peer);
        raw.slow_after_ns = slow_after.ns;
        raw.without_peers = static_cast<uint32_t>(without_peers);
        raw.keep_place_ns = keep_place.ns;
        raw.start = static_cast<uint32_t>(start);
        raw.start_position = start_position.position;
        raw.start_epoch = start_position.epoch;
        raw.name = name.c_str();
        return raw;
    }
};

// ---- What the ring lends ----

/// A message in the ring. as() copies, view() does not; another size is an error.
struct View : tachyon_msg_view_t {
    auto data() const noexcept { return static_cast<const std::byte *>(ptr); }
    size_t size() const noexcept { return actual_size; }
#if __cplusplus >= 202002L
    std::span<const std::byte> bytes() const noexcept { return {data(), size()}; }
#endif
    std::string_view text() const noexcept {
        return {static_cast<const char *>(ptr), actual_size};
    }
    template <class T> const T &view() const {
        detail::fits<T>(size() == sizeof(T), size());
        return *static_cast<const T *>(ptr);
    }
    template <class T> T as() const { return view<T>(); }
};
static_assert(sizeof(View) == sizeof(tachyon_msg_view_t), "C takes arrays of it");

/// A message that is held: released when destroyed, or by commit(), which alone says
/// LAGGED: of a broadcast, what was read may have been overwritten before.
template <class Handle, auto release> class Message : public View {
public:
    Message(Handle *handle, const View &view, uint64_t id = 0) noexcept
        : View(view), correlation_id(id), held_(handle) {}
    Message(Message &&) noexcept = default; ///< not assigned: it would hold two
    void commit() {
        if (Handle *handle = held_.release()) detail::check_release(release(handle));
    }
    void keep() noexcept { held_.release(); } ///< the next call gives it again
    uint64_t correlation_id;             ///< of RPC, else 0
private:
    std::unique_ptr<Handle, detail::Call<release>> held_;
};
using RxGuard = Message<tachyon_bus_t, tachyon_commit_rx>;
using Reply = Message<tachyon_rpc_bus_t, tachyon_rpc_commit_rx>;
using Request = Message<tachyon_rpc_bus_t, tachyon_rpc_commit_serve>;

/// Up to N messages for range-for, released together: when destroyed, or by commit(),
/// which alone says LAGGED, as of a Message.
template <size_t N> class RxBatch {
public:
    RxBatch(tachyon_bus_t *bus, size_t max, uint32_t spin, int64_t ns, bool must)
        : bus_(bus), spin_(spin),
          count_(tachyon_drain_batch_timed(bus, views_, max, spin, ns)) {
        if (must && !count_) detail::raise();
    }
    RxBatch(const RxBatch &) = delete;
    ~RxBatch() { release(count_); }
    const View *begin() const noexcept { return views_; }
    const View *end() const noexcept { return views_ + count_; }
    const View &operator[](size_t i) const noexcept { return views_[i]; }
    size_t size() const noexcept { return count_; }
    bool empty() const noexcept { return count_ == 0; }
    /// Bytes from each message to the next where they lie like an array, else 0.
    size_t stride() const noexcept { return tachyon_batch_stride(views_, count_); }
    /// One more, behind these, which are still held. False: there are N, or as
    /// tachyon_acquire_rx_next_timed() fails.
    bool try_take_next(Timeout wait = no_wait) noexcept {
        if (count_ == N) return false;
        View &next = views_[count_];
        const bool taken =
            tachyon_acquire_rx_next_timed(bus_, &next, spin_, wait.ns) != nullptr;
        count_ += taken;
        return taken;
    }
    void take_next(Timeout wait = forever) {
        if (count_ == N) detail::refuse(TACHYON_ERR_FULL, "the batch has no more room");
        if (!try_take_next(wait)) detail::raise();
    }
    /// Release the first `count`; the others move to the front and are still held.
    void release_oldest(size_t count) {
        const tachyon_error_t code = release(count);
        if (code != TACHYON_ERR_LAGGED) detail::check(code);
        for (size_t i = count; i < count_; i++) views_[i - count] = views_[i];
        count_ -= count;
        detail::check(code);
    }
    /// Release the first `count`; the others come again.
    void commit(size_t count = N) {
        const size_t some = count < count_ ? count : count_;
        count_ = 0;
        detail::check_release(release(some));
    }
private:
    tachyon_error_t release(size_t count) noexcept {
        return tachyon_commit_rx_batch(bus_, views_, count);
    }
    tachyon_bus_t *bus_;
    uint32_t spin_;
    View views_[N];
    size_t count_;
};

/// Room in the ring, aligned to 32 bytes: commit() sends it, else it is given back.
template <class Handle, auto give_back> class Slot {
    static constexpr bool plain = std::is_same_v<Handle, tachyon_bus_t>;
public:
    Slot(Handle *handle, void *data, size_t size, uint64_t id = 0) noexcept
        : held_(handle), data_(data), size_(size), id_(id) {}
    Slot(Slot &&) noexcept = default; ///< not assigned: it would hold two
    void rollback() noexcept { held_.reset(); }
    std::byte *data() const noexcept { return static_cast<std::byte *>(data_); }
    size_t size() const noexcept { return size_; }
#if __cplusplus >= 202002L
    std::span<std::byte> bytes() const noexcept { return {data(), size()}; }
#endif
    template <class T> T &as() const {
        detail::fits<T>(sizeof(T) <= size_, size_);
        return *static_cast<T *>(data_);
    }
    /// Send the first `size` bytes; of a call it returns the correlation id.
    uint64_t commit(size_t size, uint32_t type_id = 0) {
        Handle *handle = held_.get();
        commit_unflushed(size, type_id);
        if constexpr (plain) tachyon_flush(handle);
        return id_;
    }
    void commit_unflushed(size_t size, uint32_t type_id = 0) {
        Handle *handle = held_.get();
        if (!handle) detail::refuse(TACHYON_ERR_EMPTY, "nothing is reserved any more");
        tachyon_error_t code;
        if constexpr (plain) code = tachyon_commit_tx(handle, size, type_id);
        else if (id_) code = tachyon_rpc_commit_reply(handle, id_, size, type_id);
        else code = tachyon_rpc_commit_call(handle, size, type_id, &id_);
        detail::check(code);
        held_.release();
    }
private:
    std::unique_ptr<Handle, detail::Call<give_back>> held_;
    void *data_;
    size_t size_;
    uint64_t id_;
};
using TxGuard = Slot<tachyon_bus_t, tachyon_rollback_tx>;
using CallGuard = Slot<tachyon_rpc_bus_t, tachyon_rpc_rollback_call>;
using ReplyGuard = Slot<tachyon_rpc_bus_t, tachyon_rpc_rollback_reply>;

// ---- Connections ----

using Path = const std::string &;

/// A listen or connect in progress; destroyed, it is given up.
template <class Self> class Opening {
public:
    using Handle = tachyon_opening_t;
    explicit Opening(Handle *handle) noexcept : handle_(handle) {}
    int fileno() const noexcept { return tachyon_opening_fileno(handle_.get()); }
    /// The connection, once; nothing as long as there is no outcome.
    std::optional<Self> step(Timeout wait = no_wait) {
        const tachyon_error_t code = tachyon_opening_step(handle_.get(), wait.ns);
        if (code == TACHYON_ERR_EMPTY) return std::nullopt;
        detail::check(code);
        typename Self::Handle *end = nullptr;
        if constexpr (std::is_same_v<typename Self::Handle, tachyon_bus_t>)
            detail::check(tachyon_opening_finish_bus(handle_.get(), &end));
        else
            detail::check(tachyon_opening_finish_rpc(handle_.get(), &end));
        return Self(end);
    }
private:
    std::unique_ptr<Handle, detail::Call<tachyon_opening_cancel>> handle_;
};

/// What both kinds of connection can do.
template <class Self, class H, class... Capacity> class End {
    static constexpr bool plain = std::is_same_v<H, tachyon_bus_t>;
    template <class A, class B> static constexpr auto pick(A bus, B rpc) noexcept {
        if constexpr (plain) return bus;
        else return rpc;
    }
    struct Release {
        void operator()(H *handle) const noexcept {
            if (std::uncaught_exceptions() > exceptions)
                pick(tachyon_bus_abort, tachyon_rpc_abort)(handle);
            pick(tachyon_bus_destroy, tachyon_rpc_destroy)(handle);
        }
        int exceptions = std::uncaught_exceptions();
    };
    template <class Result, class Call, class... Sizes>
    static Result open(Call call, Path path, const Options &options, Sizes... sizes) {
        if ((path + options.name).find('\0') != path.npos)
            detail::refuse(TACHYON_ERR_INVALID_SZ, "a NUL in the path or the name");
        const tachyon_options_t raw = options.raw(sizeof...(sizes) > 0);
        typename Result::Handle *handle = nullptr;
        detail::check(call(path.c_str(), sizes..., &raw, &handle));
        return Result(handle);
    }
    template <class T, class Call> T read(Call call) const {
        T value{};
        detail::check(call(get(), &value));
        return value;
    }
    std::unique_ptr<H, Release> handle_;
public:
    using Handle = H;
    End() noexcept = default;
    explicit End(H *owned) noexcept : handle_(owned) {}
    static Self listen(Path path, Capacity... bytes, const Options &o = {}) {
        constexpr auto call = pick(tachyon_bus_listen_with, tachyon_rpc_listen_with);
        return open<Self>(call, path, o, bytes...);
    }
    static Self connect(Path path, const Options &o = {}) {
        constexpr auto call = pick(tachyon_bus_connect_with, tachyon_rpc_connect_with);
        return open<Self>(call, path, o);
    }
    using Opens = Opening<Self>; ///< in steps, without waiting
    static Opens start_listen(Path path, Capacity... bytes, const Options &o = {}) {
        constexpr auto call = pick(tachyon_bus_listen_start, tachyon_rpc_listen_start);
        return open<Opens>(call, path, o, bytes...);
    }
    static Opens start_connect(Path path, const Options &o = {}) {
        constexpr auto call =
            pick(tachyon_bus_connect_start, tachyon_rpc_connect_start);
        return open<Opens>(call, path, o);
    }
    uint32_t spin = TACHYON_DEFAULT_SPIN; ///< looks before a wait sleeps
    H *get() const noexcept { return handle_.get(); } ///< for C; still owned by this
    /// End the stream; a producer flushes first. Idempotent.
    void close() noexcept { pick(tachyon_bus_close, tachyon_rpc_close)(get()); }
    void abort() noexcept { pick(tachyon_bus_abort, tachyon_rpc_abort)(get()); }
    tachyon_state_t state() const noexcept {
        return pick(tachyon_get_state, tachyon_rpc_get_state)(get());
    }
    size_t max_payload() const noexcept {
        return pick(tachyon_max_payload, tachyon_rpc_max_payload)(get());
    }
    void set_polling_mode(bool spins) noexcept {
        pick(tachyon_bus_set_polling_mode, tachyon_rpc_set_polling_mode)(get(), spins);
    }
    tachyon_peer_t peer() const {
        return read<tachyon_peer_t>(pick(tachyon_bus_get_peer, tachyon_rpc_get_peer));
    }
    auto stats() const {
        using Stats = std::conditional_t<plain, tachyon_stats_t, tachyon_rpc_stats_t>;
        return read<Stats>(pick(tachyon_bus_get_stats, tachyon_rpc_get_stats));
    }
    /// Let peers in and out, and say who; from any thread, one at a time.
    std::optional<tachyon_event_t> try_accept(Timeout wait = no_wait) noexcept {
        std::optional<tachyon_event_t> event(std::in_place);
        if (pick(tachyon_bus_accept, tachyon_rpc_accept)(get(), &*event, wait.ns))
            event.reset();
        return event;
    }
    tachyon_event_t accept(Timeout wait = forever) {
        return detail::must(try_accept(wait));
    }
    std::vector<tachyon_peer_info_t> peers() const {
        std::vector<tachyon_peer_info_t> all(TACHYON_MAX_PEERS);
        constexpr auto call = pick(tachyon_bus_get_peers, tachyon_rpc_get_peers);
        all.resize(call(get(), all.data(), all.size()));
        if (all.empty() && last_error()) detail::raise();
        return all;
    }
    void drop_peer(uint32_t peer) {
        detail::check(pick(tachyon_bus_drop_peer, tachyon_rpc_drop_peer)(get(), peer));
    }
    uint32_t sender() const noexcept { ///< of the last message or request; 0: none
        return pick(tachyon_bus_sender, tachyon_rpc_sender)(get());
    }
    int fileno() const { ///< for poll; see tachyon_bus_fileno()
        const int fd = pick(tachyon_bus_fileno, tachyon_rpc_fileno)(get());
        if (fd < 0) detail::raise();
        return fd;
    }
};

class Bus : public End<Bus, tachyon_bus_t, size_t> {
public:
    using End::End;
    bool try_send(Bytes data, uint32_t type_id = 0, Timeout wait = no_wait) noexcept {
        return !tachyon_send(get(), data.data, data.size, type_id, spin, wait.ns);
    }
    void send(Bytes data, uint32_t type_id = 0, Timeout wait = forever) {
        if (!try_send(data, type_id, wait)) detail::raise();
    }
    /// One message for each item of a container; returns how many were sent.
    template <class C>
    size_t try_send_batch(const C &c, uint32_t type_id = 0, Timeout wait = no_wait) {
        static_assert(detail::is_value<detail::item_t<const C>>);
        const size_t size = sizeof(*std::data(c)), n = std::size(c);
        return tachyon_send_batch(get(), std::data(c), size, n, type_id, spin, wait.ns);
    }
    /// All of them. An error tells how many were `sent` before it.
    template <class C>
    void send_batch(const C &c, uint32_t type_id = 0, Timeout wait = forever) {
        const size_t sent = try_send_batch(c, type_id, wait);
        if (sent < std::size(c)) detail::raise(sent);
    }
    std::optional<TxGuard> try_acquire_tx(size_t size, Timeout wait = no_wait) {
        void *data = tachyon_acquire_tx_timed(get(), size, spin, wait.ns);
        return detail::given<TxGuard>(data, get(), data, size);
    }
    TxGuard acquire_tx(size_t size, Timeout wait = forever) {
        void *data = tachyon_acquire_tx_timed(get(), size, spin, wait.ns);
        if (!data) detail::raise();
        return {get(), data, size};
    }
    void flush() noexcept { tachyon_flush(get()); }

    std::optional<RxGuard> try_acquire_rx(Timeout wait = no_wait) noexcept {
        View v{};
        auto &[data, size, room, type_id, gap] = static_cast<tachyon_msg_view_t &>(v);
        data = tachyon_acquire_rx_timed(get(), &type_id, &size, spin, wait.ns);
        return detail::given<RxGuard>(data, get(), v);
    }
    RxGuard acquire_rx(Timeout wait = forever) {
        return detail::must(try_acquire_rx(wait));
    }
    /// A message that has the size of a T; another one stays in the ring.
    template <class T> T recv(Timeout wait = forever, uint32_t *type_id = nullptr) {
        RxGuard message = acquire_rx(wait);
        if (message.size() != sizeof(T)) message.keep();
        if (type_id) *type_id = message.type_id;
        const T value = message.template as<T>();
        message.commit();
        return value;
    }
    /// What is there, up to `max`.
    template <size_t N = 256>
    RxBatch<N> drain_batch(size_t max = N, Timeout wait = forever) {
        return {get(), max < N ? max : N, spin, wait.ns, true};
    }
    template <size_t N = 256> /// empty when nothing came
    RxBatch<N> try_drain_batch(size_t max = N, Timeout wait = no_wait) noexcept {
        return {get(), max < N ? max : N, spin, wait.ns, false};
    }
    /// Messages of the size of an item into the front of a container; returns how many.
    template <class C>
    size_t try_recv_batch(C &c, uint32_t &type_id, Timeout wait = no_wait) {
        static_assert(detail::is_value<detail::item_t<C>>);
        const size_t size = sizeof(*std::data(c)), max = std::size(c);
        void *to = std::data(c);
        return tachyon_recv_batch(get(), to, size, max, &type_id, spin, wait.ns);
    }
    template <class C>
    size_t recv_batch(C &c, uint32_t &type_id, Timeout wait = forever) {
        const size_t count = try_recv_batch(c, type_id, wait);
        return count ? count : (detail::raise(), 0);
    }
    Position position() const {
        Position at;
        detail::check(tachyon_bus_position(get(), &at.position, &at.epoch));
        return at;
    }
    void set_numa_node(int node) {
        detail::check(tachyon_bus_set_numa_node(get(), node));
    }
};

class RpcBus : public End<RpcBus, tachyon_rpc_bus_t, size_t, size_t> {
public:
    using End::End;
    /// Send a request; returns its correlation id.
    uint64_t call(Bytes data, uint32_t type_id = 0, Timeout wait = forever) {
        const auto &[at, size] = data;
        uint64_t id = 0;
        detail::check(
            tachyon_rpc_call_timed(get(), at, size, type_id, &id, spin, wait.ns));
        return id;
    }
    CallGuard acquire_call(size_t size, Timeout wait = forever) {
        void *data = tachyon_rpc_acquire_tx_timed(get(), size, spin, wait.ns);
        if (!data) detail::raise();
        return {get(), data, size};
    }
    /// The reply to a call; with 0 to any.
    std::optional<Reply> try_wait(uint64_t id, Timeout wait = no_wait) noexcept {
        View v{};
        auto &[data, size, room, type, gap] = static_cast<tachyon_msg_view_t &>(v);
        data = id ? tachyon_rpc_wait_timed(get(), id, &size, &type, spin, wait.ns)
                  : tachyon_rpc_wait_any(get(), &id, &size, &type, spin, wait.ns);
        return detail::given<Reply>(data, get(), v, id);
    }
    Reply wait(uint64_t id, Timeout wait = forever) {
        return detail::must(try_wait(id, wait));
    }
    void cancel(uint64_t id) { detail::check(tachyon_rpc_cancel(get(), id)); }

    std::optional<Request> try_serve(Timeout wait = no_wait) noexcept {
        View v{};
        auto &[data, size, room, type, gap] = static_cast<tachyon_msg_view_t &>(v);
        uint64_t id = 0;
        data = tachyon_rpc_serve_timed(get(), &id, &type, &size, spin, wait.ns);
        return detail::given<Request>(data, get(), v, id);
    }
    Request serve(Timeout wait = forever) { return detail::must(try_serve(wait)); }
    void reply(uint64_t id, Bytes data, uint32_t type = 0, Timeout wait = forever) {
        const auto &[at, size] = data;
        detail::check(
            tachyon_rpc_reply_timed(get(), id, at, size, type, spin, wait.ns));
    }
    ReplyGuard acquire_reply(uint64_t id, size_t size, Timeout wait = forever) {
        if (!id) detail::refuse(TACHYON_ERR_INVALID_SZ, "there is no request 0");
        void *data = tachyon_rpc_acquire_reply_tx_timed(get(), size, spin, wait.ns);
        if (!data) detail::raise();
        return {get(), data, size, id};
    }
    void watch_messages(bool on) noexcept { tachyon_rpc_watch_messages(get(), on); }
};

} // namespace tachyon

template <> struct std::is_error_code_enum<tachyon_error_t> : std::true_type {};
inline std::error_code make_error_code(tachyon_error_t code) noexcept {
    return {static_cast<int>(code), tachyon::category()};
}
#endif
