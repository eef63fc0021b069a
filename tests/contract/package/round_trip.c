/* SPDX-License-Identifier: Apache-2.0 */
/* A user's program: sends one message to its child and gets the end of the stream. */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <tachyon.h>
#include <unistd.h>

static int fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, tachyon_last_error_message());
    return 1;
}

static int consume(const char *path) {
    tachyon_options_t options = {.size = sizeof options, .timeout_ns = 10000000000};
    tachyon_bus_t *bus;
    uint32_t type_id;
    size_t size;
    if (tachyon_bus_connect_with(path, &options, &bus) != TACHYON_SUCCESS)
        return fail("connect");
    const char *text = tachyon_acquire_rx_blocking(bus, &type_id, &size, 0);
    if (text == NULL || size != 6 || memcmp(text, "hello", 6) != 0 || type_id != 7)
        return fail("receive");
    tachyon_commit_rx(bus);
    if (tachyon_acquire_rx_blocking(bus, &type_id, &size, 0) != NULL ||
        tachyon_last_error() != TACHYON_ERR_CLOSED)
        return fail("end of stream");
    tachyon_bus_destroy(bus);
    return 0;
}

int main(void) {
    char path[64], version[32];
    snprintf(path, sizeof path, "@tachyon-package-%d", (int)getpid());
    snprintf(version, sizeof version, "%d.%d.%d", TACHYON_VERSION_MAJOR,
             TACHYON_VERSION_MINOR, TACHYON_VERSION_PATCH);
    if (strcmp(version, tachyon_version()) != 0)
        return fprintf(stderr, "header %s, library %s\n", version, tachyon_version());

    pid_t child = fork();
    if (child == 0)
        return consume(path);
    tachyon_options_t options = {.size = sizeof options, .timeout_ns = 10000000000};
    tachyon_bus_t *bus;
    if (tachyon_bus_listen_with(path, 4096, &options, &bus) != TACHYON_SUCCESS)
        return fail("listen");
    if (tachyon_send(bus, "hello", 6, 7, 0, -1) != TACHYON_SUCCESS)
        return fail("send");
    tachyon_bus_destroy(bus);
    int status = -1;
    return waitpid(child, &status, 0) == child && status == 0 ? 0 : 1;
}
