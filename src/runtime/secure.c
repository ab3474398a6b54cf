/* SPDX-License-Identifier: MIT
 * troupe_secure: certificates, and whom to believe.
 *
 * All files are read into a new tr_secure, which takes the old one's place when nothing was wrong with any of them: so what is in force
 * is always whole, and a file that is broken changes nothing. What is open keeps what it began with. */
#include "runtime/secure.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Wiped: it may be a secret. */
static void free_text(troupe_t *rt, char *text) {
  size_t n = text ? strlen(text) : 0;
  volatile char *at = text;
  for (size_t i = 0; i < n; i++) at[i] = 0;
  if (text) tr_free(&rt->mem, text, n + 1);
}

static void free_secure(troupe_t *rt, tr_secure *secure) {
  if (!secure) return;
  for (int i = 0; i < TR_SECURE_TEXTS; i++) free_text(rt, secure->texts[i]);
  tr_tls_unref(secure->server);
  tr_tls_unref(secure->client);
  tr_tokens_free(secure->tokens);
  tr_rights_unref(secure->rights);
  tr_signer_free(secure->signer);
  free_text(rt, secure->bearer);
  TR_DELETE(&rt->mem, secure);
}

void tr_runtime_free_security(troupe_t *rt) {
  free_secure(rt, rt->secure);
  rt->secure = NULL;
}

static int read_tls(troupe_t *rt, tr_secure *secure, tr_error *error) {
  char *const *text = secure->texts;
  tr_tls_options server = { .server = true, .cert = text[TR_SECURE_CERT], .key = text[TR_SECURE_KEY], .ca = text[TR_SECURE_CLIENT_CA],
                            .optional = text[TR_SECURE_TOKENS] != NULL };
  tr_tls_options client = { .cert = text[TR_SECURE_CERT], .key = text[TR_SECURE_KEY], .ca = text[TR_SECURE_CA] };
  if (!text[TR_SECURE_CERT] && text[TR_SECURE_KEY])
    return tr_error_set(error, TR_EINVALID, "the key %s has no certificate beside it (--tls-cert)", text[TR_SECURE_KEY]);
  int rc = tr_tls_new(&rt->mem, &client, &secure->client, error);
  if (rc == 0 && text[TR_SECURE_CERT]) rc = tr_tls_new(&rt->mem, &server, &secure->server, error);
  return rc;
}

/* ---- files of our own ---- */

/* secret: others should not be able to read it. */
static int read_file(troupe_t *rt, const char *path, bool secret, tr_buf *out, tr_error *error) {
  struct stat st;
  char block[4096];
  size_t n;
  FILE *file = fopen(path, "r");
  if (!file || fstat(fileno(file), &st)) {
    int why = errno;
    if (file) fclose(file);
    return tr_error_set(error, TR_EINVALID, "%s: %s", path, strerror(why));
  }
  if (secret && st.st_mode & (S_IRWXG | S_IRWXO))
    tr_log_write(&rt->log, TR_LOG_WARN, "secure.readable", "file=%s (others can read it; chmod 600 keeps it to its owner)", path);
  while ((n = fread(block, 1, sizeof block, file)) > 0 && out->len <= TR_RIGHTS_FILE_MAX) tr_buf_append(out, block, n);
  bool failed = ferror(file) != 0;
  fclose(file);
  memset(block, 0, sizeof block);
  if (failed) return tr_error_set(error, TR_EINVALID, "%s: it cannot be read", path);
  if (out->len > TR_RIGHTS_FILE_MAX) return tr_error_set(error, TR_EINVALID, "%s: has more than %u bytes", path, TR_RIGHTS_FILE_MAX);
  return out->failed ? tr_error_set(error, TR_EMEMORY, "out of memory") : 0;
}

static void wipe(tr_buf *buf) {
  volatile uint8_t *at = buf->data;
  for (size_t i = 0; i < buf->cap; i++) at[i] = 0;
  tr_buf_fini(buf);
}

static int set_bearer(troupe_t *rt, tr_secure *secure, tr_slice token, const char *what, tr_error *error) {
  while (token.n && strchr(" \t\r\n", token.p[token.n - 1])) token.n--;
  if (!tr_token_check(token, what, error)) return TR_EINVALID;
  secure->bearer = tr_calloc(&rt->mem, 1, token.n + sizeof "Bearer ");
  if (!secure->bearer) return tr_error_set(error, TR_EMEMORY, "out of memory");
  snprintf(secure->bearer, token.n + sizeof "Bearer ", "Bearer %.*s", TR_SLICE_ARG(token));
  return 0;
}

