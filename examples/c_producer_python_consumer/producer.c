/* SPDX-License-Identifier: Apache-2.0 */
/* Streams what comes on standard input to consumer.py: the kernel writes it straight
   into the ring, in messages of up to 64 KiB. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tachyon.h>

#define CHUNK ((size_t)1 << 16)
#define SPIN_THRESHOLD 10000
#define CONNECT_NS INT64_C(60000000000)

/* Leaves without tachyon_bus_destroy(), so that the consumer does not take what it has
   got for all there is: to it, this process has died. */
static int fail(const char *doing, const char *cause) {
    fprintf(stderr, "producer: %s: %s\n", doing, cause);
    return 1;
}

int main(int argc, char **argv) {
    const char *path = argc > 1 ? argv[1] : "/tmp/tachyon_stream.sock";
    /* With a time-out it waits for the consumer to listen. */
    tachyon_options_t options = {.size = sizeof options, .timeout_ns = CONNECT_NS};
    tachyon_bus_t *bus;
    if (tachyon_bus_connect_with(path, &options, &bus) != TACHYON_SUCCESS)
        return fail("connect", tachyon_last_error_message());

    uint64_t bytes = 0, messages = 0;
    for (;;) {
        void *slot = tachyon_acquire_tx_timed(bus, CHUNK, SPIN_THRESHOLD, -1);
        if (slot == NULL && tachyon_last_error() == TACHYON_ERR_INTERRUPTED)
            continue;
        if (slot == NULL)
            return fail("send", tachyon_last_error_message());
        ssize_t size = read(STDIN_FILENO, slot, CHUNK);
        if (size < 0 && errno == EINTR)
            continue; /* the next reservation replaces this one */
        if (size < 0)
            return fail("standard input", strerror(errno));
        if (size == 0)
            break;
        /* Fewer bytes than were reserved take less of the ring. */
        if (tachyon_commit_tx(bus, (size_t)size, 0) != TACHYON_SUCCESS)
            return fail("send", tachyon_last_error_message());
        tachyon_flush(bus);
        bytes += (uint64_t)size;
        messages++;
    }
    tachyon_bus_destroy(bus); /* rolls the last reservation back and ends the stream */
    printf("sent: %" PRIu64 " bytes in %" PRIu64 " messages\n", bytes, messages);
    return 0;
}
