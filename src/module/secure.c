/* SPDX-License-Identifier: MIT
 * rt:secure: certificates, tokens and rights, as troupe_secure has them; module.lua has looked at the table's keys and types. */
#include "module/module.h"

static const char *text_of(lua_State *L, const char *name) { /* borrowed from the table at 2, which stays where it is */
  lua_getfield(L, 2, name);
  return lua_tostring(L, -1);
}

static int secure(lua_State *L) {
  tr_lua_runtime *self = tr_module_check(L);
  if (lua_isnoneornil(L, 2)) {
    tr_module_result(L, self, troupe_secure(self->rt, NULL));
    return 0;
  }
  luaL_checkstack(L, 14, NULL);
  troupe_security_t o = { .size = sizeof o };
  o.cert = text_of(L, "cert");
  o.key = text_of(L, "key");
  o.ca = text_of(L, "ca");
  o.client_ca = text_of(L, "client_ca");
  o.token = text_of(L, "token");
  o.token_file = text_of(L, "token_file");
  o.tokens = text_of(L, "tokens");
  o.rights = text_of(L, "rights");
  o.sign_key = text_of(L, "sign_key");
  o.verify_keys = text_of(L, "verify_keys");
  lua_getfield(L, 2, "insecure");
  o.insecure = lua_toboolean(L, -1);
  tr_module_result(L, self, troupe_secure(self->rt, &o));
  return 0;
}

const luaL_Reg tr_module_secure_methods[] = { { "secure", secure }, { NULL, NULL } };
