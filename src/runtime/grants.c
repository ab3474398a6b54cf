/* SPDX-License-Identifier: MIT
 * What scripts may do beyond the sandbox: rights that whoever runs the runtime has given by name (`--allow launch`,
 * troupe_options_t.grants). A process that a script launches gets none that are not here. Names, paths and programs are taken word for word,
 * with the blanks that are in them; only the C option is a list in one text, where a blank within a right has a backslash before it. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "runtime/internal.h"

#define GRANTS_MOST 64
#define GRANT_SIZE 400

struct tr_grant {
  tr_link all;
  size_t size;
  char text[];
};

static const char *const names[] = { "launch", "net", "fs.read", "fs.write", "env", "exec", "listen", "luv", NULL };
static const char *const narrow[] = { "fs.read", "fs.write", "env", "exec", "listen", NULL }; /* never for everything */
static const char *const bare[] = { "launch", "luv", NULL };

static bool is_one_of(const char *const *list, const char *text, size_t n) {
  for (; *list; list++)
    if (strlen(*list) == n && memcmp(*list, text, n) == 0) return true;
  return false;
}

static int check(troupe_t *rt, const char *text, size_t size) {
  const char *equals = memchr(text, '=', size);
  size_t n = equals ? (size_t)(equals - text) : size;
  if (memchr(text, '\n', size)) return tr_runtime_fail(rt, TR_EINVALID, "a right has no newline in it");
  if (size > GRANT_SIZE) return tr_runtime_fail(rt, TR_EINVALID, "a right longer than %d bytes", GRANT_SIZE);
  if (!is_one_of(names, text, n)) {
    const char *nearest = tr_text_nearest(tr_slice_make(text, n), names);
    return tr_runtime_fail(rt, TR_EINVALID, "`%.*s` is not a right%s%s%s", (int)n, text, nearest ? "; did you mean `" : "",
                           nearest ? nearest : "", nearest ? "`?" : " (launch, net=HOST:PORT, fs.read=PATH, fs.write=PATH, env=NAME, exec=PROGRAM, listen=ADDRESS, luv)");
  }
  if (is_one_of(narrow, text, n) && (!equals || n + 1 == size))
    return tr_runtime_fail(rt, TR_EINVALID, "the right `%.*s` needs a value: %.*s=%s", (int)n, text, (int)n, text, text[0] == 'f' ? "PATH" : n == 3 ? "NAME" : n == 6 ? "ADDRESS" : "PROGRAM");
  if (equals && (is_one_of(bare, text, n))) return tr_runtime_fail(rt, TR_EINVALID, "the right `%.*s` takes no value", (int)n, text);
  return 0;
}

static int add(troupe_t *rt, const char *text, size_t size) {
  int rc = check(rt, text, size);
  if (rc) return rc;
  if (rt->grant_count == GRANTS_MOST) return tr_runtime_fail(rt, TR_EINVALID, "more than %d rights", GRANTS_MOST);
  struct tr_grant *grant = tr_calloc(&rt->mem, 1, sizeof *grant + size + 1);
  if (!grant) return tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  grant->size = size;
  memcpy(grant->text, text, size);
  tr_list_push(&rt->grants, &grant->all);
  rt->grant_count++;
  return 0;
}

int tr_runtime_allow(troupe_t *rt, const char *right) {
  tr_runtime_error(rt);
  return add(rt, right, strlen(right));
}

/* The next of a list, without what escapes in it; its length, 0: there is none. */
static size_t take_right(const char **list, char out[GRANT_SIZE + 1]) {
  size_t n = 0;
  const char *at = *list + strspn(*list, " ");
  for (; *at && *at != ' '; at++) {
    if (*at == '\\' && (at[1] == ' ' || at[1] == '\\')) at++;
    if (n <= GRANT_SIZE) out[n++] = *at; /* one too many shows that it is too long */
  }
  *list = at;
  return n;
}

int tr_runtime_allow_all(troupe_t *rt, const char *list) {
  char right[GRANT_SIZE + 1];
  size_t n;
  int rc = 0;
  tr_runtime_error(rt);
  while (rc == 0 && (n = take_right(&list, right))) rc = add(rt, right, n);
  return rc;
}

bool tr_runtime_may(const troupe_t *rt, const char *name, const char *value) {
  size_t n = strlen(name);
  if (value && strncmp(name, "fs.", 3) == 0) return tr_runtime_may_path(rt, name, value);
  for (const tr_link *l = rt->grants.next; l != &rt->grants; l = l->next) {
    const struct tr_grant *grant = TR_CONTAINER(l, struct tr_grant, all);
    if (strncmp(grant->text, name, n) != 0) continue;
    if (grant->text[n] == 0 || (value && grant->text[n] == '=' && strcmp(grant->text + n + 1, value) == 0)) return true;
  }
  return false;
}

const char *tr_runtime_next_grant(const troupe_t *rt, const char *after) {
  const tr_link *l = after ? TR_CONTAINER(after, struct tr_grant, text)->all.next : rt->grants.next;
  return l == &rt->grants ? NULL : TR_CONTAINER(l, struct tr_grant, all)->text;
}

static int too_many(tr_error *error, size_t size) {
  return tr_error_set(error, TR_EINVALID, "the rights to hand on are longer than %zu bytes", size);
}

int tr_runtime_narrow(const troupe_t *rt, const tr_slice *rights, size_t count, char *out, size_t size, tr_error *error) {
  size_t at = 0;
  out[0] = 0;
  if (count == SIZE_MAX) {
    for (const char *own = NULL; (own = tr_runtime_next_grant(rt, own));)
      if (strcmp(own, "launch") != 0 && at < size) at += (size_t)snprintf(out + at, size - at, "%s\n", own);
    return at < size ? 0 : too_many(error, size);
  }
  for (size_t i = 0; i < count; i++) {
    char name[GRANT_SIZE + 1], *equals;
    snprintf(name, sizeof name, "%.*s", (int)(rights[i].n < GRANT_SIZE ? rights[i].n : GRANT_SIZE), rights[i].p);
    equals = strchr(name, '=');
    if (equals) *equals = 0;
    bool known = is_one_of(names, name, strlen(name));
    if (!known || rights[i].n > GRANT_SIZE || memchr(rights[i].p, '\n', rights[i].n)) return tr_error_set(error, TR_EINVALID, "allow[%zu] is no right", i + 1);
    if (!tr_runtime_may(rt, name, equals ? equals + 1 : NULL))
      return tr_error_set(error, TR_EPERMISSION, "a right that this process has not cannot be handed on (--allow %.*s grants it)",
                          TR_SLICE_ARG(rights[i]));
    if (at < size) at += (size_t)snprintf(out + at, size - at, "%.*s\n", TR_SLICE_ARG(rights[i]));
  }
  return at < size ? 0 : too_many(error, size);
}

void tr_runtime_free_grants(troupe_t *rt) {
  tr_link *link;
  while ((link = tr_list_pop(&rt->grants))) {
    struct tr_grant *grant = TR_CONTAINER(link, struct tr_grant, all);
    tr_free(&rt->mem, grant, sizeof *grant + grant->size + 1);
  }
}
