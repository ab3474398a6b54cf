/* SPDX-License-Identifier: MIT
 * What gRPC puts into header values: the status, its message (percent-encoded UTF-8), the timeout; and what an HTTP
 * status or an HTTP/2 error means where there is no gRPC status ("GRPC Core status codes", "http-grpc-status-mapping"). */
#include "base/text.h"
#include "rpc/internal.h"

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Up to `max` digits and nothing else; -1 otherwise. */
static int64_t parse_digits(tr_slice text, size_t max) {
  if (text.n == 0 || text.n > max) return -1;
  int64_t value = 0;
  for (size_t i = 0; i < text.n; i++) {
    if (!is_digit(text.p[i])) return -1;
    value = value * 10 + (text.p[i] - '0');
  }
  return value;
}

int tr_rpc_status_parse(tr_slice text) {
  if (!text.p) return -1;
  int64_t value = parse_digits(text, 9);
  return value >= 0 && value <= TR_GRPC_UNAUTHENTICATED ? (int)value : TR_GRPC_UNKNOWN;
}

int tr_rpc_status_of_http(tr_slice http_status) {
  switch (parse_digits(http_status, 3)) {
    case 400: return TR_GRPC_INTERNAL;
    case 401: return TR_GRPC_UNAUTHENTICATED;
    case 403: return TR_GRPC_PERMISSION_DENIED;
    case 404: return TR_GRPC_UNIMPLEMENTED;
    case 429: case 502: case 503: case 504: return TR_GRPC_UNAVAILABLE;
    default: return TR_GRPC_UNKNOWN;
  }
}

int tr_rpc_status_of_reset(uint32_t http2_error) {
  switch (http2_error) {
    case NGHTTP2_REFUSED_STREAM: return TR_GRPC_UNAVAILABLE;
    case NGHTTP2_CANCEL: return TR_GRPC_CANCELLED;
    case NGHTTP2_ENHANCE_YOUR_CALM: return TR_GRPC_RESOURCE_EXHAUSTED;
    case NGHTTP2_INADEQUATE_SECURITY: return TR_GRPC_PERMISSION_DENIED;
    case NGHTTP2_STREAM_CLOSED: return TR_GRPC_UNKNOWN;
    default: return TR_GRPC_INTERNAL;
  }
}

/* --- percent coding --- */

static bool goes_plain(unsigned char c) { return c >= 0x20 && c <= 0x7e && c != '%'; }

static size_t encoded_size(tr_slice text) {
  size_t size = 0;
  for (size_t i = 0; i < text.n; i++) size += goes_plain((unsigned char)text.p[i]) ? 1 : 3;
  return size;
}

size_t tr_rpc_percent_encode(tr_slice text, char *out, size_t cap) {
  static const char hex[] = "0123456789ABCDEF";
  size_t at = 0, used = 0;
  while (at < text.n) {
    size_t next = at;
    if (tr_utf8_next(text, &next) < 0 || next <= at) next = at + 1; /* not UTF-8: byte by byte */
    tr_slice character = { text.p + at, next - at };
    if (encoded_size(character) > cap - used) break;
    for (size_t i = 0; i < character.n; i++) {
      unsigned char c = (unsigned char)character.p[i];
      if (goes_plain(c)) out[used++] = (char)c;
      else { out[used++] = '%'; out[used++] = hex[c >> 4]; out[used++] = hex[c & 15]; }
    }
    at = next;
  }
  return used;
}

static int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

size_t tr_rpc_percent_decode(tr_slice text, char *out) {
  size_t used = 0;
  for (size_t i = 0; i < text.n; i++) {
    bool coded = text.p[i] == '%' && text.n - i > 2 && hex_value(text.p[i + 1]) >= 0 && hex_value(text.p[i + 2]) >= 0;
    if (coded) {
      out[used++] = (char)(hex_value(text.p[i + 1]) << 4 | hex_value(text.p[i + 2]));
      i += 2;
    } else {
      out[used++] = text.p[i];
    }
  }
  return used;
}

/* --- grpc-timeout: 1 to 8 digits and a unit --- */

static const struct { char unit; int64_t us; } units[] = {
  { 'u', 1 }, { 'm', 1000 }, { 'S', 1000000 }, { 'M', INT64_C(60000000) }, { 'H', INT64_C(3600000000) },
};
#define UNITS (sizeof units / sizeof *units)

int64_t tr_rpc_timeout_parse(tr_slice text) {
  if (text.n < 2) return -1;
  int64_t value = parse_digits((tr_slice){ text.p, text.n - 1 }, 8);
  if (value < 0) return -1;
  char unit = text.p[text.n - 1];
  if (unit == 'n') return (value + 999) / 1000;
  for (size_t i = 0; i < UNITS; i++)
    if (units[i].unit == unit) return value * units[i].us;
  return -1;
}

/* The finest unit in which it fits, rounded up: a deadline must not pass early. */
size_t tr_rpc_timeout_format(int64_t us, char out[16]) {
  size_t at = 0, i = 0;
  if (us < 0) us = 0;
  while (i + 1 < UNITS && us > 99999999 * units[i].us) i++;
  int64_t value = us / units[i].us + (us % units[i].us != 0);
  if (value > 99999999) value = 99999999;
  char digits[8];
  size_t n = 0;
  do digits[n++] = (char)('0' + value % 10); while ((value /= 10) > 0);
  while (n > 0) out[at++] = digits[--n];
  out[at++] = units[i].unit;
  return at;
}
