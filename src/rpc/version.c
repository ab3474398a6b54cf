/* SPDX-License-Identifier: MIT
 * The version of the library under this room, for `troupe --version`. */
#include <nghttp2/nghttp2.h>

#include "rpc/rpc.h"

const char *tr_rpc_http2_version(void) { return nghttp2_version(0)->version_str; }