static int read_files(troupe_t *rt, tr_secure *secure, tr_error *error) {
  const char *token = secure->texts[TR_SECURE_TOKEN], *file = secure->texts[TR_SECURE_TOKEN_FILE];
  const char *tokens = secure->texts[TR_SECURE_TOKENS], *rights = secure->texts[TR_SECURE_RIGHTS];
  tr_buf text;
  tr_buf_init(&text, &rt->mem);
  int rc = 0;
  if (file) rc = read_file(rt, file, true, &text, error);
  if (rc == 0 && (file || token)) rc = set_bearer(rt, secure, file ? tr_buf_view(&text) : tr_slice_of(token), file ? file : "the token", error);
  tr_buf_clear(&text);
  if (rc == 0 && tokens) rc = read_file(rt, tokens, true, &text, error);
  if (rc == 0 && tokens) rc = tr_tokens_parse(&rt->mem, tr_buf_view(&text), tokens, &secure->tokens, error);
  tr_buf_clear(&text);
  if (rc == 0 && rights) rc = read_file(rt, rights, false, &text, error);
  if (rc == 0 && rights) rc = tr_rights_parse(&rt->mem, tr_buf_view(&text), rights, &secure->rights, error);
  wipe(&text);
  return rc;
}

/* ---- signatures ---- */

static int64_t now_ms(const troupe_t *rt) { return rt->wall_us() / 1000; }

static int seal_sign(void *ud, const tr_slice *parts, size_t count, tr_buf *out) {
  const troupe_t *rt = ud;
  return tr_signer_sign(rt->secure->signer, now_ms(rt), parts, count, out);
}

static int seal_verify(void *ud, const tr_slice *parts, size_t count, tr_slice signature, tr_error *error) {
  const troupe_t *rt = ud;
  return tr_signer_verify(rt->secure->signer, now_ms(rt), parts, count, signature, error);
}

