# SPDX-License-Identifier: Apache-2.0
# What every test of the tree has in common. Tests that this does not fit use
# add_test() and take TACHYON_TEST_ENV.

# Environment of every test, as VAR=value.
set(TACHYON_TEST_ENV
    "ASAN_OPTIONS=strict_string_checks=1:detect_stack_use_after_return=1"
    "UBSAN_OPTIONS=print_stacktrace=1"
    "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1")
if(CMAKE_CROSSCOMPILING_EMULATOR)
    list(APPEND TACHYON_TEST_ENV TACHYON_TEST_EMULATED=1)
endif()

# Environment of tests that run Python. A sanitizer's runtime must be loaded before
# the interpreter, which is built without; what the interpreter itself leaves
# unfreed at exit is not ours to judge, so leaks are looked for in the C tests only, and
# so it is with what make does with strings when a test starts one.
set(TACHYON_PYTHON_TEST_ENV ${TACHYON_TEST_ENV} "PYTHONDONTWRITEBYTECODE=1")
if(TACHYON_SANITIZE MATCHES "address")
    set(preload "")
    foreach(library asan ubsan)
        execute_process(COMMAND "${CMAKE_C_COMPILER}" -print-file-name=lib${library}.so
                        OUTPUT_VARIABLE path OUTPUT_STRIP_TRAILING_WHITESPACE)
        if(IS_ABSOLUTE "${path}")
            list(APPEND preload "${path}")
        endif()
    endforeach()
    list(JOIN preload ":" preload)
    list(APPEND TACHYON_PYTHON_TEST_ENV "LD_PRELOAD=${preload}"
         "ASAN_OPTIONS=detect_leaks=0")
endif()

# tachyon_add_test(<name> COMMAND <command>... [TIMEOUT <seconds>] [SERIAL] [LONG]
#                  [ENVIRONMENT VAR=value...])
# A CTest test with a time limit, 300 s if not given, many times what it takes: on a busy
# machine it may take any time, and the limit is only for what hangs. Exit status 77 means
# skipped. SERIAL: alone on the machine, since it measures time. LONG: not for whoever only
# asks whether Tachyon works here; the preset `long` runs these.
function(tachyon_add_test name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "SERIAL;LONG" "TIMEOUT" "COMMAND;ENVIRONMENT")
    if(NOT arg_TIMEOUT)
        set(arg_TIMEOUT 300)
    endif()
    # A list that was passed in quotes comes with its semicolons escaped.
    string(REPLACE "\\;" ";" environment "${arg_ENVIRONMENT}")
    add_test(NAME ${name} COMMAND ${arg_COMMAND})
    set_tests_properties(${name} PROPERTIES
        TIMEOUT ${arg_TIMEOUT} SKIP_RETURN_CODE 77
        ENVIRONMENT "${TACHYON_TEST_ENV};${environment}")
    if(arg_SERIAL)
        set_tests_properties(${name} PROPERTIES RUN_SERIAL ON)
    endif()
    if(arg_LONG)
        set_tests_properties(${name} PROPERTIES LABELS long)
    endif()
endfunction()

# A test that cannot run here is listed as skipped; its output says why.
function(tachyon_skip_test name reason)
    tachyon_add_test(${name} COMMAND sh -c "echo \"skipped: $0\"; exit 77" "${reason}")
endfunction()

# tachyon_test_needs(<name> <variable>...), in a function: where a program that a variable
# names was not found, the test is skipped, and the function ends.
macro(tachyon_test_needs name)
    foreach(variable ${ARGN})
        if(NOT ${variable})
            tachyon_skip_test(${name} "no ${variable}")
            return()
        endif()
    endforeach()
endmacro()

