/* SPDX-License-Identifier: Apache-2.0 */
/* The core, which go build compiles from here: cgo takes the C files of one folder, and
   a module's archive has no links. Several files, since some statics of one have the name
   of a static of another: a name that is taken twice tells to move its file. */
#include "../../../../core/src/bus.c"
#include "../../../../core/src/consumer.c"
#include "../../../../core/src/error.c"
#include "../../../../core/src/link.c"
#include "../../../../core/src/look.c"
#include "../../../../core/src/os.c"
#include "../../../../core/src/producer.c"
#include "../../../../core/src/region.c"
