/* SPDX-License-Identifier: Apache-2.0 */
/* Prints what it finds with every.types.h; test_c.py knows it. */
#include "every.types.h"
#include <stdio.h>

int main(void) {
    char payload[128];
    Tick tick = {.symbol = "AAPL", .price = 189.5, .side = ASK, .late = 7, .port = 9};
    memset(payload, 0xff, sizeof payload);
    memcpy(payload, &tick, sizeof tick);
    const Tick *seen = Tick_of(payload, Tick_TYPE, sizeof tick);
    printf("%d %s %g ", (const char *)seen == payload, seen->symbol, seen->price);
    printf("%d ", Tick_of(payload, Tick_TYPE, sizeof tick + 8) != NULL);
    printf("%d ", Tick_of(payload, Tick_TYPE, sizeof tick - 1) != NULL);
    printf("%d ", Tick_of(payload, Tick_TYPE + 1, sizeof tick) != NULL);
    printf("%d ", Tick_of(NULL, Tick_TYPE, sizeof tick) != NULL);
    printf("%d ", Cancel_of(payload, Cancel_TYPE, sizeof(struct Cancel)) != NULL);
    printf("%d\n", Cancel_of(payload, Cancel_TYPE, sizeof(struct Cancel) + 1) != NULL);
    for (size_t size = 0; size <= sizeof tick + 8; size += 4) {
        Tick copy;
        memset(&copy, 0xff, sizeof copy);
        if (Tick_copy(&copy, payload, Tick_TYPE, size))
            printf("%zu:%d,%d ", size, (int)copy.late, copy.port);
    }
    printf("%d\n", Tick_copy(&tick, payload, Cancel_TYPE, sizeof tick));
    fwrite(EVERY_TYPES, 1, EVERY_TYPES_SIZE, stdout);
    printf("%016llx %zu\n", (unsigned long long)EVERY_FINGERPRINT, sizeof EVERY_TYPES);
    return 0;
}
