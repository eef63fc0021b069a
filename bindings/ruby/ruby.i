/* SPDX-License-Identifier: Apache-2.0 */
/* Tachyon::Error has a code and a name. While a call waits, other threads run; traps,
   Thread#raise and Thread#kill end it or, if nothing is raised, let it go on. */
%module tachyon
%{
#include <ruby/thread.h>
#include "facade.h"
static VALUE error_class;
static void raise_error(const Bus *bus) {
    VALUE error = rb_exc_new_cstr(error_class, bus->text);
    rb_iv_set(error, "@code", INT2FIX(bus->error));
    const char *name = tachyon_error_name((tachyon_error_t)bus->error);
    rb_iv_set(error, "@name", rb_str_new_cstr(name));
    rb_exc_raise(error);
}
struct waiting { void (*call)(void *); void *context; };
static void *run(void *context) {
    struct waiting *waiting = context;
    waiting->call(waiting->context);
    return waiting;
}
static void wait_unlocked(void (*call)(void *), void *context) {
    struct waiting waiting = {call, context};
    if (!rb_thread_call_without_gvl2(run, &waiting, RUBY_UBF_IO, NULL))
        call(context); /* not run, since interrupted() is due: pending() says so */
}
static int pending(void *context) {
    return rb_thread_interrupted(rb_thread_current());
}
static int interrupted(void) { rb_thread_check_ints(); return 0; }
%}
#define TACHYON_OWN_BYTES
%typemap(in) (const void *data, size_t size), (const void *items, size_t size) {
    $input = rb_str_new_frozen(StringValue($input)); /* others may change theirs */
    $1 = RSTRING_PTR($input); $2 = (size_t)RSTRING_LEN($input);
}
%typemap(out) Bytes "$result = rb_str_new($1.data, (long)$1.len);"
%typemap(in) const char *path "$1 = StringValueCStr($input);"
%typemap(in) const char *name, const char *types
    "$1 = NIL_P($input) ? NULL : StringValueCStr($input);"
#define TACHYON_RAISE(bus) raise_error(bus)
%include "tachyon.i"
%init %{
    error_class = rb_define_class_under(mTachyon, "Error", rb_eStandardError);
    rb_define_attr(error_class, "code", 1, 0);
    rb_define_attr(error_class, "name", 1, 0);
    host.wait = wait_unlocked; host.pending = pending; host.interrupted = interrupted;
    host.interruptible = 1; /* other threads end a listen or connect */
%}
