/* SPDX-License-Identifier: Apache-2.0 */
/* All is in the namespace Tachyon. Tachyon\Error has its code in getCode() and a name.
   With pcntl_async_signals(true) signal handlers run while a call waits; one that throws
   ends it. */
%module tachyon
%pragma(php) version="1.0.0"
%{
#include "facade.h"
#undef INIT_CLASS_ENTRY
#define INIT_CLASS_ENTRY(entry, name, functions) \
    INIT_CLASS_ENTRY_EX(entry, "Tachyon\\" name, sizeof("Tachyon\\" name) - 1,          \
                        functions)
#undef PHP_FE
#define PHP_FE(name, arguments) ZEND_NS_FE("Tachyon", name, arguments)
#undef SWIG_LONG_CONSTANT
#define SWIG_LONG_CONSTANT(name, value) \
    REGISTER_NS_LONG_CONSTANT("Tachyon", #name, value, CONST_CS | CONST_PERSISTENT)
static zend_class_entry *error_class;
static void raise_error(const Bus *bus) {
    if (EG(exception)) return; /* a signal handler's */
    zend_object *error = zend_throw_exception(error_class, bus->text, bus->error);
    const char *name = tachyon_error_name((tachyon_error_t)bus->error);
    zend_update_property_string(error_class, error, "name", 4, name);
}
/* SWIG would overlook a name that it does not know. */
static zval *set_known(zend_object *object, zend_string *name, zval *value,
                       void **cache) {
    zend_string *setter = zend_strpprintf(0, "%s_set", ZSTR_VAL(name));
    bool known = zend_hash_exists(&object->ce->function_table, setter);
    zend_string_release(setter);
    if (known) return zend_std_write_property(object, name, value, cache);
    zend_throw_error(NULL, "%s has no property %s that can be set",
                     ZSTR_VAL(object->ce->name), ZSTR_VAL(name));
    return value;
}
static zend_function *not_by_new(zend_object *object) {
    zend_throw_error(NULL, "%s is made by peers() only", ZSTR_VAL(object->ce->name));
    return NULL;
}
/* SWIG would make 0 of what is no number, and a string of anything. */
#define WRONG(input, what) do { \
    zend_argument_type_error((uint32_t)(&input - args) + 1, what); return; } while (0)
static volatile bool *pended(void) { return (volatile bool *)&EG(vm_interrupt); }
static int pending(void *context) { (void)context; return *pended(); }
static int interrupted(void) {
    *pended() = false;
    if (*(volatile bool *)&EG(timed_out)) zend_timeout(); /* set_time_limit()'s: jumps */
    if (zend_interrupt_function) zend_interrupt_function(EG(current_execute_data));
    return EG(exception) != NULL;
}
%}
#define TACHYON_OWN_BYTES
%typemap(in) (const void *data, size_t size), (const void *items, size_t size) {
    if (Z_TYPE($input) != IS_STRING) WRONG($input, "must be of type string");
    $1 = Z_STRVAL($input); $2 = Z_STRLEN($input);
}
%typemap(out) Bytes "RETVAL_STRINGL($1.data, $1.len);"
%typemap(in) const char *path {
    if (Z_TYPE($input) != IS_STRING ||
        CHECK_NULL_PATH(Z_STRVAL($input), Z_STRLEN($input)))
        WRONG($input, "must be a string without null bytes");
    $1 = Z_STRVAL($input);
}
%typemap(in) const char *name, const char *types {
    if (Z_TYPE($input) != IS_NULL && (Z_TYPE($input) != IS_STRING ||
        CHECK_NULL_PATH(Z_STRVAL($input), Z_STRLEN($input))))
        WRONG($input, "must be null, or a string without null bytes");
    $1 = Z_TYPE($input) == IS_NULL ? NULL : Z_STRVAL($input);
}
%typemap(in) double {
    if (!zend_parse_arg_double(&$input, &$1, NULL, 0, 0))
        WRONG($input, "must be of type float");
}
%typemap(in) int, unsigned, uint32_t, size_t, uint64_t {
    zend_long value;
    if (!zend_parse_arg_long(&$input, &value, NULL, 0, 0))
        WRONG($input, "must be of type int");
    $1 = ($1_ltype)value;
    if ((zend_long)$1 != value) WRONG($input, "is out of range");
}
#define TACHYON_RAISE(bus) raise_error(bus); SWIG_fail
%include "tachyon.i"
%minit %{
    zend_class_entry entry;
    INIT_CLASS_ENTRY(entry, "Error", NULL);
    error_class = zend_register_internal_class_ex(&entry, zend_ce_exception);
    zend_declare_property_string(error_class, "name", 4, "", ZEND_ACC_PUBLIC);
    host.pending = pending; host.interrupted = interrupted;
%}
%rinit %{ /* the classes are there: no object without its constructor */
    zend_class_entry *classes[] = {
        SWIG_Php_ce_Bus, SWIG_Php_ce_RpcBus, SWIG_Php_ce_Options, SWIG_Php_ce_Stats,
        SWIG_Php_ce_RpcStats, SWIG_Php_ce_Peer, SWIG_Php_ce_Peers, SWIG_Php_ce_PeerInfo,
        SWIG_Php_ce_Event};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; ++i)
        classes[i]->ce_flags |= ZEND_ACC_FINAL | ZEND_ACC_NOT_SERIALIZABLE;
    Bus_object_handlers.write_property = RpcBus_object_handlers.write_property =
        Options_object_handlers.write_property = set_known;
    Peers_object_handlers.get_constructor = not_by_new;
%}
