/* SPDX-License-Identifier: MIT
 * What an end of TLS shows and believes: one OpenSSL context a certificate, all with the same rules.
 *
 * A tr_tls is never changed, but that the system's CA certificates, whose reading takes as long as ten starts of a host, are read when
 * somebody is dialed first. New certificates are a new one, which is put in its place (tr_net_set_tls): connections hold the one they
 * began with, so nothing that is open notices. Tickets are sealed with keys of the context, so a session cannot be resumed over
 * such a change, and whoever is not believed any more cannot come back by an old one.
 *
 * Read tls_conn.c next. */
#include "net/tls_internal.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

/* What RFC 9113 lets HTTP/2 have of TLS 1.2: forward secrecy and AEAD. */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"
/* Of TLS 1.3 a client asks for what gRPC's own libraries do: OpenSSL's order, AES-256 first, costs a quarter more of each byte. */
#define CIPHERS_13 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define SESSION_SECONDS 3600

static const unsigned char alpn[] = "\2h2";

const char *tr_tls_version(void) { return OpenSSL_version(OPENSSL_VERSION_STRING); }

/* ---- rules ---- */

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *length, const unsigned char *in, unsigned n, void *arg) {
  (void)ssl;
  (void)arg;
  for (unsigned i = 0; i + 1 < n; i += 1u + in[i]) {
    if (in[i] != 2 || i + 3 > n || memcmp(in + i + 1, "h2", 2)) continue;
    *out = in + i + 1;
    *length = 2;
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* The certificate for the name that the client asks for. */
static int choose_name(SSL *ssl, int *alert, void *arg) {
  const tr_tls *tls = arg;
  const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  (void)alert;
  for (size_t i = 0; name && i < tls->count; i++) {
    if (X509_check_host(SSL_CTX_get0_certificate(tls->contexts[i]), name, 0, 0, NULL) != 1) continue;
    SSL_set_SSL_CTX(ssl, tls->contexts[i]);
    break;
  }
  return SSL_TLSEXT_ERR_OK;
}

/* What is wrong with a certificate is known later, too, but not whose it is. */
static int on_verify(int good, X509_STORE_CTX *store) {
  SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
  if (!good && X509_STORE_CTX_get_error_depth(store) == 0) tr_tls_note_names(SSL_get_app_data(ssl), X509_STORE_CTX_get_current_cert(store));
  return good;
}

static int on_session(SSL *ssl, SSL_SESSION *session) {
  tr_tls_conn *t = SSL_get_app_data(ssl);
  tr_tls_keep_session(t->tls, t->peer, session);
  return 1;
}

static bool set_rules(tr_tls *tls, SSL_CTX *context) {
  static const unsigned char id[] = "troupe";
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_timeout(context, SESSION_SECONDS);
  if (!SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) || !SSL_CTX_set_cipher_list(context, CIPHERS) ||
      !SSL_CTX_set_ciphersuites(context, CIPHERS_13))
    return false;
  if (tls->server) {
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    SSL_CTX_set_tlsext_servername_callback(context, choose_name);
    SSL_CTX_set_tlsext_servername_arg(context, tls);
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets do it, and cost no memory here */
    return SSL_CTX_set_session_id_context(context, id, sizeof id - 1) == 1;
  }
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, on_session);
  return SSL_CTX_set_alpn_protos(context, alpn, sizeof alpn - 1) == 0;
}

/* ---- files ---- */

static int bad_file(tr_error *error, const char *what, const char *file) {
  unsigned long first = ERR_peek_error();
  const char *why = ERR_reason_error_string(first);
  if (ERR_GET_LIB(first) == ERR_LIB_SYS) why = strerror(ERR_GET_REASON(first));
  else if (ERR_GET_LIB(first) == ERR_LIB_PEM && ERR_GET_REASON(first) == PEM_R_NO_START_LINE) why = "there is none in it (PEM is expected)";
  return tr_error_set(error, TR_EINVALID, "%s %s: %s", what, file, why ? why : "it cannot be read");
}

/* No prompt on somebody's terminal: a key must not be encrypted. */
static int no_password(char *out, int size, int writing, void *ud) {
  (void)out; (void)size; (void)writing; (void)ud;
  return -1;
}

static int use_files(SSL_CTX *context, const char *cert, const char *key, tr_error *error) {
  SSL_CTX_set_default_passwd_cb(context, no_password);
  if (SSL_CTX_use_certificate_chain_file(context, cert) != 1) return bad_file(error, "the certificate", cert);
  if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) {
    if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH)
      return tr_error_set(error, TR_EINVALID, "the key %s is not the one of the certificate %s", key, cert);
    return bad_file(error, "the key", key);
  }
  return 0;
}

