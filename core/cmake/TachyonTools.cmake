# SPDX-License-Identifier: Apache-2.0
# Finds or installs what the build needs; a missing tool is one line that says how to
# get it.

# CMake's own words for a missing compiler are ten lines long and name no package.
function(tachyon_require_c_compiler)
    if(CMAKE_C_COMPILER OR DEFINED ENV{CC})
        return()
    endif()
    find_program(cc NAMES cc gcc clang NO_CACHE)
    if(NOT cc)
        tachyon_missing("a C compiler (cc, gcc or clang)" "apt-get install gcc libc6-dev")
    endif()
endfunction()

# Nor for what cannot be built for. With -m32 it may not come to CMake's own look at the
# sizes, since a compiler without the libraries for it fails at its first program.
function(tachyon_require_target)
    set(how "build without -m32 and -mx32, with a compiler for a 64-bit machine")
    if(CMAKE_C_COMPILER_LOADED)
        if(NOT CMAKE_SIZEOF_VOID_P EQUAL 8)
            tachyon_missing("a 64-bit target" "${how}")
        elseif(NOT CMAKE_SYSTEM_NAME STREQUAL "Linux")
            tachyon_missing("Linux" "it cannot be built for ${CMAKE_SYSTEM_NAME}")
        endif()
    elseif("${CMAKE_C_FLAGS} $ENV{CFLAGS} $ENV{CC} ${CMAKE_C_COMPILER}"
           MATCHES "(^|[ ;])-m(x?32|16)($|[ ;])")
        tachyon_missing("a 64-bit target" "${how}")
    endif()
endfunction()

# In the sources, what is made of a file would take its place: the Python package of the
# build tree is a folder of links.
function(tachyon_require_own_directory)
    file(REAL_PATH "${PROJECT_SOURCE_DIR}" source)
    file(REAL_PATH "${PROJECT_BINARY_DIR}" binary)
    if(source STREQUAL binary)
        tachyon_missing("a build directory of its own"
                        "cmake -B build (CMakeCache.txt and CMakeFiles here can go)")
    endif()
endfunction()

function(tachyon_missing what how)
    # The space keeps CMake from breaking the line.
    message(FATAL_ERROR " Tachyon needs ${what}: ${how}")
endfunction()

# A virtual environment in <build>/venv with the pinned tools. Sets, for all that
# follows, TACHYON_VENV, Python_EXECUTABLE, SWIG_EXECUTABLE and TACHYON_LIBCLANG_PATH.
function(tachyon_make_venv requirements)
    find_program(TACHYON_PYTHON_BASE NAMES python3 python
                 DOC "The interpreter that the virtual environment is made from")
    if(NOT TACHYON_PYTHON_BASE)
        tachyon_missing("Python 3.10 or newer (python3)"
                        "apt-get install python3 python3-venv python3-dev")
    endif()

    # Before pip runs: with an old interpreter it would fail on a pin instead.
    set(probe [[
import importlib.util, os, sys, sysconfig
print(*sys.version.split(), "in", sys.prefix)
print(sys.version_info >= (3, 10))
print(all(importlib.util.find_spec(m) for m in ("venv", "ensurepip")))
print(os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))
]])
    execute_process(COMMAND "${TACHYON_PYTHON_BASE}" -c "${probe}"
                    OUTPUT_VARIABLE answer ERROR_VARIABLE error RESULT_VARIABLE status)
    if(NOT status EQUAL 0)
        tachyon_missing("a working Python" "${TACHYON_PYTHON_BASE} fails: ${status} ${error}")
    endif()
    string(REGEX REPLACE "\n$" "" answer "${answer}")
    string(REPLACE ";" "," answer "${answer}")
    string(REPLACE "\n" ";" answer "${answer}")
    list(POP_FRONT answer identity new_enough has_venv has_headers)
    if(NOT new_enough)
        tachyon_missing("Python 3.10 or newer"
                        "${TACHYON_PYTHON_BASE} is ${identity}, pass -DTACHYON_PYTHON_BASE=<python>")
    elseif(NOT has_venv)
        tachyon_missing("Python's venv module" "apt-get install python3-venv")
    elseif(NOT has_headers)
        tachyon_missing("Python's headers (Python.h)" "apt-get install python3-dev")
    endif()

    set(venv "${PROJECT_BINARY_DIR}/venv")
    set(stamp "${venv}/tachyon.stamp")
    file(SHA256 "${requirements}" hash)
    set(wanted "${identity}|${venv}|${hash}")
    set(present "")
    if(EXISTS "${stamp}")
        file(READ "${stamp}" present)
    endif()
    if(NOT present STREQUAL wanted)
        message(STATUS "Making ${venv} with ${TACHYON_PYTHON_BASE}")
        # FindPython would go on using the headers of the interpreter before.
        get_cmake_property(cached CACHE_VARIABLES)
        list(FILTER cached INCLUDE REGEX "^_?Python_")
        foreach(variable IN LISTS cached)
            unset(${variable} CACHE)
        endforeach()
        execute_process(COMMAND "${TACHYON_PYTHON_BASE}" -m venv --clear "${venv}"
                        RESULT_VARIABLE status)
        if(NOT status EQUAL 0)
            tachyon_missing("Python's venv module" "apt-get install python3-venv")
        endif()
        execute_process(COMMAND "${venv}/bin/python" -m pip install --quiet
                                --disable-pip-version-check --no-input -r "${requirements}"
                        RESULT_VARIABLE status)
        if(NOT status EQUAL 0)
            message(FATAL_ERROR " pip could not install ${requirements} (see above)")
        endif()
        file(WRITE "${stamp}" "${wanted}")
    endif()
    set_property(DIRECTORY "${PROJECT_SOURCE_DIR}"
                 APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${requirements}")

    file(GLOB libclang "${venv}/lib/python*/site-packages/clang/native")
    set(TACHYON_VENV "${venv}" PARENT_SCOPE)
    set(TACHYON_LIBCLANG_PATH "${libclang}" PARENT_SCOPE)
    # Both searches would prefer what the system has under another name.
    set(Python_EXECUTABLE "${venv}/bin/python" CACHE FILEPATH "" FORCE)
    set(SWIG_EXECUTABLE "${venv}/bin/swig" CACHE FILEPATH "" FORCE)
endfunction()

# Sets CARGO_EXECUTABLE and RUSTC_EXECUTABLE.
function(tachyon_require_rust)
    set(minimum 1.85)
    foreach(tool cargo rustc)
        string(TOUPPER ${tool} upper)
        find_program(${upper}_EXECUTABLE ${tool} HINTS "$ENV{HOME}/.cargo/bin")
        if(NOT ${upper}_EXECUTABLE)
            tachyon_missing("Rust ${minimum} or newer (${tool})"
                            "install it with rustup, or pass -DTACHYON_RUST=OFF")
        endif()
    endforeach()
    execute_process(COMMAND "${RUSTC_EXECUTABLE}" --version OUTPUT_VARIABLE version
                    OUTPUT_STRIP_TRAILING_WHITESPACE)
    string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" number "${version}")
    if(number VERSION_LESS minimum)
        tachyon_missing("Rust ${minimum} or newer"
                        "${RUSTC_EXECUTABLE} is ${version}; run rustup update")
    endif()
endfunction()
