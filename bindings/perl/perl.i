/* SPDX-License-Identifier: Apache-2.0 */
/* Tachyon::Error has a code, a name and a message. Signal handlers run while a call
   waits; one that dies ends it. Attributes are methods too: those of the tied hash, as
   $bus->{id}, are slow. */
%module Tachyon
%{
#include "facade.h"
static void raise_error(pTHX_ const Bus *bus) {
    const char *name = tachyon_error_name((tachyon_error_t)bus->error);
    HV *error = newHV();
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
#define TACHYON_OWN_BYTES
%typemap(in) (const void *data, size_t size), (const void *items, size_t size) {
    SV *data = sv_mortalcopy($input); /* a signal handler may change the other */
    STRLEN length;
    if (!SvOK(data) || (SvROK(data) && !SvAMAGIC(data)))
        SWIG_exception_fail(SWIG_TypeError, "data: a string is wanted");
    $1 = SvPVbyte(data, length); $2 = length;
}
%typemap(out) Bytes "$result = newSVpvn_flags($1.data, $1.len, SVs_TEMP); argvi++;"
#define TACHYON_TEXT_HAS_NUL SvPOK(ST(1)) && memchr(SvPVX(ST(1)), 0, SvCUR(ST(1)))
#define TACHYON_RAISE(bus) raise_error(aTHX_ bus)
%include "tachyon.i"
%init %{ host.pending = pending; host.interrupted = interrupted; %}
%perlcode %{
for my $class (qw(Bus RpcBus)) {
    no strict 'refs';
    *{"Tachyon::${class}::CLONE_SKIP"} = sub { 1 };    # not of another thread's
    my $free = \&{"Tachyon::${class}::DESTROY"};
    no warnings 'redefine';
    *{"Tachyon::${class}::DESTROY"} = sub {             # by hand too, then it is closed
        my $inner = tied %{ $_[0] };
        $free->(@_);
        $$inner = 0 if $inner;
    };
    *{"Tachyon::${class}::$_"} = \&{"Tachyonc::${class}_${_}_get"}
        for qw(error type_id size count stride id spin);
}
package Tachyon::Error;
use overload '""' => sub { $_[0]{text} }, fallback => 1;
sub code { $_[0]{code} } sub name { $_[0]{name} } sub message { $_[0]{message} }
package Tachyon; our $VERSION = '1.0.0';
%}