# tachyon_add_pytest(<name> <file.py> [TIMEOUT <seconds>] [SERIAL] [LONG]
#                    [SELECT <expression>] [PACKAGES <requirements.txt>]
#                    [ENVIRONMENT VAR=value...])
# One pytest file as one CTest test, or those of its tests that -k selects, run by the
# interpreter of the venv. A test that hangs is ended a little before CTest would do it,
# with a traceback. PACKAGES: what it needs of PyPI beside what the build needs; where
# that cannot be had, the test is skipped.
function(tachyon_add_pytest name file)
    cmake_parse_arguments(PARSE_ARGV 2 arg "SERIAL;LONG" "TIMEOUT;SELECT;PACKAGES"
                          "ENVIRONMENT")
    set(packages "")
    if(arg_PACKAGES)
        set(packages "${Python_EXECUTABLE}" "${PROJECT_SOURCE_DIR}/tests/with_packages.py"
            "${PROJECT_BINARY_DIR}/pip" "${CMAKE_CURRENT_SOURCE_DIR}/${arg_PACKAGES}")
    endif()
    set(kind "")
    set(select "")
    if(arg_SELECT)
        set(select -k "${arg_SELECT}")
    endif()
    foreach(word SERIAL LONG)
        if(arg_${word})
            list(APPEND kind ${word})
        endif()
    endforeach()
    if(NOT arg_TIMEOUT)
        set(arg_TIMEOUT 300)
    endif()
    math(EXPR each "${arg_TIMEOUT} - 5")
    tachyon_add_test(${name} ${kind} TIMEOUT "${arg_TIMEOUT}"
        COMMAND ${packages} "${Python_EXECUTABLE}" -m pytest -q -p no:cacheprovider
                --timeout ${each} ${select} "${CMAKE_CURRENT_SOURCE_DIR}/${file}"
        ENVIRONMENT ${TACHYON_PYTHON_TEST_ENV} ${arg_ENVIRONMENT})
endfunction()

# tachyon_add_cargo_test(<name> <subcommand and its arguments>...)
# Runs cargo in the workspace. cargo locks its target directory, so two at once only
# wait for each other.
function(tachyon_add_cargo_test name subcommand)
    tachyon_add_test(${name} TIMEOUT 300
        COMMAND ${TACHYON_CARGO} ${subcommand} ${TACHYON_CARGO_FLAGS} ${ARGN})
    set_tests_properties(${name} PROPERTIES RESOURCE_LOCK cargo
        WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
endfunction()

# tachyon_add_peer(<lang> COMMAND <command>...
#                  [SEND <command>... RECV <command>...]
#                  [RPC_SERVER <command>... RPC_CLIENT <command>...]
#                  [WITHOUT <word>...] [ENVIRONMENT VAR=value...] [DEPENDS <target>...])
# A language of the conformance tests: its peer program and its samples; tests/interop
# has what they do. WITHOUT names operations, or values of `how`, that the language does
# not have: those cases are skipped by name. tests/ must be added after this.
function(tachyon_add_peer language)
    set(programs COMMAND SEND RECV RPC_SERVER RPC_CLIENT)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "${programs};WITHOUT;ENVIRONMENT;DEPENDS")
    if(NOT arg_COMMAND OR arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR " tachyon_add_peer(${language}): no COMMAND, or what is "
                            "\"${arg_UNPARSED_ARGUMENTS}\"?")
    endif()
    set(fields "")
    foreach(key ${programs} WITHOUT ENVIRONMENT)
        set(words "")
        foreach(word IN LISTS arg_${key})
            string(REGEX REPLACE "([\"\\])" "\\\\\\1" word "${word}")
            list(APPEND words "\"${word}\"")
        endforeach()
        list(JOIN words ", " words)
        string(TOLOWER "${key}" name)
        list(APPEND fields "\"${name}\": [${words}]")
    endforeach()
    list(JOIN fields ",\n    " fields)
    set_property(GLOBAL APPEND PROPERTY TACHYON_PEERS ${language})
    set_property(GLOBAL PROPERTY TACHYON_PEER_${language} "{\n    ${fields}\n  }")
    set_property(GLOBAL APPEND PROPERTY TACHYON_PEER_TARGETS ${arg_DEPENDS})
endfunction()

# A language that is not here: its tests are listed as skipped.
function(tachyon_skip_peer language reason)
    tachyon_skip_test(interop.${language} "${reason}")
endfunction()
