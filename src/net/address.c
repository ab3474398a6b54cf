/* SPDX-License-Identifier: MIT
 * See address.h. Names are not resolved here: dial.c and listen.c ask libuv for that. */
#include "net/address.h"

#include <stdio.h>
#include <uv.h>

#include "base/text.h"

static int parse_port(tr_slice text, unsigned *port) {
  unsigned value = 0;
  if (text.n == 0 || text.n > 5) return TR_EINVALID;
  for (size_t i = 0; i < text.n; i++) {
    if (text.p[i] < '0' || text.p[i] > '9') return TR_EINVALID;
    value = value * 10 + (unsigned)(text.p[i] - '0');
  }
  if (value > 65535) return TR_EINVALID;
  *port = value;
  return 0;
}

static int parse_unix(tr_slice path, tr_address *out, tr_error *error) {
  /* sun_path holds 108 bytes with its NUL (unix(7)); libuv cuts longer ones silently. */
  if (path.n == 0 || path.n > 107)
    return tr_error_set(error, TR_EINVALID, "unix:PATH needs a path of 1 to 107 bytes, got %zu", path.n);
  out->is_unix = true;
  memcpy(out->host, path.p, path.n);
  out->host[path.n] = 0;
  return 0;
}

int tr_address_parse(tr_slice text, tr_address *out, tr_error *error) {
  memset(out, 0, sizeof *out);
  if (!tr_utf8_valid(text) || (text.n && memchr(text.p, 0, text.n))) /* what is wrong with others is told with their text */
    return tr_error_set(error, TR_EINVALID, "an address must be UTF-8 text: host:port, tls:host:port or unix:PATH");
  if (tr_slice_starts(text, TR_SLICE_LITERAL("unix:"))) return parse_unix(tr_slice_make(text.p + 5, text.n - 5), out, error);
  for (size_t i = 0; i + 2 < text.n; i++)
    if (memcmp(text.p + i, "://", 3) == 0)
      return tr_error_set(error, TR_EINVALID, "\"%.*s\": an address has no scheme; write host:port, tls:host:port or unix:PATH",
                          TR_SLICE_ARG(text));
  /* "tls:443" is a host of that name. */
  if (tr_slice_starts(text, TR_SLICE_LITERAL("tls:")) && memchr(text.p + 4, ':', text.n - 4)) {
    out->tls = true;
    text = tr_slice_make(text.p + 4, text.n - 4);
  }
  size_t colon = text.n;
  while (colon > 0 && text.p[colon - 1] != ':') colon--;
  tr_slice host = { text.p, colon ? colon - 1 : 0 };
  if (colon == 0 || parse_port(tr_slice_make(text.p + colon, text.n - colon), &out->port))
    return tr_error_set(error, TR_EINVALID, "\"%.*s\": expected host:port or tls:host:port (port 0 to 65535), or unix:PATH",
                        TR_SLICE_ARG(text));
  if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']') {
    host.p++;
    host.n -= 2;
  } else if (host.n && memchr(host.p, ':', host.n)) {
    return tr_error_set(error, TR_EINVALID, "\"%.*s\": write an IPv6 address in brackets, as in [::1]:50051",
                        TR_SLICE_ARG(text));
  }
  if (host.n && (memchr(host.p, '[', host.n) || memchr(host.p, ']', host.n)))
    return tr_error_set(error, TR_EINVALID, "\"%.*s\": brackets belong around an IPv6 address, as in [::1]:50051", TR_SLICE_ARG(text));
  if (host.n == 0 || host.n >= sizeof out->host)
    return tr_error_set(error, TR_EINVALID, "\"%.*s\": the host part is %s", TR_SLICE_ARG(text), host.n ? "too long" : "missing");
  memcpy(out->host, host.p, host.n);
  return 0;
}

bool tr_address_numeric(const tr_address *address, struct sockaddr_storage *out) {
  memset(out, 0, sizeof *out);
  if (address->is_unix) return false;
  return uv_ip4_addr(address->host, (int)address->port, (struct sockaddr_in *)out) == 0 ||
         uv_ip6_addr(address->host, (int)address->port, (struct sockaddr_in6 *)out) == 0;
}

void tr_address_format(const tr_address *address, char *out, size_t size) {
  if (address->is_unix) snprintf(out, size, "unix:%s", address->host);
  else snprintf(out, size, strchr(address->host, ':') ? "%s[%s]:%u" : "%s%s:%u", address->tls ? "tls:" : "", address->host, address->port);
}

bool tr_address_is_local(const tr_address *address) {
  struct sockaddr_storage number;
  if (address->is_unix || strcmp(address->host, "localhost") == 0) return true;
  return tr_address_numeric(address, &number) && tr_sockaddr_is_loopback(&number);
}

bool tr_sockaddr_is_loopback(const struct sockaddr_storage *storage) {
  const struct sockaddr_in *v4 = (const struct sockaddr_in *)storage;
  const struct in6_addr *v6 = &((const struct sockaddr_in6 *)storage)->sin6_addr;
  if (storage->ss_family == AF_INET) return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
  return storage->ss_family == AF_INET6 && (IN6_IS_ADDR_LOOPBACK(v6) || (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == 127));
}
