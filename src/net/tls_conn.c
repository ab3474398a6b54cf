/* SPDX-License-Identifier: MIT
 * TLS on one connection, between its socket and whoever speaks on it.
 *
 * OpenSSL sees no socket. A BIO of ours reads from the bytes that just came (it takes all of them before it asks for more) and appends to
 * a buffer: while reading, to one of the connection's own; while flushing, to the loop's. So nothing is copied but by the
 * cipher itself, and an idle connection holds no buffer.
 *
 * A connection that is still in its handshake has no output asked of its handlers and gives them no data. One that takes too long is
 * ended: all have the same time, so the list of them is in order, and one timer a loop does. A plaintext HTTP/2 client at such a port is
 * told so in its own language. */
#include "net/tls_internal.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>

/* ---- bytes to and from OpenSSL ---- */

static int bio_read(BIO *bio, char *out, int size) {
  tr_tls_conn *t = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  size_t n = t->in.n < (size_t)size ? t->in.n : (size_t)size;
  if (n == 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  memcpy(out, t->in.p, n);
  t->in.p += n;
  t->in.n -= n;
  return (int)n;
}

static int bio_write(BIO *bio, const char *bytes, int n) {
  tr_tls_conn *t = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  return tr_buf_append(t->sink, bytes, (size_t)n) ? n : -1;
}

static long bio_control(BIO *bio, int command, long number, void *ptr) {
  (void)bio; (void)number; (void)ptr;
  return command == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *bio) {
  BIO_set_init(bio, 1);
  return 1;
}

BIO_METHOD *tr_tls_bio_method(void) {
  BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "troupe");
  if (!method) return NULL;
  BIO_meth_set_read(method, bio_read);
  BIO_meth_set_write(method, bio_write);
  BIO_meth_set_ctrl(method, bio_control);
  BIO_meth_set_create(method, bio_create);
  return method;
}

/* ---- beginning and end ---- */

static void on_late(uv_timer_t *timer) {
  tr_net *net = timer->data;
  uint64_t now = uv_now(net->loop);
  while (!tr_list_empty(&net->handshakes)) {
    tr_tls_conn *t = TR_CONTAINER(net->handshakes.next, tr_tls_conn, link);
    if (now < t->begun + TR_TLS_HANDSHAKE) {
      uv_timer_start(timer, on_late, t->begun + TR_TLS_HANDSHAKE - now, 0);
      return;
    }
    tr_link_remove(&t->link);
    tr_net_conn_fail(t->conn, t->reason[0] ? t->reason : "the TLS handshake was not done in time");
  }
}

static void watch(tr_tls_conn *t) {
  tr_net *net = t->conn->net;
  t->begun = uv_now(net->loop);
  if (tr_list_empty(&net->handshakes)) uv_timer_start(&net->late, on_late, TR_TLS_HANDSHAKE, 0);
  tr_list_push(&net->handshakes, &t->link);
}

/* The certificate must be for the name that was dialed; a number is one of its addresses. */
static bool expect(tr_tls_conn *t, const tr_address *address) {
  X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);
  struct sockaddr_storage number;
  X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (tr_address_numeric(address, &number)) return X509_VERIFY_PARAM_set1_ip_asc(param, address->host) == 1;
  return SSL_set_tlsext_host_name(t->ssl, address->host) == 1 && X509_VERIFY_PARAM_set1_host(param, address->host, 0) == 1;
}

static bool prepare(tr_tls_conn *t, const tr_address *address) {
  BIO *bio = BIO_new(t->tls->bio);
  if (!bio) return false;
  BIO_set_data(bio, t);
  SSL_set_bio(t->ssl, bio, bio);
  SSL_set_app_data(t->ssl, t);
  if (!address) {
    SSL_set_accept_state(t->ssl);
    return true;
  }
  SSL_set_connect_state(t->ssl);
  tr_tls_believe_system(t->tls);
  tr_address_format(address, t->peer, sizeof t->peer);
  SSL_SESSION *session = tr_tls_find_session(t->tls, t->peer);
  if (session) SSL_set_session(t->ssl, session);
  return expect(t, address);
}

static bool handshake(tr_tls_conn *t);

