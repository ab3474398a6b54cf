/* SPDX-License-Identifier: MIT
 * What the user's view names and this version does not have: one list, so that nothing of it is ignored silently.
 * Methods, options and functions raise; keys of an agent are taken with a warning. To give one of them, take it off
 * its list. */
#include "script/internal.h"

const char *const tr_later_methods[] = { NULL };
const char *const tr_later_options[] = { NULL };
const char *const tr_later_functions[] = { NULL };
const char *const tr_later_keys[] = {
  NULL
};

bool tr_name_in(const char *const *names, const char *name) {
  for (; *names; names++)
    if (strcmp(*names, name) == 0) return true;
  return false;
}
