/* SPDX-License-Identifier: MIT
 * Header blocks. A call keeps the fields it received in one block: two lengths, name, value, and so on. There
 * are about ten and they are asked for once or twice, so looking one up walks them all; the last one of a name counts
 * (with two client-ids AutoGen's host takes the last as well).
 * A stream may live for days, so the block is cut to size once it is complete. */
#include "rpc/internal.h"

typedef struct field { uint32_t name, value; } field;

static bool make_room(tr_rpc_headers *headers, tr_mem *mem, size_t more) {
  if (more > UINT32_MAX / 2 - headers->len) return false;
  size_t need = headers->len + more;
  if (need <= headers->cap) return true;
  size_t cap = headers->cap ? 2 * (size_t)headers->cap : 512;
  if (cap < need) cap = need;
  char *data = tr_realloc(mem, headers->data, headers->cap, cap);
  if (!data) return false;
  headers->data = data;
  headers->cap = (uint32_t)cap;
  return true;
}

bool tr_rpc_headers_add(tr_rpc_headers *headers, tr_mem *mem, tr_slice name, tr_slice value) {
  field f = { (uint32_t)name.n, (uint32_t)value.n };
  if (!make_room(headers, mem, sizeof f + name.n + value.n)) return false;
  char *at = headers->data + headers->len;
  memcpy(at, &f, sizeof f);
  if (name.n) memcpy(at + sizeof f, name.p, name.n);
  if (value.n) memcpy(at + sizeof f + name.n, value.p, value.n);
  headers->len += (uint32_t)(sizeof f + name.n + value.n);
  return true;
}

tr_slice tr_rpc_headers_get(const tr_rpc_headers *headers, const char *name) {
  tr_slice wanted = tr_slice_of(name), found = { NULL, 0 };
  for (uint32_t at = 0; at < headers->len;) {
    field f;
    memcpy(&f, headers->data + at, sizeof f);
    const char *p = headers->data + at + sizeof f;
    if (tr_slice_equal(tr_slice_make(p, f.name), wanted)) found = tr_slice_make(p + f.name, f.value);
    at += (uint32_t)sizeof f + f.name + f.value;
  }
  return found;
}

bool tr_rpc_headers_next(const tr_rpc_headers *headers, uint32_t *at, tr_rpc_header *out) {
  field f;
  if (*at >= headers->len) return false;
  memcpy(&f, headers->data + *at, sizeof f);
  const char *p = headers->data + *at + sizeof f;
  *out = (tr_rpc_header){ tr_slice_make(p, f.name), tr_slice_make(p + f.name, f.value) };
  *at += (uint32_t)sizeof f + f.name + f.value;
  return true;
}

void tr_rpc_headers_trim(tr_rpc_headers *headers, tr_mem *mem) {
  if (headers->len == headers->cap || headers->len == 0) return;
  char *data = tr_realloc(mem, headers->data, headers->cap, headers->len);
  if (!data) return;
  headers->data = data;
  headers->cap = headers->len;
}

void tr_rpc_headers_free(tr_rpc_headers *headers, tr_mem *mem) {
  tr_free(mem, headers->data, headers->cap);
  *headers = (tr_rpc_headers){ 0 };
}

nghttp2_nv tr_rpc_nv(tr_slice name, tr_slice value, uint8_t flags) {
  /* nghttp2's pointers are not const, but it only reads. */
  union { const char *in; uint8_t *out; } n = { .in = name.n ? name.p : "" }, v = { .in = value.n ? value.p : "" };
  return (nghttp2_nv){ n.out, v.out, name.n, value.n, flags };
}
