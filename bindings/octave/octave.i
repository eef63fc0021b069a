/* SPDX-License-Identifier: Apache-2.0 */
/* Payloads are rows of uint8 (a string is taken too). Errors have the identifier
   Tachyon:ERR_..., the number is `error` of the bus. Ctrl-C ends a wait. */
%module tachyon
%{
#include "facade.h"
#include <octave/quit.h>
#include <signal.h>
extern "C" __attribute__((visibility("default"))) octave_function *
Gtachyon(const octave::dynamic_library &, bool); /* what Octave looks for */
static void raise_error(const Bus *bus) {
    std::string id = tachyon_error_name((tachyon_error_t)bus->error);
    error_with_id(id.replace(0, 8, "Tachyon:").c_str(), "%s", bus->text);
}
/* Octave leaves Ctrl-C to a thread of its own, which ends no wait of this one. */
static void wait_for_signals(void (*call)(void *), void *context) {
    sigset_t interrupt, before;
    sigemptyset(&interrupt); sigaddset(&interrupt, SIGINT);
    pthread_sigmask(SIG_UNBLOCK, &interrupt, &before);
    call(context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}
static int pending(void *) { return octave_interrupt_state > 0; }
static int interrupted(void) { octave_quit(); return 0; }
%}
#define TACHYON_OWN_BYTES
%typemap(in) (const void *data, size_t size) (charNDArray text, uint8NDArray bytes),
             (const void *items, size_t size) (charNDArray text, uint8NDArray bytes) {
    if ($input.is_string()) {
        text = $input.char_array_value();
        $1 = (void *)text.data(); $2 = (size_t)text.numel();
    } else if ($input.is_uint8_type()) {
        bytes = $input.uint8_array_value();
        $1 = (void *)bytes.data(); $2 = (size_t)bytes.numel();
    } else error("the data must be uint8 or a string");
}
%typemap(out) Bytes {
    uint8NDArray bytes(dim_vector(1, (octave_idx_type)$1.len));
    memcpy(bytes.fortran_vec(), $1.data, $1.len);
    $result = bytes;
}
%typemap(in, fragment=SWIG_AsVal_frag(unsigned long long))
    uint64_t (unsigned long long value) {
    if ($input.is_double_type() && $input.double_value() >= 9007199254740992.0)
        error("$1_name is a double: from 2^53 on it may be another's; say uint64(...)");
    int result = SWIG_AsVal(unsigned long long)($input, &value);
    if (!SWIG_IsOK(result))
        SWIG_exception_fail(SWIG_ArgError(result), "$1_name is no integer of 64 bits");
    $1 = value;
}
%feature("compactdefaultargs"); /* C++: else an overload for each of them */
#define TACHYON_TEXT_HAS_NUL args(1).string_value().find('\0') != std::string::npos
#define TACHYON_RAISE(bus) raise_error(bus)
%include "tachyon.i"
%init %{
    host.wait = wait_for_signals; host.pending = pending;
    host.interrupted = interrupted;
%}
