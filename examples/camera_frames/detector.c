/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the red ball in each picture of camera.py, where the picture lies in the ring,
   and tells viewer.py. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <tachyon.h>
#include <tachyon_frame.h>

#include "detections.types.h"

#define RING_BYTES ((size_t)1 << 20) /* four pictures, and no more than that behind */
#define FEWEST_PIXELS 20             /* less is noise */
#define CONNECT_NS INT64_C(60000000000)

/* Leaves without tachyon_bus_destroy(), so that the viewer does not take what it has got
   for all there is. */
static _Noreturn void fail(const char *doing, const char *cause) {
    fprintf(stderr, "detector: %s: %s\n", doing, cause);
    exit(1);
}

/* A picture is bytes of rows, columns and red, green, blue; whatever else a peer sends
   ends the program. */
static void check_frame(tachyon_frame_error_t error, const tachyon_frame_t *frame,
                        size_t size) {
    char text[128];
    if (error == TACHYON_FRAME_OK && frame->code == TACHYON_FRAME_UINT &&
        frame->bits == 8 && frame->ndim == 3 && frame->shape[0] <= UINT16_MAX &&
        frame->shape[1] <= UINT16_MAX && frame->shape[2] == 3 && frame->flags == 0)
        return;
    tachyon_frame_explain(error, frame, size, text, sizeof text);
    fail("not a picture of 8-bit RGB", text);
}

static Detection detect(const tachyon_frame_t *frame, const unsigned char *pixel) {
    Detection ball = {.picture = frame->tag};
    uint64_t x_sum = 0, y_sum = 0;
    unsigned left = UINT16_MAX, top = UINT16_MAX, right = 0, bottom = 0;
    for (unsigned y = 0; y < (unsigned)frame->shape[0]; y++)
        for (unsigned x = 0; x < (unsigned)frame->shape[1]; x++, pixel += 3) {
            if (pixel[0] < pixel[1] + 80 || pixel[0] < pixel[2] + 80)
                continue;
            ball.pixels++;
            x_sum += x;
            y_sum += y;
            left = x < left ? x : left;
            right = x > right ? x : right;
            top = y < top ? y : top;
            bottom = y;
        }
    if (ball.pixels < FEWEST_PIXELS)
        return (Detection){.picture = frame->tag};
    ball.x = (float)((double)x_sum / ball.pixels);
    ball.y = (float)((double)y_sum / ball.pixels);
    ball.left = (uint16_t)left;
    ball.top = (uint16_t)top;
    ball.right = (uint16_t)right;
    ball.bottom = (uint16_t)bottom;
    return ball;
}

static void send_detection(tachyon_bus_t *viewer, const Detection *detection) {
    while (tachyon_send(viewer, detection, sizeof *detection, Detection_TYPE,
                        TACHYON_DEFAULT_SPIN, -1) != TACHYON_SUCCESS)
        if (tachyon_last_error() != TACHYON_ERR_INTERRUPTED)
            fail("send", tachyon_last_error_message());
}

/* What a larger network would take for each picture. */
static long parse_milliseconds(const char *text) {
    char *end;
    errno = 0;
    long milliseconds = strtol(text, &end, 10);
    if (errno != 0 || *end != '\0' || *text < '0' || *text > '9')
        fail(text, "not a number of milliseconds");
    return milliseconds;
}

int main(int argc, char **argv) {
    if (argc > 4) {
        fprintf(stderr, "usage: %s [PICTURES [DETECTIONS [MILLISECONDS]]]\n", argv[0]);
        return 2;
    }
    const char *pictures = argc > 1 ? argv[1] : "/tmp/tachyon_pictures.sock";
    const char *detections = argc > 2 ? argv[2] : "/tmp/tachyon_detections.sock";
    long milliseconds = argc > 3 ? parse_milliseconds(argv[3]) : 0;
    struct timespec slow = {milliseconds / 1000, milliseconds % 1000 * 1000000};

    /* With a time-out it waits for the viewer to listen. */
    tachyon_options_t options = {.size = sizeof options,
                                 .timeout_ns = CONNECT_NS,
                                 .types = DETECTIONS_TYPES,
                                 .types_size = DETECTIONS_TYPES_SIZE};
    tachyon_bus_t *viewer, *camera;
    if (tachyon_bus_connect_with(detections, &options, &viewer) != TACHYON_SUCCESS)
        fail("connect to the viewer", tachyon_last_error_message());
    if (tachyon_bus_listen(pictures, RING_BYTES, &camera) != TACHYON_SUCCESS)
        fail("wait for the camera", tachyon_last_error_message());

    uint64_t count = 0;
    for (;;) {
        uint32_t type_id;
        size_t size;
        const unsigned char *message =
            tachyon_acquire_rx_blocking(camera, &type_id, &size, TACHYON_DEFAULT_SPIN);
        if (message == NULL && tachyon_last_error() == TACHYON_ERR_INTERRUPTED)
            continue;
        if (message == NULL)
            break;
        tachyon_frame_t frame; /* a copy, which the camera cannot change any more */
        tachyon_frame_error_t error = tachyon_frame_read(message, size, &frame);
        check_frame(error, &frame, size);
        Detection detection = detect(&frame, message + sizeof frame);
        tachyon_commit_rx(camera); /* gives the picture's place back */
        if (milliseconds > 0)
            nanosleep(&slow, NULL);
        send_detection(viewer, &detection);
        count++;
    }
    if (tachyon_last_error() != TACHYON_ERR_CLOSED)
        fail("receive", tachyon_last_error_message());
    tachyon_bus_destroy(camera);
    tachyon_bus_destroy(viewer);
    printf("detector: %" PRIu64 " pictures\n", count);
    return 0;
}
