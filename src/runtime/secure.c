/* SPDX-License-Identifier: MIT
 * troupe_secure: certificates, and whom to believe.
 *
 * All files are read into a new tr_secure, which takes the old one's place when nothing was wrong with any of them: so what is in force
 * is always whole, and a file that is broken changes nothing. What is open keeps what it began with. */
#include "runtime/secure.h"

#include <string.h>

static void free_text(troupe_t *rt, char *text) {
  if (text) tr_free(&rt->mem, text, strlen(text) + 1);
}

static void free_secure(troupe_t *rt, tr_secure *secure) {
  if (!secure) return;
  for (int i = 0; i < TR_SECURE_TEXTS; i++) free_text(rt, secure->texts[i]);
  tr_tls_unref(secure->server);
  tr_tls_unref(secure->client);
  TR_DELETE(&rt->mem, secure);
}

void tr_runtime_free_security(troupe_t *rt) {
  free_secure(rt, rt->secure);
  rt->secure = NULL;
}

static int read_tls(troupe_t *rt, tr_secure *secure, tr_error *error) {
  char *const *text = secure->texts;
  tr_tls_options server = { .server = true, .cert = text[TR_SECURE_CERT], .key = text[TR_SECURE_KEY], .ca = text[TR_SECURE_CLIENT_CA] };
  tr_tls_options client = { .cert = text[TR_SECURE_CERT], .key = text[TR_SECURE_KEY], .ca = text[TR_SECURE_CA] };
  if (!text[TR_SECURE_CERT] && text[TR_SECURE_KEY])
    return tr_error_set(error, TR_EINVALID, "the key %s has no certificate beside it (--tls-cert)", text[TR_SECURE_KEY]);
  int rc = tr_tls_new(&rt->mem, &client, &secure->client, error);
  if (rc == 0 && text[TR_SECURE_CERT]) rc = tr_tls_new(&rt->mem, &server, &secure->server, error);
  return rc;
}

static int copy_texts(troupe_t *rt, tr_secure *secure, const char *const *texts) {
  for (int i = 0; i < TR_SECURE_TEXTS; i++) {
    if (!texts[i] || !*texts[i]) continue;
    secure->texts[i] = tr_strndup(&rt->mem, texts[i], strlen(texts[i]));
    if (!secure->texts[i]) return TR_EMEMORY;
  }
  return 0;
}

void tr_secure_apply(troupe_t *rt) {
  if (!rt->secure || !rt->net) return;
  tr_net_set_tls(rt->net, rt->secure->server, rt->secure->client);
  tr_net_set_insecure(rt->net, rt->secure->insecure);
}

static int secure_by(troupe_t *rt, const char *const *texts, bool insecure, tr_error *error) {
  tr_secure *secure = TR_NEW(&rt->mem, tr_secure);
  int rc = secure ? copy_texts(rt, secure, texts) : TR_EMEMORY;
  if (rc) tr_error_set(error, rc, "out of memory");
  if (rc == 0) rc = read_tls(rt, secure, error);
  if (rc == 0 && rt->secure && rt->secure->server && !secure->server)
    rc = tr_error_set(error, TR_EINVALID, "a runtime that has a certificate keeps one (its listeners need it)");
  if (rc) {
    free_secure(rt, secure);
    return rc;
  }
  secure->insecure = insecure;
  free_secure(rt, rt->secure);
  rt->secure = secure;
  tr_secure_apply(rt);
  return 0;
}

int troupe_secure(troupe_t *rt, const troupe_security_t *options) {
  tr_error *error = tr_runtime_error(rt);
  troupe_security_t o = { 0 };
  if (!options) { /* the same files again */
    if (!rt->secure) return 0;
    return secure_by(rt, (const char *const *)rt->secure->texts, rt->secure->insecure, error);
  }
  if (options->size == 0 || options->size > sizeof o) return tr_runtime_fail(rt, TR_EINVALID, "troupe_security_t.size is not the size of one");
  memcpy(&o, options, options->size);
  const char *texts[TR_SECURE_TEXTS] = { o.cert, o.key, o.ca, o.client_ca };
  return secure_by(rt, texts, o.insecure, error);
}

int tr_secure_dial(troupe_t *rt, const tr_address *address) {
  static const char *const none[TR_SECURE_TEXTS];
  if (!address->tls || rt->secure) return 0;
  return secure_by(rt, none, false, &rt->error);
}

int tr_runtime_make_cert(const tr_cert_request *request, tr_slice ca_cert, tr_slice ca_key, tr_buf *cert, tr_buf *key, tr_error *error) {
  return tr_cert_make(request, ca_cert, ca_key, cert, key, error);
}
