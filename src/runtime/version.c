/* SPDX-License-Identifier: MIT
 * troupe_version: ours and those of the libraries, which is the first thing a bug report needs. */
#include <stdio.h>

#include "runtime/internal.h"
#include "rpc/rpc.h"
#include "wire/wire.h"

const char *troupe_version(void) {
  /* Written once per thread: the text never changes, and there is no other state without a runtime to keep it in. */
  static _Thread_local char text[160];
  if (!text[0])
    snprintf(text, sizeof text, "troupe %s (Lua %s, libuv %s, nghttp2 %s, nanopb %s)", TR_VERSION, tr_script_lua_version(),
             uv_version_string(), tr_rpc_http2_version(), tr_wire_nanopb_version());
  return text;
}
