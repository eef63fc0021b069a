# SPDX-License-Identifier: Apache-2.0
# docs/SYSCALLS.md, read by machine.
#
# cmake -DPAGE= -DPROFILES=<folder> -P syscalls.cmake
#     seccomp profiles of what the first two tables allow, and what starts a program: for
#     containers (OCI) and for systemd.
# cmake -DPAGE= -DOUTPUT=<header> -P syscalls.cmake
#     The names in the tables as ALLOWED_CORE, ALLOWED_LIBRARY and ALLOWED_TESTS.
# cmake -DPAGE= -DLIBRARY=<libtachyon.a> -DNM= -P syscalls.cmake
#     Fails unless the functions of the first table are those the library imports.
cmake_minimum_required(VERSION 3.25)

set(sections "The core=CORE" "The C library around it=LIBRARY" "The tests besides=TESTS")
set(section "")
file(STRINGS "${PAGE}" lines)
foreach(line IN LISTS lines)
    if(line MATCHES "^## (.*)$")
        set(heading "${CMAKE_MATCH_1}")
        set(section "")
        foreach(pair IN LISTS sections)
            if(pair MATCHES "^${heading}=(.*)$")
                set(section "${CMAKE_MATCH_1}")
            endif()
        endforeach()
    elseif(section AND line MATCHES "^\\|([^|]*)\\|([^|]*)\\|")
        set(left "${CMAKE_MATCH_1}")
        string(REGEX MATCHALL "`[a-z0-9_]+`" calls "${CMAKE_MATCH_2}")
        list(APPEND ${section}_CALLS ${calls})
        if(left MATCHES "starting programs")
            list(APPEND START_CALLS ${calls})
        endif()
        if(section STREQUAL "CORE")
            string(REGEX MATCHALL "`[a-z0-9_]+`" functions "${left}")
            list(APPEND documented ${functions})
        endif()
    endif()
endforeach()

if(PROFILES)
    set(rules "")
    set(lines "")
    foreach(pair "CORE=Tachyon" "LIBRARY=the C library" "START=starting a program")
        string(REGEX MATCH "^(.*)=(.*)$" whole "${pair}")
        set(calls ${${CMAKE_MATCH_1}_CALLS})
        set(comment "${CMAKE_MATCH_2}")
        list(REMOVE_DUPLICATES calls)
        list(TRANSFORM calls REPLACE "`" "\"" OUTPUT_VARIABLE names)
        list(JOIN names ", " names)
        list(APPEND rules
             "    {\"comment\": \"${comment}\", \"action\": \"SCMP_ACT_ALLOW\",\n     \"names\": [${names}]}")
        list(TRANSFORM calls REPLACE "`" "")
        list(JOIN calls " " names)
        string(APPEND lines "# ${comment}\nSystemCallFilter=${names}\n")
    endforeach()
    list(JOIN rules ",\n" rules)
    file(WRITE "${PROFILES}/tachyon.json" "{
  \"defaultAction\": \"SCMP_ACT_ERRNO\",
  \"architectures\": [\"SCMP_ARCH_X86_64\", \"SCMP_ARCH_AARCH64\"],
  \"syscalls\": [\n${rules}\n  ]\n}\n")
    file(WRITE "${PROFILES}/tachyon.conf"
         "# For a unit's folder of drop-ins, UNIT.service.d.\n[Service]\n"
         "SystemCallArchitectures=native\n${lines}")
    return()
endif()

if(OUTPUT)
    set(text "/* Made from ${PAGE}. */\n")
    foreach(name CORE LIBRARY TESTS)
        list(REMOVE_DUPLICATES ${name}_CALLS)
        string(APPEND text "static const int allowed_${name}[] = {\n")
        foreach(call IN LISTS ${name}_CALLS)
            string(REPLACE "`" "" call "${call}")
            string(APPEND text "#ifdef SYS_${call}\n    SYS_${call},\n#endif\n")
        endforeach()
        string(APPEND text "};\n")
    endforeach()
    file(WRITE "${OUTPUT}" "${text}")
    return()
endif()

# What the library imports, but for itself and the compiler's own.
execute_process(COMMAND "${NM}" -u "${LIBRARY}" OUTPUT_VARIABLE symbols
                COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "U [A-Za-z0-9_]+" symbols "${symbols}")
list(TRANSFORM symbols REPLACE "^U " "")
list(REMOVE_DUPLICATES symbols)
list(FILTER symbols EXCLUDE REGEX "^(tachyon_|ty_|__|_GLOBAL_)")
list(TRANSFORM documented REPLACE "`" "")
set(missing ${symbols})
list(REMOVE_ITEM missing ${documented})
set(stale ${documented})
list(REMOVE_ITEM stale ${symbols})
# A compiler may or may not make calls of these.
list(REMOVE_ITEM stale bcmp bsearch memcmp memcpy memmove memset strlen)
if(missing OR stale)
    message(FATAL_ERROR "imported, but not in ${PAGE}: ${missing}\n"
                        "in it, but not imported: ${stale}")
endif()
list(LENGTH symbols count)
message("${count} imported functions, all of them documented")