static int use_ca(const tr_tls *tls, SSL_CTX *context, const tr_tls_options *o, tr_error *error) {
  if (o->ca && SSL_CTX_load_verify_locations(context, o->ca, NULL) != 1)
    return bad_file(error, "the CA certificates", o->ca);
  if (!tls->server) {
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, on_verify);
  } else if (o->ca) {
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(o->ca); /* told to clients, so that they can choose */
    if (!names) return bad_file(error, "the CA certificates", o->ca);
    SSL_CTX_set_client_CA_list(context, names);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (o->optional ? 0 : SSL_VERIFY_FAIL_IF_NO_PEER_CERT), NULL);
  }
  return 0;
}

void tr_tls_believe_system(tr_tls *tls) {
  if (!tls->system) return;
  tls->system = false;
  for (size_t i = 0; i < tls->count; i++) SSL_CTX_set_default_verify_paths(tls->contexts[i]);
}

static int add_context(tr_tls *tls, const tr_tls_options *o, const char *cert, const char *key, tr_error *error) {
  ERR_clear_error();
  SSL_CTX *context = SSL_CTX_new(tls->server ? TLS_server_method() : TLS_client_method());
  if (!context) return tr_error_set(error, TR_EMEMORY, "out of memory");
  int rc = set_rules(tls, context) ? 0 : tr_error_set(error, TR_EMEMORY, "out of memory");
  if (rc == 0 && cert) rc = use_files(context, cert, key, error);
  if (rc == 0) rc = use_ca(tls, context, o, error);
  ERR_clear_error();
  if (rc) SSL_CTX_free(context);
  else tls->contexts[tls->count++] = context;
  return rc;
}

/* The next of "a,b" into out; false at the end. */
static bool next_file(const char **list, char *out, size_t size) {
  if (!*list || !**list) return false;
  size_t n = strcspn(*list, ",");
  snprintf(out, size, "%.*s", (int)n, *list);
  *list += n + ((*list)[n] == ',');
  return true;
}

static int add_all(tr_tls *tls, const tr_tls_options *o, tr_error *error) {
  const char *certs = o->cert, *keys = o->key;
  char cert[4096], key[4096];
  while (next_file(&certs, cert, sizeof cert)) {
    if (!next_file(&keys, key, sizeof key)) return tr_error_set(error, TR_EINVALID, "the certificate %s has no key beside it (--tls-key)", cert);
    if (tls->count == TR_TLS_CERTS_MAX) return tr_error_set(error, TR_EINVALID, "more than %d certificates", TR_TLS_CERTS_MAX);
    int rc = add_context(tls, o, cert, key, error);
    if (rc || !tls->server) return rc; /* a client shows one */
  }
  if (tls->count) return 0;
  if (tls->server) return tr_error_set(error, TR_EINVALID, "a listener with TLS needs a certificate and its key (--tls-cert, --tls-key; troupe cert makes them)");
  return add_context(tls, o, NULL, NULL, error);
}

int tr_tls_new(tr_mem *mem, const tr_tls_options *options, tr_tls **out, tr_error *error) {
  tr_tls *tls = TR_NEW(mem, tr_tls);
  if (!tls) return tr_error_set(error, TR_EMEMORY, "out of memory");
  tls->mem = mem;
  tls->refs = 1;
  tls->server = options->server;
  tls->system = !options->server && !options->ca;
  tls->bio = tr_tls_bio_method();
  int rc = tls->bio ? add_all(tls, options, error) : tr_error_set(error, TR_EMEMORY, "out of memory");
  if (rc) {
    tr_tls_unref(tls);
    tls = NULL;
  }
  *out = tls;
  return rc;
}

tr_tls *tr_tls_ref(tr_tls *tls) {
  if (tls) tls->refs++;
  return tls;
}

void tr_tls_unref(tr_tls *tls) {
  if (!tls || --tls->refs) return;
  for (size_t i = 0; i < TR_TLS_SESSIONS; i++) SSL_SESSION_free(tls->sessions[i].session);
  for (size_t i = 0; i < tls->count; i++) SSL_CTX_free(tls->contexts[i]);
  BIO_meth_free(tls->bio);
  TR_DELETE(tls->mem, tls);
}

/* ---- sessions of a client ---- */

static size_t place_of(const tr_tls *tls, const char *peer) {
  size_t i = 0;
  while (i < TR_TLS_SESSIONS && (!tls->sessions[i].session || strcmp(tls->sessions[i].peer, peer))) i++;
  return i;
}

void tr_tls_keep_session(tr_tls *tls, const char *peer, SSL_SESSION *session) {
  size_t at = place_of(tls, peer);
  if (at == TR_TLS_SESSIONS) at = tls->next_session++ % TR_TLS_SESSIONS;
  SSL_SESSION_free(tls->sessions[at].session);
  snprintf(tls->sessions[at].peer, sizeof tls->sessions[at].peer, "%s", peer);
  tls->sessions[at].session = session;
}

SSL_SESSION *tr_tls_find_session(const tr_tls *tls, const char *peer) {
  size_t at = place_of(tls, peer);
  return at < TR_TLS_SESSIONS ? tls->sessions[at].session : NULL;
}