int tr_tls_begin(tr_net_conn *conn, tr_tls *tls, const tr_address *address) {
  tr_tls_conn *t = TR_NEW(conn->net->mem, tr_tls_conn);
  if (!t) return UV_ENOMEM;
  t->conn = conn;
  t->tls = tr_tls_ref(tls);
  tr_buf_init(&t->pending, conn->net->mem);
  t->sink = &t->pending;
  conn->tls = t;
  t->ssl = SSL_new(tls->contexts[0]);
  if (!t->ssl || !prepare(t, address) || !tr_net_reserve_tls(conn->net)) {
    ERR_clear_error();
    return UV_ENOMEM; /* freed with the connection */
  }
  watch(t);
  if (address) handshake(t); /* the first word is ours */
  return 0;
}

void tr_tls_tell(tr_net_conn *conn, tr_net_secured_fn secured, void *ud) {
  conn->tls->secured = secured;
  conn->tls->ud = ud;
}

void tr_tls_end(tr_net_conn *conn) {
  tr_tls_conn *t = conn->tls;
  if (!t) return;
  conn->tls = NULL;
  tr_link_remove(&t->link);
  tr_net_secured_fn secured = t->secured;
  if (secured) secured(t->ud, NULL, t->reason[0] ? t->reason : conn->reason ? conn->reason : "closed");
  SSL_free(t->ssl);
  tr_buf_fini(&t->pending);
  tr_tls_unref(t->tls);
  TR_DELETE(conn->net->mem, t);
}

const char *tr_tls_reason(const tr_net_conn *conn) { return conn->tls && conn->tls->reason[0] ? conn->tls->reason : NULL; }
bool tr_tls_is_open(const tr_net_conn *conn) { return conn->tls->open; }

/* ---- the handshake ---- */

/* HTTP/2 for "this port speaks TLS": SETTINGS, and a GOAWAY that says so. */
static void tell_plaintext(tr_tls_conn *t) {
  static const char text[] = "this port speaks TLS: connect to tls:HOST:PORT", head[] = "PRI * HTTP/2.0";
  if (!t->tls->server || t->first_len < sizeof head - 1 || memcmp(t->first, head, sizeof head - 1)) return;
  const uint8_t frames[] = { 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 8 + sizeof text - 1, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12 };
  tr_buf_clear(&t->pending); /* the alert would be no HTTP/2 */
  tr_buf_append(&t->pending, frames, sizeof frames);
  tr_buf_append(&t->pending, text, sizeof text - 1);
}

static void give_up(tr_tls_conn *t, int result) {
  tr_net_conn *conn = t->conn;
  tr_tls_explain(t, result);
  tell_plaintext(t);
  if (t->tls->server && (conn->net->tls_failures & (conn->net->tls_failures + 1)) == 0) {
    char peer[80];
    tr_log_write(conn->net->log, TR_LOG_WARN, "tls.failed", "peer=%s count=%llu reason=\"%s\"", tr_net_peer(conn, peer, sizeof peer),
                 (unsigned long long)conn->net->tls_failures + 1, t->reason);
  }
  conn->net->tls_failures += t->tls->server;
  conn->reason = t->reason;
  conn->ending = true; /* an alert goes out before it closes */
  tr_net_conn_dirty(conn);
}

static bool is_h2(const tr_tls_conn *t) {
  const unsigned char *name;
  unsigned length;
  SSL_get0_alpn_selected(t->ssl, &name, &length);
  return length == 2 && memcmp(name, "h2", 2) == 0;
}

/* True: done. */
static bool handshake(tr_tls_conn *t) {
  ERR_clear_error();
  int rc = SSL_do_handshake(t->ssl);
  tr_net_conn_dirty(t->conn);
  if (rc != 1) {
    if (SSL_get_error(t->ssl, rc) != SSL_ERROR_WANT_READ) give_up(t, rc);
    return false;
  }
  if (!is_h2(t)) {
    snprintf(t->reason, sizeof t->reason, "%s", t->tls->server ? "the peer does not ask for HTTP/2 (ALPN h2)" : "the host does not offer HTTP/2 (ALPN h2)");
    give_up(t, 0);
    return false;
  }
  t->open = true;
  tr_link_remove(&t->link);
  tr_net_secured_fn secured = t->secured;
  t->secured = NULL;
  if (secured) secured(t->ud, t->conn, NULL);
  return true;
}

/* ---- bytes of the connection ---- */

