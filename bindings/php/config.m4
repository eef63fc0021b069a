dnl SPDX-License-Identifier: Apache-2.0
PHP_ARG_ENABLE([tachyon], [whether to enable tachyon],
    [AS_HELP_STRING([--enable-tachyon], [Enable tachyon])], [yes])
if test "$PHP_TACHYON" != "no"; then
    case $host in
    x86_64-*-linux* | aarch64-*-linux*) ;;
    *) AC_MSG_ERROR([Tachyon needs a 64-bit Linux: it cannot be built for $host]) ;;
    esac
    if test "$PHP_THREAD_SAFETY" = "yes"; then
        AC_MSG_ERROR([Tachyon needs a PHP that is built without ZTS])
    fi
    if test "$($PHP_CONFIG --vernum)" -lt 80100; then
        AC_MSG_ERROR([Tachyon needs PHP 8.1 or later: this is $($PHP_CONFIG --version)])
    fi
    PHP_ADD_LIBRARY(m, , TACHYON_SHARED_LIBADD)
    PHP_SUBST(TACHYON_SHARED_LIBADD)
    dnl What SWIG writes is not held to anybody's warnings.
    PHP_NEW_EXTENSION(tachyon, php_wrap.c facade.c end.c tachyon.c, $ext_shared, ,
        -w -fvisibility=hidden)
fi
