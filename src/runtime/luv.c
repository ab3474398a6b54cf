/* SPDX-License-Identifier: MIT
 * luv for scripts, by the right `luv`: where the library is, and whether this thread has the loop for it. Next: script/luv.c.
 *
 * It is loaded when the first script requires it, so neither the program nor the library needs it else; Debian's lua-luv is built against
 * the same libuv, and finds Lua where we have it (the program exports it, the shared library is linked with it). It is never
 * unloaded: Lua states hold its functions to their end. As in every program that loads it, SIGPIPE is ignored from then on. */
#include <dlfcn.h>

#include <stdio.h>
#include <string.h>

#include "runtime/internal.h"

static bool alive(void *handle) { return uv_is_active(handle) && uv_has_ref(handle) && !uv_is_closing(handle); }
static bool ends(void *handle) { return uv_is_closing(handle); }

/* ISO C has no pointers to functions in pointers to objects; POSIX has. */
static bool find(void *library, const char *name, void *out) {
  void *found = dlsym(library, name);
  memcpy(out, &found, sizeof found);
  return found != NULL;
}

static int load(tr_script_luv *out, tr_error *error) {
  static const char *const names[] = { "liblua5.4-luv.so.0", "/usr/local/lib/lua/5.4/luv.so" };
  char why[200] = "";
  void *library = NULL;
  for (size_t i = 0; i < sizeof names / sizeof *names && !library; i++) {
    library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!library && !why[0]) snprintf(why, sizeof why, "%s", dlerror());
  }
  if (!library) return tr_error_set(error, TR_EUNAVAILABLE, "luv is not installed here, or does not fit: %s (Debian: apt install lua-luv)", why);
  if (find(library, "luaopen_luv", &out->open) && find(library, "luv_set_loop", &out->set_loop) && find(library, "luv_set_callback", &out->set_callback)) return 0;
  return tr_error_set(error, TR_EUNAVAILABLE, "luv is too old here: it has no luv_set_callback (1.44 has)");
}

int tr_runtime_luv(void *ud, tr_script_luv *out, tr_error *error) {
  troupe_t *rt = ud;
  if (!tr_runtime_may(rt, "luv", NULL)) return tr_error_set(error, TR_EPERMISSION, "scripts may not use luv here (--allow luv grants it)");
  int rc = out ? load(out, error) : 0;
  if (!out) return 0;
  if (!rc && tr_runtime_loop_open(rt)) rc = tr_error_set(error, rt->error.code, "%s", rt->error.text);
  if (rc) return rc;
  out->loop = rt->loop;
  out->alive = alive;
  out->ends = ends;
  return 0;
}

bool tr_runtime_luv_alive(troupe_t *rt) {
  return tr_script_has_luv(rt->script) && (tr_script_luv_alive(rt->script) || (rt->loop && rt->loop->active_reqs.count > 0));
}
