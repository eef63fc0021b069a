/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the messages that the tests of other languages read, and are to write. */
#include "every.types.h"
#include <stdio.h>

int main(void) {
    Tick tick = {
        .symbol = "AAPL",
        .price = 189.5,
        .side = ASK,
        .halted = true,
        .reserved = {1, 2, 255},
        .venue = {7, 4000000000},
        .spread = {{1.5, 2.5}, {-3.5, 4.5}},
        .late = 18446744073709551615U,
        .port = 65535,
        .flags = {true, false, true},
    };
    struct Cancel cancel;
    memset(&cancel, 0, sizeof cancel); /* the padding too */
    cancel.order = 3000000000;
    cancel.len = 200;
    cancel.net = 0x3412;
    for (int i = 0; i < 6; i++) {
        cancel.parts[i / 3][i % 3].a = (char)('a' + i);
        cancel.parts[i / 3][i % 3].b = i / 4.;
    }
    cancel.sides[0] = BID;
    cancel.sides[2] = (enum Side)9;
    cancel.type = -5;
    fwrite(&tick, sizeof tick, 1, stdout);
    fwrite(&cancel, sizeof cancel, 1, stdout);
    return 0;
}