static int read_keys(troupe_t *rt, tr_secure *secure, tr_error *error) {
  const char *sign = secure->texts[TR_SECURE_SIGN_KEY], *verify = secure->texts[TR_SECURE_VERIFY_KEYS];
  tr_buf own, others;
  if (!sign && !verify) return 0;
  tr_buf_init(&own, &rt->mem);
  tr_buf_init(&others, &rt->mem);
  int rc = sign ? read_file(rt, sign, true, &own, error) : 0;
  if (rc == 0 && verify) rc = read_file(rt, verify, false, &others, error);
  if (rc == 0) rc = tr_signer_new(&rt->mem, tr_buf_view(&own), sign, tr_buf_view(&others), verify, &secure->signer, error);
  secure->seal = (tr_seal){ seal_sign, seal_verify, rt };
  wipe(&own);
  wipe(&others);
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

/* Is anybody to be asked who it is? */
static bool asks(const tr_secure *secure) { return secure->tokens || secure->rights || secure->texts[TR_SECURE_CLIENT_CA]; }

void tr_secure_apply(troupe_t *rt) {
  if (!rt->secure || !rt->net) return;
  if (rt->host) tr_host_guard(rt->host, asks(rt->secure), rt->secure->rights);
  tr_net_set_tls(rt->net, rt->secure->server, rt->secure->client);
  tr_net_set_insecure(rt->net, rt->secure->insecure);
}

static int secure_by(troupe_t *rt, const char *const *texts, bool insecure, tr_error *error) {
  tr_secure *secure = TR_NEW(&rt->mem, tr_secure);
  int rc = secure ? copy_texts(rt, secure, texts) : TR_EMEMORY;
  if (rc) tr_error_set(error, rc, "out of memory");
  if (rc == 0) rc = read_tls(rt, secure, error);
  if (rc == 0) rc = read_files(rt, secure, error);
  if (rc == 0) rc = read_keys(rt, secure, error);
  if (rc == 0 && rt->secure && rt->secure->server && !secure->server)
    rc = tr_error_set(error, TR_EINVALID, "a runtime that has a certificate keeps one (its listeners need it)");
  if (rc) {
    free_secure(rt, secure);
    return rc;
  }
  secure->insecure = insecure;
  tr_secure *before = rt->secure; /* its texts may be those that were given */
  rt->secure = secure;
  if (before && before->signer && secure->signer) tr_signer_inherit(secure->signer, before->signer);
  tr_core_set_seal(rt->core, secure->signer ? &secure->seal : NULL);
  tr_secure_apply(rt);
  free_secure(rt, before);
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
  const char *texts[TR_SECURE_TEXTS] = { o.cert, o.key, o.ca, o.client_ca, o.token, o.token_file, o.tokens, o.rights, o.sign_key, o.verify_keys };
  return secure_by(rt, texts, o.insecure, error);
}

int tr_secure_dial(troupe_t *rt, const tr_address *address) {
  static const char *const none[TR_SECURE_TEXTS];
  if (rt->secure && rt->secure->bearer && !address->tls && !rt->secure->insecure && !tr_address_is_local(address))
    return tr_runtime_fail(rt, TR_EPERMISSION, "%s: a token is not shown to another machine in plaintext (tls:%s:%u; where the network is trusted, troupe tunnel --insecure leads there)",
                           address->host, address->host, address->port);
  if (!address->tls || rt->secure) return 0;
  return secure_by(rt, none, false, &rt->error);
}

int tr_secure_reload(troupe_t *rt) {
  if (!rt->secure) return 0;
  int rc = troupe_secure(rt, NULL);
  if (rc) tr_log_write(&rt->log, TR_LOG_ERROR, "secure.failed", "%s (what was in force stays)", rt->error.text);
  else tr_log_write(&rt->log, TR_LOG_INFO, "secure.reloaded", "tls=%s tokens=%s rights=%s", rt->secure->server ? "yes" : "no", rt->secure->tokens ? "yes" : "no",
                    rt->secure->rights ? "yes" : "no");
  return rc;
}

/* ---- who is who ---- */

tr_slice tr_secure_authorization(const troupe_t *rt) { return tr_slice_of(rt->secure ? rt->secure->bearer : NULL); }

/* The token in "Bearer TOKEN"; or in a user-agent with "troupe-token/TOKEN": what clients can set who can set nothing else. */
static tr_slice token_in(tr_slice authorization, tr_slice user_agent) {
  static const tr_slice bearer = TR_SLICE_LITERAL("Bearer "), mark = TR_SLICE_LITERAL("troupe-token/");
  if (tr_slice_starts(authorization, bearer)) return tr_slice_make(authorization.p + bearer.n, authorization.n - bearer.n);
  for (size_t i = 0; i + mark.n <= user_agent.n; i++) {
    tr_slice rest = { user_agent.p + i, user_agent.n - i };
    if (!tr_slice_starts(rest, mark)) continue;
    rest = tr_slice_make(rest.p + mark.n, rest.n - mark.n);
    const char *end = memchr(rest.p, ' ', rest.n);
    return tr_slice_make(rest.p, end ? (size_t)(end - rest.p) : rest.n);
  }
  return (tr_slice){ NULL, 0 };
}

int tr_secure_identify(void *ud, tr_host_conn *conn, tr_slice authorization, tr_slice user_agent, tr_buf *names, tr_error *error) {
  const troupe_t *rt = ud;
  const tr_secure *secure = rt->secure;
  const tr_net_conn *socket = tr_host_conn_socket(conn);
  tr_slice token = token_in(authorization, user_agent);
  if (secure->tokens && token.p) {
    const char *name = tr_tokens_find(secure->tokens, token);
    if (!name) return tr_error_set(error, TR_EUNAUTHENTICATED, "the token is none of those that this host takes");
    tr_buf_printf(names, "token:%s\n", name);
  }
  if (tr_net_conn_names(socket, names)) tr_buf_byte(names, '\n');
  int64_t uid = tr_net_conn_peer_uid(socket);
  bool own = uid >= 0 && (uid == 0 || uid == (int64_t)geteuid());
  if (uid >= 0) tr_buf_printf(names, "uid:%lld\n", (long long)uid);
  if (own || secure->rights || !secure->tokens || (names->len && uid < 0) || token.p) return 0;
  return tr_error_set(error, TR_EUNAUTHENTICATED, "a token is needed here (--token-file, TROUPE_TOKEN)");
}

int tr_runtime_make_keys(const char *name, tr_buf *sign_line, tr_buf *verify_line) { return tr_signer_make(name, sign_line, verify_line); }

int tr_runtime_make_cert(const tr_cert_request *request, tr_slice ca_cert, tr_slice ca_key, tr_buf *cert, tr_buf *key, tr_error *error) {
  return tr_cert_make(request, ca_cert, ca_key, cert, key, error);
}
