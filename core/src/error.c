/* SPDX-License-Identifier: Apache-2.0 */
/* The last error of each thread, and the one table of error texts. */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TEXT(text) #text
#define VERSION(major, minor, patch) TEXT(major) "." TEXT(minor) "." TEXT(patch)

static _Thread_local struct {
    tachyon_error_t error;
    int system;
    char text[384]; /* empty: the table's text */
} last;

static const char *const texts[] = {
    [TACHYON_SUCCESS] = "success",
    [TACHYON_ERR_NULL_PTR] = "a required pointer is NULL",
    [TACHYON_ERR_MEM] = "out of memory",
    [TACHYON_ERR_OPEN] = "cannot create the shared memory",
    [TACHYON_ERR_TRUNCATE] = "cannot size the shared memory",
    [TACHYON_ERR_CHMOD] = "cannot set the mode of the socket",
    [TACHYON_ERR_SEAL] = "the shared memory is not sealed",
    [TACHYON_ERR_MAP] = "cannot map the shared memory",
    [TACHYON_ERR_INVALID_SZ] = "an argument is out of range",
    [TACHYON_ERR_FULL] = "the ring is full",
    [TACHYON_ERR_EMPTY] = "the ring is empty",
    [TACHYON_ERR_NETWORK] = "nobody listens, or the socket failed",
    [TACHYON_ERR_SYSTEM] = "a system call failed",
    [TACHYON_ERR_INTERRUPTED] = "interrupted by a signal",
    [TACHYON_ERR_ABI_MISMATCH] = "the peer speaks another protocol",
    [TACHYON_ERR_PEER_DEAD] = "the peer died without closing",
    [TACHYON_ERR_CLOSED] = "the stream has ended",
    [TACHYON_ERR_TIMEOUT] = "timed out",
    [TACHYON_ERR_BUSY] = "in use by another thread or by the peer",
    [TACHYON_ERR_CORRUPT] = "the peer wrote an impossible value into the ring",
    [TACHYON_ERR_ADDR_IN_USE] = "the address is in use",
    [TACHYON_ERR_PERMISSION] = "permission denied",
    [TACHYON_ERR_FORKED] = "the handle belongs to the parent process",
    [TACHYON_ERR_ABORTED] = "the peer gave up in the middle",
};

tachyon_error_t ty_fail(tachyon_error_t error, int system, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(last.text, sizeof last.text, format, arguments);
    va_end(arguments);
    if (system != 0 && length >= 0 && (size_t)length < sizeof last.text) {
        errno = system; /* %m: strerror() may be one buffer for all threads */
        snprintf(last.text + length, sizeof last.text - (size_t)length, ": %m");
    }
    last.error = error;
    last.system = system;
    return error;
}

tachyon_error_t ty_fail_about(tachyon_error_t error, const char *subject) {
    size_t length = strlen(tachyon_last_error_message());
    if (!strstr(tachyon_last_error_message(), subject)) {
        if (last.text[0] == '\0') /* the text was the table's */
            memcpy(last.text, tachyon_strerror(error), length + 1);
        snprintf(last.text + length, sizeof last.text - length, " (%s)", subject);
    }
    return error;
}

tachyon_error_t ty_fail_plain(tachyon_error_t error) {
    last.error = error;
    last.system = 0;
    last.text[0] = '\0';
    return error;
}

tachyon_error_t ty_fail_null(const char *argument) {
    return ty_fail(TACHYON_ERR_NULL_PTR, 0, "%s is NULL", argument);
}

tachyon_error_t tachyon_last_error(void) {
    return last.error;
}

int tachyon_last_errno(void) {
    return last.system;
}

const char *tachyon_last_error_message(void) {
    return last.text[0] ? last.text : tachyon_strerror(last.error);
}

const char *tachyon_strerror(tachyon_error_t error) {
    size_t index = (size_t)error;
    return index < sizeof texts / sizeof texts[0] ? texts[index] : "unknown error";
}

const char *tachyon_version(void) {
    return VERSION(TACHYON_VERSION_MAJOR, TACHYON_VERSION_MINOR, TACHYON_VERSION_PATCH);
}
