/* SPDX-License-Identifier: Apache-2.0 */
/* Payloads are byte arrays. errorCode is {TACHYON name code}: trap {TACHYON ERR_FULL}.
   Tcl's asynchronous handlers (a signal's, a cancel's) run while a call waits; one that
   fails ends it. */
%module tachyon
%{
#include "facade.h"
static _Thread_local Tcl_Interp *waiting;
static int pending(void *context) {
    (void)context;
    return Tcl_AsyncReady() || Tcl_Canceled(waiting, 0) != TCL_OK;
}
static int interrupted(void) {
    return (Tcl_AsyncReady() && Tcl_AsyncInvoke(waiting, TCL_OK) != TCL_OK) ||
           Tcl_Canceled(waiting, TCL_LEAVE_ERR_MSG) != TCL_OK;
}
static void raise_error(Tcl_Interp *interp, const Bus *bus) {
    const char *name = tachyon_error_name((tachyon_error_t)bus->error);
    char code[12];
    if (bus->error == TACHYON_ERR_INTERRUPTED) return; /* the handler has said why */
    snprintf(code, sizeof code, "%d", bus->error);
    Tcl_SetErrorCode(interp, "TACHYON", name + strlen("TACHYON_"), code, NULL);
    Tcl_SetObjResult(interp, Tcl_NewStringObj(bus->text, -1));
}
%}
#define TACHYON_OWN_BYTES
%typemap(in) (const void *data, size_t size), (const void *items, size_t size) {
    for (const char *text = $input->bytes; text && *text; ++text)
        if ((unsigned char)*text >= 0xC4) /* of UTF-8: above 255 */
            SWIG_exception_fail(SWIG_TypeError, "data: characters that are no bytes");
    int length;
    $1 = Tcl_GetByteArrayFromObj($input, &length); $2 = (size_t)length;
}
%typemap(out) Bytes %{
    Tcl_SetObjResult(interp,
        Tcl_NewByteArrayObj((const unsigned char *)$1.data, (int)$1.len));
%}
%typemap(arginit) Bus *self, RpcBus *self "waiting = interp;"
#define TACHYON_TEXT_HAS_NUL strstr(Tcl_GetString(objv[2]), "\xC0\x80")
#define TACHYON_RAISE(bus) raise_error(interp, bus); SWIG_fail
%include "tachyon.i"
%init %{ host.pending = pending; host.interrupted = interrupted; %}
