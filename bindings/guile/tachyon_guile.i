/* SPDX-License-Identifier: Apache-2.0 */
/* Payloads are bytevectors. Errors are thrown as (tachyon-error procedure "~A" (text)
   (code name)). Other threads run, and signal handlers, while a call waits. */
%module tachyon
%{
#include "facade.h"
__attribute__((visibility("default"))) SCM scm_init_tachyon_module(void);
static void raise_error(const char *procedure, const Bus *bus) {
    int error = *bus_error_here();
    const char *name = tachyon_error_name((tachyon_error_t)error);
    scm_error(scm_from_utf8_symbol("tachyon-error"), procedure, "~A",
              scm_list_1(scm_from_utf8_string(bus->text)),
              scm_list_2(scm_from_int(error), scm_from_utf8_symbol(name)));
}
struct waiting { void (*call)(void *); void *context; };
static void *run(void *context) {
    struct waiting *waiting = context;
    waiting->call(waiting->context);
    return NULL;
}
static _Thread_local scm_thread *self;
static void wait_outside(void (*call)(void *), void *context) {
    self = SCM_I_THREAD_DATA(scm_current_thread());
    scm_without_guile(run, &(struct waiting){call, context});
}
/* Of this thread, by whatever thread of Guile's. */
static int pending(void *context) {
    (void)context;
    return self->block_asyncs == 0 && !scm_is_null(self->pending_asyncs);
}
static int interrupted(void) { scm_async_tick(); return 0; }
%}
#define TACHYON_OWN_BYTES
%typemap(in) (const void *data, size_t size) {
    SCM_ASSERT_TYPE(scm_is_bytevector($input), $input, $argnum, FUNC_NAME, "bytevector");
    $1 = SCM_BYTEVECTOR_CONTENTS($input);
    $2 = SCM_BYTEVECTOR_LENGTH($input);
}
%apply (const void *data, size_t size) { (const void *items, size_t size) };
%typemap(out) Bytes {
    $result = scm_c_make_bytevector($1.len);
    memcpy(SCM_BYTEVECTOR_CONTENTS($result), $1.data, $1.len);
}
#define TACHYON_TEXT_HAS_NUL scm_is_true(scm_string_index( \
    s_1, SCM_MAKE_CHAR(0), SCM_UNDEFINED, SCM_UNDEFINED))
#define TACHYON_RAISE(bus) raise_error(FUNC_NAME, bus)
#define TACHYON_ERROR(bus) (*bus_error_here())
/* Guile 3.0.8's own error of a number below 0 has no upper limit, and cannot be shown. */
%typemap(in) size_t, uint64_t {
    if (scm_is_exact_integer($input) &&
        !scm_is_unsigned_integer($input, 0, UINT64_MAX))
        scm_out_of_range(FUNC_NAME, $input);
    $1 = scm_to_uint64($input);
}
%insert("scheme") %{ (load-extension "libguile-tachyon" "scm_init_tachyon_module") %}
%include "tachyon.i"
%init %{
    host.wait = wait_outside; host.pending = pending; host.interrupted = interrupted;
    host.queues = 1;
    host.interruptible = 1; /* other threads end a listen or connect */
%}