static void read_all(tr_tls_conn *t) {
  tr_net_conn *conn = t->conn;
  while (!conn->ending && !conn->closing && conn->handlers) {
    ERR_clear_error();
    int n = SSL_read(t->ssl, conn->net->plain, TR_NET_PLAIN_SIZE);
    if (n > 0) {
      if (conn->handlers->data(conn->ud, conn, tr_slice_make(conn->net->plain, (size_t)n)) < 0) conn->ending = true;
      continue;
    }
    int error = SSL_get_error(t->ssl, n);
    if (error == SSL_ERROR_WANT_READ) return;
    if (error == SSL_ERROR_ZERO_RETURN) {
      tr_net_conn_fail(conn, "closed by the peer");
      return;
    }
    tr_tls_explain(t, n);
    conn->ending = true;
  }
}

void tr_tls_feed(tr_net_conn *conn, tr_slice bytes) {
  tr_tls_conn *t = conn->tls;
  t->in = bytes;
  t->sink = &t->pending;
  for (size_t i = 0; i < bytes.n && t->first_len < sizeof t->first; i++) t->first[t->first_len++] = (uint8_t)bytes.p[i];
  if (t->open || handshake(t)) read_all(t);
  t->in = (tr_slice){ NULL, 0 };
}

int tr_tls_seal(tr_net_conn *conn, const tr_buf *plain, tr_buf *out) {
  tr_tls_conn *t = conn->tls;
  if (t->pending.len) tr_buf_append(out, t->pending.data, t->pending.len);
  if (t->pending.cap) {
    tr_buf_fini(&t->pending);
    tr_buf_init(&t->pending, conn->net->mem);
  }
  if (plain->len == 0 || !t->open) return 0;
  t->sink = out;
  ERR_clear_error();
  int n = SSL_write(t->ssl, plain->data, (int)plain->len);
  t->sink = &t->pending;
  if (n == (int)plain->len) return 0;
  if (out->failed) return UV_ENOMEM;
  tr_tls_explain(t, n);
  return UV_ECONNABORTED;
}

bool tr_tls_bye(tr_net_conn *conn) {
  tr_tls_conn *t = conn->tls;
  if (t->said_bye || !t->open) return false;
  t->said_bye = true;
  t->sink = &t->pending;
  ERR_clear_error();
  SSL_shutdown(t->ssl); /* after a fatal error it does nothing */
  ERR_clear_error();
  return t->pending.len > 0;
}

bool tr_net_conn_is_tls(const tr_net_conn *conn) { return conn->tls != NULL; }
bool tr_net_conn_resumed(const tr_net_conn *conn) { return conn->tls && SSL_session_reused(conn->tls->ssl); }

/* ---- who the peer is ---- */

/* "cert:NAME\n", where it is text without surprises. */
static void add_name(tr_buf *out, const char *kind, const ASN1_STRING *value) {
  unsigned char *text = NULL;
  int n = ASN1_STRING_to_UTF8(&text, value);
  bool plain = n > 0 && n <= 255;
  for (int i = 0; i < n && plain; i++) plain = text[i] > ' ' && text[i] != 127;
  if (plain && out->len + (size_t)n < TR_NET_NAMES_MAX) tr_buf_printf(out, "%s%s:%.*s", out->len ? "\n" : "", kind, n, (const char *)text);
  OPENSSL_free(text);
}

static void add_alternatives(tr_buf *out, X509 *cert) {
  GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
  for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
    if (name->type == GEN_DNS) add_name(out, "cert", name->d.dNSName);
    else if (name->type == GEN_URI) add_name(out, "cert", name->d.uniformResourceIdentifier);
    else if (name->type == GEN_EMAIL) add_name(out, "cert", name->d.rfc822Name);
  }
  GENERAL_NAMES_free(names);
}

bool tr_net_conn_names(const tr_net_conn *conn, tr_buf *out) {
  X509 *cert = conn->tls && conn->tls->open ? SSL_get0_peer_certificate(conn->tls->ssl) : NULL;
  if (!cert || SSL_get_verify_result(conn->tls->ssl) != X509_V_OK) return false;
  X509_NAME *subject = X509_get_subject_name(cert);
  int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at >= 0) add_name(out, "cert", X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  add_alternatives(out, cert);
  ERR_clear_error();
  return !out->failed && out->len > 0;
}
