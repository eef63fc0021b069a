# SPDX-License-Identifier: Apache-2.0
# How CPack packs what is installed: `cpack -G DEB` (libtachyon1 and libtachyon1-dev) or
# an archive. What belongs to Debian alone is installed with -DTACHYON_DEBIAN=ON, which
# pack.sh says.
set(CPACK_PACKAGE_NAME tachyon)
set(CPACK_PACKAGE_VERSION "${PROJECT_VERSION}")
set(CPACK_PACKAGE_VENDOR "Tachyon maintainers")
set(CPACK_PACKAGE_CONTACT "Tachyon maintainers")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "same-machine messaging through shared memory")
set(CPACK_RESOURCE_FILE_LICENSE "${PROJECT_SOURCE_DIR}/LICENSE")
set(CPACK_PACKAGE_FILE_NAME "tachyon-${PROJECT_VERSION}-${TACHYON_PLATFORM}")
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL runtime development)

set(abi "${PROJECT_VERSION_MAJOR}")
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME "libtachyon${abi}")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
# With libraries comes ldconfig, by a trigger and no script.
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA
    "${CMAKE_CURRENT_SOURCE_DIR}/packages/triggers")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME "libtachyon${abi}-dev")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
    "libtachyon${abi} (= ${PROJECT_VERSION}-1), libc6-dev | libc-dev")
set(CPACK_DEBIAN_RUNTIME_DESCRIPTION "Messages and calls between processes of one machine, through rings in shared
memory that no other user can open.
.
This package holds the library.")
set(CPACK_DEBIAN_DEVELOPMENT_DESCRIPTION
    "Messages and calls between processes of one machine, through rings in shared
memory that no other user can open.
.
This package holds the headers of C and C++, the static library, the files of
pkg-config and CMake, and lists of system calls for sandboxes.")

if(TACHYON_DEBIAN)
    string(TIMESTAMP year "%Y" UTC) # SOURCE_DATE_EPOCH, where it is set
    string(TIMESTAMP stamp "%a, %d %b %Y %H:%M:%S +0000" UTC)
    set(debian "${CMAKE_CURRENT_BINARY_DIR}/debian")
    configure_file(packages/copyright.in "${debian}/copyright" @ONLY)
    configure_file(packages/changelog.in "${debian}/changelog.Debian" @ONLY)
    execute_process(COMMAND gzip -9nf "${debian}/changelog.Debian"
                    COMMAND_ERROR_IS_FATAL ANY)
    foreach(pair "runtime=" "development=-dev")
        string(REGEX MATCH "^(.*)=(.*)$" whole "${pair}")
        install(FILES "${debian}/copyright" "${debian}/changelog.Debian.gz"
                DESTINATION "${CMAKE_INSTALL_DATAROOTDIR}/doc/libtachyon${abi}${CMAKE_MATCH_2}"
                COMPONENT ${CMAKE_MATCH_1})
    endforeach()
else()
    install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}"
            COMPONENT runtime)
endif()
include(CPack)
