/* SPDX-License-Identifier: MIT
 * The version of the library under this room, for `troupe --version`. */
#include <pb.h>

#include "wire/wire.h"

const char *tr_wire_nanopb_version(void) { return &NANOPB_VERSION[sizeof "nanopb-" - 1]; }
