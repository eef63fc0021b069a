/* SPDX-License-Identifier: Apache-2.0 */
/* Shows the last price of each symbol: a reader that wants the newest and not every tick.
   If it was too slow, it joins again at what is sent now. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tachyon.h>

#include "market_tick.types.h"

#define CONNECT_NS INT64_C(60000000000)
#define AGAIN_NS INT64_C(1000000000)
#define SYMBOLS 64

struct board {
    MarketTick last[SYMBOLS]; /* of each symbol */
    uint32_t side[SYMBOLS];
    size_t symbols;
    uint64_t ticks;
    unsigned left_behind;
};

static tachyon_error_t join(const char *path, int64_t timeout_ns, tachyon_bus_t **bus) {
    tachyon_options_t options = {.size = sizeof options,
                                 .timeout_ns = timeout_ns,
                                 .role = TACHYON_ROLE_CONSUMER,
                                 .types = MARKET_TICK_TYPES,
                                 .types_size = MARKET_TICK_TYPES_SIZE,
                                 .start = TACHYON_START_NOW};
    return tachyon_bus_connect_with(path, &options, bus);
}

/* The next message, copied. LAGGED is also told at the release: what was copied may then
   have been overwritten before. */
static tachyon_error_t take(tachyon_bus_t *bus, MarketTick *tick, uint32_t *type_id) {
    size_t size;
    const void *message;
    do
        message =
            tachyon_acquire_rx_blocking(bus, type_id, &size, TACHYON_DEFAULT_SPIN);
    while (message == NULL && tachyon_last_error() == TACHYON_ERR_INTERRUPTED);
    if (message == NULL)
        return tachyon_last_error();
    memcpy(tick, message, size < sizeof *tick ? size : sizeof *tick);
    return tachyon_commit_rx(bus);
}

static void show(struct board *board, const MarketTick *tick, uint32_t side) {
    size_t i = 0;
    while (i < board->symbols &&
           memcmp(board->last[i].symbol, tick->symbol, sizeof tick->symbol) != 0)
        i++;
    if (i == SYMBOLS)
        return;
    board->symbols += i == board->symbols;
    board->last[i] = *tick;
    board->side[i] = side;
    board->ticks++;
}

static void print(const struct board *board) {
    printf("display: %" PRIu64 " ticks, left behind %u times\n", board->ticks,
           board->left_behind);
    for (size_t i = 0; i < board->symbols; i++)
        printf("  %.8s %s %.2f\n", board->last[i].symbol,
               board->side[i] == MARKET_TICK_BID ? "bid" : "ask", board->last[i].price);
}

/* SUCCESS: the stream is over. */
static tachyon_error_t watch(const char *path, struct board *board) {
    tachyon_bus_t *bus;
    tachyon_error_t error = join(path, CONNECT_NS, &bus);
    while (error == TACHYON_SUCCESS) {
        MarketTick tick;
        uint32_t type_id;
        error = take(bus, &tick, &type_id);
        if (error == TACHYON_ERR_LAGGED) {
            fprintf(stderr, "display: %s\n", tachyon_last_error_message());
            board->left_behind++;
            tachyon_bus_destroy(bus);
            error = join(path, AGAIN_NS, &bus);
        } else if (error == TACHYON_SUCCESS && type_id != MARKET_TICK_SENTINEL) {
            show(board, &tick, type_id);
        } else {
            break;
        }
    }
    if (error == TACHYON_SUCCESS)
        tachyon_bus_destroy(bus);
    return error;
}

int main(int argc, char **argv) {
    static struct board board;
    const char *path = argc > 1 ? argv[1] : "/tmp/tachyon_market_ticks.sock";
    tachyon_error_t error = watch(path, &board);
    if (error != TACHYON_SUCCESS)
        fprintf(stderr, "display: %s\n", tachyon_last_error_message());
    print(&board);
    return error != TACHYON_SUCCESS;
}
