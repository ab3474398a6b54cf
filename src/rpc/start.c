/* SPDX-License-Identifier: MIT
 * The first bytes of a connection. nghttp2 would find out as well that they are no HTTP/2, but not say what they
 * are; and whoever points a browser, curl or a TLS client at the port should be told in the log. A client must send the
 * 24 bytes of the preface; a server must begin with a SETTINGS frame on stream 0. Judged at the first wrong byte. */
#include "rpc/internal.h"

static const char preface[] = NGHTTP2_CLIENT_MAGIC;
#define PREFACE (sizeof preface - 1)
#define FRAME_HEAD 9

/* First what clients send to a server, then what servers send. */
#define CLIENTS 11
static const struct { const char *begins, *what; } known[] = {
  { "GET ", "an HTTP/1 request" }, { "POST ", "an HTTP/1 request" }, { "PUT ", "an HTTP/1 request" },
  { "HEAD ", "an HTTP/1 request" }, { "OPTIONS ", "an HTTP/1 request" }, { "DELETE ", "an HTTP/1 request" },
  { "PATCH ", "an HTTP/1 request" }, { "CONNECT ", "an HTTP/1 request" }, { "TRACE ", "an HTTP/1 request" },
  { "\x16\x03", "TLS" }, { "SSH-", "SSH" },
  { "HTTP/1", "an HTTP/1 response" }, { "\x15\x03", "TLS (an alert)" }, { "SSH-", "SSH" },
};

/* What begins so, as far as it is there. */
static const char *guess(bool server, tr_slice start) {
  size_t from = server ? 0 : CLIENTS, to = server ? CLIENTS : sizeof known / sizeof *known;
  for (size_t i = from; i < to; i++) {
    tr_slice begins = tr_slice_of(known[i].begins);
    if (begins.n > start.n) begins.n = start.n;
    if (tr_slice_starts(start, begins)) return known[i].what;
  }
  return NULL;
}

static void describe(tr_rpc_conn *conn, size_t seen) {
  static const char hex[] = "0123456789abcdef";
  const char *what = guess(conn->options.server, tr_slice_make(conn->start, seen));
  char shown[3 * 8 + 1];
  size_t n = seen < 8 ? seen : 8;
  for (size_t i = 0; i < n; i++) {
    uint8_t c = conn->start[i];
    shown[3 * i] = hex[c >> 4]; shown[3 * i + 1] = hex[c & 15]; shown[3 * i + 2] = i + 1 < n ? ' ' : 0;
  }
  if (what) tr_rpc_die(conn, TR_EINVALID, 0, "the peer does not speak HTTP/2: this is %s", what);
  else tr_rpc_die(conn, TR_EINVALID, 0, "the peer does not speak HTTP/2: it began with the bytes %s", shown);
  conn->say_farewell = false; /* it would not understand */
}

static bool settings_byte_fits(const uint8_t *start, size_t at) {
  switch (at) {
    case 0: return start[0] == 0; /* at most 16 384 bytes */
    case 2: return (start[1] << 8 | start[2]) % 6 == 0 && start[1] <= 0x40;
    case 3: return start[3] == NGHTTP2_SETTINGS;
    case 4: return !(start[4] & NGHTTP2_FLAG_ACK);
    case 5: case 6: case 7: case 8: return start[at] == 0;
    default: return true;
  }
}

bool tr_rpc_start(tr_rpc_conn *conn, tr_slice bytes) {
  size_t wanted = conn->options.server ? PREFACE : FRAME_HEAD;
  for (size_t i = 0; i < bytes.n && conn->start_len < wanted; i++) {
    size_t at = conn->start_len;
    conn->start[conn->start_len++] = (uint8_t)bytes.p[i];
    bool fits = conn->options.server ? bytes.p[i] == preface[at] : settings_byte_fits(conn->start, at);
    if (fits) continue;
    /* Up to eight more, to say what it is. */
    for (size_t more = i + 1; more < bytes.n && conn->start_len < sizeof conn->start; more++)
      conn->start[conn->start_len++] = (uint8_t)bytes.p[more];
    describe(conn, conn->start_len);
    return false;
  }
  conn->started = conn->start_len == wanted;
  return true;
}
