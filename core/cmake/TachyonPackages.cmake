# SPDX-License-Identifier: Apache-2.0
# `cmake --build <build> --target packages`: every package that can be made here, in
# <build>/packages, with manifest.json and SHA256SUMS.

# Not of a build that only its own machine, or only a test, could use.
set(TACHYON_PACKAGES "")
if(PROJECT_IS_TOP_LEVEL AND NOT DEFINED SKBUILD AND NOT TACHYON_SANITIZE
   AND NOT TACHYON_COVERAGE AND NOT CMAKE_EXE_LINKER_FLAGS MATCHES "-static")
    set(TACHYON_PACKAGES "${PROJECT_BINARY_DIR}/packages")
endif()

# tachyon_add_package(<name> FORM <form> FILES <file>... COMMAND <command>...
#                     [PLATFORM <platform>] [DEPENDS <target or file>...])
# The target package_<name>, a part of `packages`. The command writes the files, named
# without a folder, into ${TACHYON_PACKAGES}; a name with a * stands for the files that
# it fits. THEN among the words of the command begins another one. FORM is what its users
# call such a package. PLATFORM: `any` for what is compiled or interpreted where it is
# installed; otherwise this machine's, for a wheel what its name says, or @ and the list
# that tachyon_add_natives() makes.
function(tachyon_add_package name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "FORM;PLATFORM" "FILES;COMMAND;DEPENDS")
    if(NOT arg_FORM OR NOT arg_FILES OR NOT arg_COMMAND OR arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR " tachyon_add_package(${name}): no FORM, FILES or COMMAND, "
                            "or what is \"${arg_UNPARSED_ARGUMENTS}\"?")
    endif()
    if(NOT TACHYON_PACKAGES)
        return()
    endif()
    if(NOT arg_PLATFORM)
        set(arg_PLATFORM "${TACHYON_PLATFORM}")
    endif()
    list(TRANSFORM arg_FILES PREPEND "${TACHYON_PACKAGES}/" OUTPUT_VARIABLE paths)
    list(TRANSFORM arg_COMMAND REPLACE "^THEN$" "COMMAND")
    set(outputs "${paths}")
    if(paths MATCHES "[*]")
        set(outputs "${CMAKE_CURRENT_BINARY_DIR}/package_${name}.stamp")
    endif()
    add_custom_command(OUTPUT ${outputs}
        COMMAND "${CMAKE_COMMAND}" -E make_directory "${TACHYON_PACKAGES}"
        COMMAND sh -c [[for path; do (cd "${path%/*}" && rm -f ${path##*/}); done]] - ${paths}
        COMMAND ${arg_COMMAND}
        COMMAND "${CMAKE_COMMAND}" -E touch ${outputs}
        DEPENDS ${arg_DEPENDS}
        COMMENT "Package: ${name}"
        VERBATIM)
    add_custom_target(package_${name} DEPENDS ${outputs})
    foreach(file IN LISTS arg_FILES)
        set_property(GLOBAL APPEND PROPERTY tachyon_package_rows
                     "${name}|${arg_FORM}|${arg_PLATFORM}|${file}")
    endforeach()
    set_property(GLOBAL APPEND PROPERTY tachyon_package_targets package_${name})
endfunction()

# tachyon_strip(<variable> <target>): a copy of a module without what a debugger reads.
function(tachyon_strip variable target)
    set(copy "${CMAKE_CURRENT_BINARY_DIR}/stripped/${target}")
    add_custom_command(OUTPUT "${copy}"
        COMMAND "${CMAKE_COMMAND}" -E make_directory "${CMAKE_CURRENT_BINARY_DIR}/stripped"
        COMMAND "${CMAKE_STRIP}" --strip-unneeded -o "${copy}" "$<TARGET_FILE:${target}>"
        DEPENDS ${target} VERBATIM)
    set(${variable} "${copy}" PARENT_SCOPE)
endfunction()

# tachyon_add_natives(<lang> <pattern> EXPORTS <glob>...)
# The module tachyon_<lang> for each machine and C library, in <build>/bindings/<lang>/packed
# as <pattern> says; core/packages/natives.py has how. Sets NATIVES to that folder, and for
# tachyon_add_package() NATIVES_PLATFORM and NATIVES_DEPENDS.
function(tachyon_add_natives language pattern)
    cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "EXPORTS")
    set(target tachyon_${language})
    set(folder "${CMAKE_CURRENT_BINARY_DIR}/packed")
    set(NATIVES "${folder}" PARENT_SCOPE)
    set(NATIVES_PLATFORM "@${folder}.txt" PARENT_SCOPE)
    set(NATIVES_DEPENDS "${folder}.stamp" PARENT_SCOPE)
    if(NOT TACHYON_PACKAGES)
        return()
    endif()
    tachyon_strip(own ${target})
    set(wheels "${PROJECT_SOURCE_DIR}/bindings/python/wheels")
    set(program "${PROJECT_SOURCE_DIR}/core/packages/natives.py")
    set(sources "${TACHYON_WRAPPER}" "${PROJECT_SOURCE_DIR}/swig/facade.c"
        "${PROJECT_SOURCE_DIR}/swig/end.c" "${TACHYON_AMALGAMATION}/tachyon.c")
    list(TRANSFORM arg_EXPORTS PREPEND "--export=")
    # After zig's own, should one of these be /usr/include.
    set(include "$<TARGET_PROPERTY:${target},INCLUDE_DIRECTORIES>")
    set(define "$<TARGET_PROPERTY:${target},COMPILE_DEFINITIONS>")
    add_custom_command(OUTPUT "${folder}.stamp"
        COMMAND "${Python_EXECUTABLE}" "${program}"
                --work "${PROJECT_BINARY_DIR}/bindings/python/wheels" --into "${folder}"
                --pattern "${pattern}" --platform "${TACHYON_PLATFORM}" --own "${own}"
                ${arg_EXPORTS} ${sources} --
                "-idirafter$<JOIN:${include},;-idirafter>"
                "$<$<BOOL:${define}>:-D$<JOIN:${define},;-D>>"
        DEPENDS ${target} "${own}" ${sources} tachyon_amalgamation "${program}"
                "${wheels}/requirements.txt" "${wheels}/tools.py" "${wheels}/wheels.py"
        COMMENT "Natives: ${language}"
        COMMAND_EXPAND_LISTS VERBATIM)
endfunction()

# tachyon_c_sources(<variable> <folder> <wrapper>)
# What a module of a generated language is compiled from, for archive.py: what SWIG wrote,
# the facade, and the core as two files. In <variable>_DEPENDS what they come from.
function(tachyon_c_sources variable folder wrapper)
    set(files "${TACHYON_AMALGAMATION}/tachyon.c" "${TACHYON_AMALGAMATION}/tachyon.h")
    foreach(name facade.c facade.h end.c end.h)
        list(APPEND files "${PROJECT_SOURCE_DIR}/swig/${name}")
    endforeach()
    list(APPEND files "${wrapper}")
    set(depends ${files} tachyon_amalgamation
        "${PROJECT_SOURCE_DIR}/core/packages/archive.py")
    list(TRANSFORM files REPLACE "^(.*)/([^/]*)$" "\\1/\\2=${folder}\\2")
    set(${variable} "${files}" PARENT_SCOPE)
    set(${variable}_DEPENDS "${depends}" PARENT_SCOPE)
endfunction()

# tachyon_skip_package(<name> <what is missing>)
# It is named in the manifest, with the reason, and so is its test.
function(tachyon_skip_package name missing)
    if(NOT TACHYON_PACKAGES)
        return()
    endif()
    set_property(GLOBAL APPEND PROPERTY tachyon_package_rows "${name}|skipped|${missing}|")
    if(TACHYON_TESTS)
        tachyon_skip_test(package.${name} "${missing} is missing")
    endif()
endfunction()

# tachyon_add_package_test(<name> COMMAND <command>... [NEEDS <variable>...]
#                          [ENVIRONMENT VAR=value...] [FOREIGN <machine>-<C library>...])
# The test package.<name>: it installs what package.build has made, as its users do, in an
# empty folder, and runs a program. It is run in an empty folder of its own. FOREIGN: again
# with the language on other platforms, as package.<name>_aarch64, _musl, _aarch64_musl.
function(tachyon_add_package_test name)
    if(NOT TACHYON_PACKAGES OR NOT TACHYON_TESTS)
        return()
    endif()
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "COMMAND;NEEDS;ENVIRONMENT;FOREIGN")
    tachyon_test_needs(package.${name} ${arg_NEEDS})
    string(REGEX REPLACE "^linux-" "" own "${TACHYON_PLATFORM}")
    list(REMOVE_ITEM arg_FOREIGN "${own}")
    foreach(platform IN LISTS arg_FOREIGN)
        string(REGEX REPLACE "x86_64-|-gnu" "" suffix "${platform}")
        string(REPLACE "-" "_" suffix "${suffix}")
        tachyon_add_package_test(${name}_${suffix}
            COMMAND "${Python_EXECUTABLE}" "${PROJECT_SOURCE_DIR}/core/packages/tests/foreign.py"
                    --package ${name} --platform ${platform}
                    --work "${PROJECT_BINARY_DIR}/bindings/python/wheels" -- ${arg_COMMAND}
            ENVIRONMENT ${arg_ENVIRONMENT})
        # Emulated, and the first time its runtime comes from the network.
        set_tests_properties(package.${name}_${suffix} PROPERTIES TIMEOUT 3000)
    endforeach()
    set(folder "${CMAKE_CURRENT_BINARY_DIR}/package.${name}")
    tachyon_add_test(package.${name} LONG TIMEOUT 600
        COMMAND sh -c [[chmod -R u+w "$0" 2>/dev/null; rm -rf "$0" && mkdir "$0" && cd "$0" && exec "$@"]]
            "${folder}" ${arg_COMMAND}
        ENVIRONMENT "PACKAGES=${TACHYON_PACKAGES}" "SOURCE=${PROJECT_SOURCE_DIR}"
            "VERSION=${PROJECT_VERSION}" "CMAKE=${CMAKE_COMMAND}"
            "CC=${CMAKE_C_COMPILER}" "TALK=${PROJECT_SOURCE_DIR}/core/packages/tests/talk.sh"
            ${arg_ENVIRONMENT})
    set_tests_properties(package.${name} PROPERTIES FIXTURES_REQUIRED packages)
endfunction()

# After the last package.
function(tachyon_finish_packages)
    if(NOT TACHYON_PACKAGES)
        return()
    endif()
    get_property(rows GLOBAL PROPERTY tachyon_package_rows)
    get_property(targets GLOBAL PROPERTY tachyon_package_targets)
    list(JOIN rows "\n" rows)
    set(list "${PROJECT_BINARY_DIR}/CMakeFiles/packages.txt")
    file(CONFIGURE OUTPUT "${list}" CONTENT "${rows}\n" @ONLY)
    add_custom_target(packages
        COMMAND "${CMAKE_COMMAND}" "-DROWS=${list}" "-DFOLDER=${TACHYON_PACKAGES}"
                "-DVERSION=${PROJECT_VERSION}"
                -P "${PROJECT_SOURCE_DIR}/core/packages/manifest.cmake"
        COMMENT "Packages: manifest.json and SHA256SUMS"
        VERBATIM)
    if(targets)
        add_dependencies(packages ${targets})
    endif()
    if(TACHYON_TESTS)
        # The first time, zig comes and compiles its libraries for all machines.
        tachyon_add_test(package.build LONG TIMEOUT 3000
            COMMAND "${CMAKE_COMMAND}" --build "${PROJECT_BINARY_DIR}" --target packages)
        set_tests_properties(package.build PROPERTIES
            FIXTURES_SETUP packages RESOURCE_LOCK cargo)
        tachyon_add_test(package.manifest LONG
            COMMAND "${CMAKE_COMMAND}" "-DROWS=${list}" "-DFOLDER=${TACHYON_PACKAGES}"
                "-DVERSION=${PROJECT_VERSION}" -DCHECK=ON
                -P "${PROJECT_SOURCE_DIR}/core/packages/manifest.cmake")
        set_tests_properties(package.manifest PROPERTIES FIXTURES_REQUIRED packages)
    endif()
endfunction()

# The command that packs, up to the archive's name.
set(TACHYON_ARCHIVE "${Python_EXECUTABLE}" "${PROJECT_SOURCE_DIR}/core/packages/archive.py")

# linux-<machine>-<C library>, as in the names of prebuilt packages.
set(TACHYON_PLATFORM "linux-${CMAKE_SYSTEM_PROCESSOR}")
execute_process(COMMAND "${CMAKE_C_COMPILER}" -dumpmachine OUTPUT_VARIABLE machine
                OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(machine MATCHES "^([^-]+)-.*-(gnu|musl)[a-z0-9]*$")
    set(TACHYON_PLATFORM "linux-${CMAKE_MATCH_1}-${CMAKE_MATCH_2}")
endif()
