/* SPDX-License-Identifier: Apache-2.0 */
/* Tachyon::Error has a code, a name and a message. Signal handlers run while a call waits;
   one that dies ends it. Attributes are methods too: $bus->{id} is a tied hash's, slow. */
%module Tachyon
%{
#include "facade.h"
static void raise_error(pTHX_ const Bus *bus) {
    HV *error = newHV();
    const char *name = tachyon_error_name((tachyon_error_t)bus->error);
    (void)hv_stores(error, "code", newSViv(bus->error));
    (void)hv_stores(error, "name", newSVpv(name, 0));
    (void)hv_stores(error, "message", newSVpv(bus->text, 0));
    (void)hv_stores(error, "text", newSVsv(mess("%s", bus->text))); /* and the line */
    SV *reference = sv_2mortal(newRV_noinc((SV *)error));
    croak_sv(sv_bless(reference, gv_stashpvs("Tachyon::Error", GV_ADD)));
}
static int pending(void *context) { dTHX; (void)context; return PL_sig_pending != 0; }
static int interrupted(void) { dTHX; PERL_ASYNC_CHECK(); return 0; }
%}
#define TACHYON_RAISE(bus) raise_error(aTHX_ bus)
%include "tachyon.i"
%init %{ host.pending = pending; host.interrupted = interrupted; %}
%perlcode %{
for my $class (qw(Bus RpcBus)) {
    no strict 'refs';
    *{"Tachyon::${class}::CLONE_SKIP"} = sub { 1 };    # not of another thread's
    for my $name (qw(error type_id size count stride id spin)) {
        *{"Tachyon::${class}::$name"} = \&{"Tachyonc::${class}_${name}_get"};
    }
}
package Tachyon::Error;
use overload '""' => sub { $_[0]{text} }, fallback => 1;
sub code { $_[0]{code} }
sub name { $_[0]{name} }
sub message { $_[0]{message} }
package Tachyon;
our $VERSION = '1.0.0';
%}
