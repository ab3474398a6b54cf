/* SPDX-License-Identifier: MIT
 * See signer.h. What is signed is each part with its length before it, so nothing can move from one part to the next.
 *
 * Numbers that were seen are kept in two sets, of which the older is dropped every window's length: so each is remembered for at
 * least as long as its signature is good. Only what was signed well is remembered, so strangers cannot fill them. */
#include "net/signer.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"

#define NAME_MAX_ 64
#define SECRET_MAX 256
#define SIGNATURE_MAX 64
#define NONCE 16

typedef struct key { char name[NAME_MAX_ + 1]; EVP_PKEY *pkey; size_t secret_length; uint8_t secret[SECRET_MAX]; } key; /* pkey NULL: HMAC */

struct tr_signer {
  tr_mem *mem;
  key *keys; /* the first is ours, if signs */
  size_t count, cap;
  bool signs, verifies;
  tr_map seen[2];  /* number → itself */
  int64_t turned;  /* when seen[0] was begun */
};

/* ---- files ---- */

static tr_slice next_word(tr_slice *line) {
  while (line->n && (*line->p == ' ' || *line->p == '\t' || *line->p == '\r')) line->p++, line->n--;
  tr_slice word = { line->p, 0 };
  while (word.n < line->n && word.p[word.n] != ' ' && word.p[word.n] != '\t' && word.p[word.n] != '\r') word.n++;
  line->p += word.n;
  line->n -= word.n;
  return word;
}

static bool good_name(tr_slice name) {
  for (size_t i = 0; i < name.n; i++)
    if (name.p[i] <= ' ' || name.p[i] >= 127 || name.p[i] == ';') return false;
  return name.n > 0 && name.n <= NAME_MAX_;
}

/* Exactly 32 bytes of base64. */
static bool read_raw(tr_slice text, uint8_t out[33]) {
  return text.n == 44 && EVP_DecodeBlock(out, (const unsigned char *)text.p, 44) == 33 && text.p[43] == '=' && text.p[42] != '=';
}

static key *new_key(tr_signer *s) {
  if (s->count == s->cap) {
    size_t cap = s->cap ? s->cap * 2 : 4;
    key *keys = tr_realloc(s->mem, s->keys, s->cap * sizeof *keys, cap * sizeof *keys);
    if (!keys) return NULL;
    s->keys = keys;
    s->cap = cap;
  }
  memset(&s->keys[s->count], 0, sizeof *s->keys);
  return &s->keys[s->count++];
}

static int read_line(tr_signer *s, tr_slice line, bool ours, const char *where, tr_error *error) {
  uint8_t raw[33];
  tr_slice name = next_word(&line), kind = next_word(&line), value = next_word(&line);
  if (name.n == 0 || *name.p == '#') return 0;
  if (!good_name(name)) return tr_error_set(error, TR_EINVALID, "%s: a name is 1 to %d printable characters without ;", where, NAME_MAX_);
  if (s->count == TR_SIGNER_KEYS_MAX) return tr_error_set(error, TR_EINVALID, "%s: more than %d keys", where, TR_SIGNER_KEYS_MAX);
  key *k = new_key(s);
  if (!k) return tr_error_set(error, TR_EMEMORY, "out of memory");
  snprintf(k->name, sizeof k->name, "%.*s", TR_SLICE_ARG(name));
  if (tr_slice_is(kind, "hmac")) {
    if (value.n < 16 || value.n > SECRET_MAX) return tr_error_set(error, TR_EINVALID, "%s: a secret has 16 to %d characters", where, SECRET_MAX);
    memcpy(k->secret, value.p, k->secret_length = value.n);
    return 0;
  }
  const char *wanted = ours ? "ed25519-private" : "ed25519";
  if (!tr_slice_is(kind, wanted)) return tr_error_set(error, TR_EINVALID, "%s: expected NAME %s BASE64, or NAME hmac SECRET (troupe cert sign makes a pair)", where, wanted);
  if (!read_raw(value, raw)) return tr_error_set(error, TR_EINVALID, "%s: the key is not 32 bytes in base64", where);
  k->pkey = ours ? EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, raw, 32) : EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw, 32);
  OPENSSL_cleanse(raw, sizeof raw);
  return k->pkey ? 0 : tr_error_set(error, TR_EMEMORY, "out of memory");
}

static int read_lines(tr_signer *s, tr_slice text, bool ours, const char *file, tr_error *error) {
  int rc = 0;
  for (size_t number = 1; rc == 0 && text.n; number++) {
    const char *end = memchr(text.p, '\n', text.n);
    size_t n = end ? (size_t)(end - text.p) : text.n;
    char where[300];
    snprintf(where, sizeof where, "%.250s:%zu", file, number);
    rc = read_line(s, tr_slice_make(text.p, n), ours, where, error);
    n += end != NULL;
    text = tr_slice_make(text.p + n, text.n - n);
  }
  return rc;
}

int tr_signer_new(tr_mem *mem, tr_slice sign_text, const char *sign_file, tr_slice verify_text, const char *verify_file, tr_signer **out, tr_error *error) {
  tr_signer *s = TR_NEW(mem, tr_signer);
  uint64_t seed = 0;
  *out = NULL;
  if (!s) return tr_error_set(error, TR_EMEMORY, "out of memory");
  s->mem = mem;
  int rc = RAND_bytes((unsigned char *)&seed, sizeof seed) == 1 ? 0 : tr_error_set(error, TR_EMEMORY, "out of memory");
  tr_map_init(&s->seen[0], mem, seed);
  tr_map_init(&s->seen[1], mem, seed);
  if (rc == 0 && sign_file) rc = read_lines(s, sign_text, true, sign_file, error);
  if (rc == 0 && sign_file && s->count != 1) rc = tr_error_set(error, TR_EINVALID, "%.250s: expected one key", sign_file);
  s->signs = rc == 0 && sign_file;
  if (rc == 0 && verify_file) rc = read_lines(s, verify_text, false, verify_file, error);
  s->verifies = verify_file != NULL;
  if (rc) tr_signer_free(s);
  else *out = s;
  return rc;
}

static void forget(tr_signer *s, tr_map *seen) {
  size_t at = 0;
  tr_slice number;
  void *value;
  while (tr_map_next(seen, &at, &number, &value)) {
    tr_map_remove(seen, number);
    tr_free(s->mem, value, 2 * NONCE);
  }
}

void tr_signer_free(tr_signer *s) {
  if (!s) return;
  for (size_t i = 0; i < s->count; i++) EVP_PKEY_free(s->keys[i].pkey);
  if (s->keys) OPENSSL_cleanse(s->keys, s->cap * sizeof *s->keys);
  tr_free(s->mem, s->keys, s->cap * sizeof *s->keys);
  for (int i = 0; i < 2; i++) {
    forget(s, &s->seen[i]);
    tr_map_fini(&s->seen[i]);
  }
  TR_DELETE(s->mem, s);
}

bool tr_signer_signs(const tr_signer *s) { return s->signs; }
bool tr_signer_verifies(const tr_signer *s) { return s->verifies; }

void tr_signer_inherit(tr_signer *s, tr_signer *before) {
  for (int i = 0; i < 2; i++) {
    tr_map empty = s->seen[i];
    s->seen[i] = before->seen[i];
    before->seen[i] = empty;
  }
  s->turned = before->turned;
}

/* ---- what is signed ---- */

static void put_part(tr_buf *out, tr_slice part) {
  uint8_t length[8];
  for (int i = 0; i < 8; i++) length[i] = (uint8_t)((uint64_t)part.n >> (56 - 8 * i));
  tr_buf_append(out, length, sizeof length);
  tr_buf_slice(out, part);
}

/* head: "v1;NAME;MILLISECONDS;NONCE" */
static void put_all(tr_buf *out, tr_slice head, const tr_slice *parts, size_t count) {
  put_part(out, head);
  for (size_t i = 0; i < count; i++) put_part(out, parts[i]);
}

/* The signature by a key that can make one. 0: it could not. */
static size_t make(const key *k, const tr_buf *text, uint8_t out[SIGNATURE_MAX]) {
  size_t n = SIGNATURE_MAX;
  if (!k->pkey) {
    unsigned length = SIGNATURE_MAX;
    return HMAC(EVP_sha256(), k->secret, (int)k->secret_length, text->data, text->len, out, &length) ? length : 0;
  }
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  bool ok = context && EVP_DigestSignInit(context, NULL, NULL, NULL, k->pkey) == 1 && EVP_DigestSign(context, out, &n, text->data, text->len) == 1;
  EVP_MD_CTX_free(context);
  return ok ? n : 0;
}

static bool fits(const key *k, const tr_buf *text, const uint8_t *signature, size_t n) {
  uint8_t own[SIGNATURE_MAX];
  if (!k->pkey) return make(k, text, own) == n && CRYPTO_memcmp(own, signature, n) == 0;
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  bool ok = context && EVP_DigestVerifyInit(context, NULL, NULL, NULL, k->pkey) == 1 && EVP_DigestVerify(context, signature, n, text->data, text->len) == 1;
  EVP_MD_CTX_free(context);
  return ok;
}

int tr_signer_sign(tr_signer *s, int64_t now, const tr_slice *parts, size_t count, tr_buf *out) {
  uint8_t nonce[NONCE], signature[SIGNATURE_MAX];
  unsigned char text[SIGNATURE_MAX * 2];
  if (!s->signs) return 0;
  if (RAND_bytes(nonce, sizeof nonce) != 1) return TR_EMEMORY;
  tr_buf_printf(out, "v1;%s;%lld;", s->keys[0].name, (long long)now);
  for (size_t i = 0; i < sizeof nonce; i++) tr_buf_printf(out, "%02x", nonce[i]);
  tr_buf all;
  tr_buf_init(&all, s->mem);
  put_all(&all, tr_buf_view(out), parts, count);
  size_t n = all.failed || out->failed ? 0 : make(&s->keys[0], &all, signature);
  tr_buf_fini(&all);
  if (n == 0) return TR_EMEMORY;
  int length = EVP_EncodeBlock(text, signature, (int)n);
  tr_buf_byte(out, ';');
  return tr_buf_append(out, text, (size_t)length) ? 0 : TR_EMEMORY;
}

/* ---- what is believed ---- */

typedef struct claim { tr_slice head, name, time, nonce, signature; } claim;

static bool take_field(tr_slice *rest, tr_slice *out) {
  const char *end = rest->n ? memchr(rest->p, ';', rest->n) : NULL;
  if (!end) return false;
  *out = tr_slice_make(rest->p, (size_t)(end - rest->p));
  *rest = tr_slice_make(end + 1, rest->n - out->n - 1);
  return true;
}

static bool read_claim(tr_slice text, claim *c) {
  tr_slice rest = text, version;
  if (!take_field(&rest, &version) || !tr_slice_is(version, "v1") || !take_field(&rest, &c->name) || !take_field(&rest, &c->time) ||
      !take_field(&rest, &c->nonce))
    return false;
  c->signature = rest;
  c->head = tr_slice_make(text.p, text.n - rest.n - 1);
  return c->time.n > 0 && c->time.n < 16 && c->nonce.n == 2 * NONCE && rest.n >= 4 && rest.n <= 88 && rest.n % 4 == 0;
}

static bool read_time(tr_slice text, int64_t *out) {
  *out = 0;
  for (size_t i = 0; i < text.n; i++) {
    if (text.p[i] < '0' || text.p[i] > '9') return false;
    *out = *out * 10 + (text.p[i] - '0');
  }
  return true;
}

static const key *key_of(const tr_signer *s, tr_slice name, size_t *at) {
  for (; *at < s->count; ++*at)
    if (tr_slice_is(name, s->keys[*at].name)) return &s->keys[(*at)++];
  return NULL;
}

static void turn(tr_signer *s, int64_t now) {
  if (now - s->turned < 2 * TR_SIGNER_WINDOW_MS && now >= s->turned) return; /* a signature may be of a window ahead, and lasts one more */
  tr_map older = s->seen[1];
  forget(s, &older);
  s->seen[1] = s->seen[0];
  s->seen[0] = older;
  s->turned = now;
}

static int note(tr_signer *s, int64_t now, tr_slice number, tr_error *error) {
  turn(s, now);
  if (tr_map_get(&s->seen[0], number) || tr_map_get(&s->seen[1], number))
    return tr_error_set(error, TR_EPERMISSION, "it has been here before: its signature counts once");
  if (s->seen[0].count >= TR_SIGNER_SEEN_MAX) return tr_error_set(error, TR_EOVERLOADED, "more signed messages than can be told apart in time");
  char *kept = tr_alloc(s->mem, 2 * NONCE);
  if (kept) memcpy(kept, number.p, 2 * NONCE);
  if (kept && tr_map_put(&s->seen[0], tr_slice_make(kept, 2 * NONCE), kept, NULL) == 0) return 0;
  if (kept) tr_free(s->mem, kept, 2 * NONCE);
  return tr_error_set(error, TR_EMEMORY, "out of memory");
}

static bool is_signed(const tr_signer *s, const claim *c, const tr_buf *text) {
  uint8_t signature[72];
  int n = EVP_DecodeBlock(signature, (const unsigned char *)c->signature.p, (int)c->signature.n);
  if (n < 0) return false;
  for (size_t i = c->signature.n; i > 0 && c->signature.p[i - 1] == '=' && n > 0; i--) n--;
  const key *k;
  for (size_t at = s->signs ? 1 : 0; (k = key_of(s, c->name, &at)) != NULL;)
    if (fits(k, text, signature, (size_t)n)) return true;
  return false;
}

int tr_signer_verify(tr_signer *s, int64_t now, const tr_slice *parts, size_t count, tr_slice signature, tr_error *error) {
  claim c;
  int64_t time;
  if (!s->verifies) return 0;
  if (!signature.p) return tr_error_set(error, TR_EPERMISSION, "it is not signed (--sign-key), and only what is signed is taken here");
  if (!read_claim(signature, &c) || !read_time(c.time, &time)) return tr_error_set(error, TR_EPERMISSION, "its signature cannot be read");
  if (time > now + TR_SIGNER_WINDOW_MS || time < now - TR_SIGNER_WINDOW_MS)
    return tr_error_set(error, TR_EPERMISSION, "it was signed %lld s %s (are the clocks right?)", (long long)(llabs((long long)(now - time)) / 1000), time > now ? "ahead" : "ago");
  tr_buf all;
  tr_buf_init(&all, s->mem);
  put_all(&all, c.head, parts, count);
  bool failed = all.failed, good = !failed && is_signed(s, &c, &all);
  tr_buf_fini(&all);
  if (failed) return tr_error_set(error, TR_EMEMORY, "out of memory");
  if (!good) return tr_error_set(error, TR_EPERMISSION, "its signature is not %.*s's, or it was changed", (int)(c.name.n < 64 ? c.name.n : 64), c.name.p);
  return note(s, now, c.nonce, error);
}

int tr_signer_make(const char *name, tr_buf *sign_line, tr_buf *verify_line) {
  uint8_t seed[32], public_key[32];
  unsigned char text[48];
  size_t n = sizeof public_key;
  EVP_PKEY *pkey = NULL;
  bool ok = RAND_bytes(seed, sizeof seed) == 1 && (pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32)) != NULL &&
            EVP_PKEY_get_raw_public_key(pkey, public_key, &n) == 1;
  EVP_PKEY_free(pkey);
  if (ok) {
    EVP_EncodeBlock(text, seed, 32);
    ok = tr_buf_printf(sign_line, "%s ed25519-private %s\n", name, (char *)text);
    EVP_EncodeBlock(text, public_key, 32);
    ok = ok && tr_buf_printf(verify_line, "%s ed25519 %s\n", name, (char *)text);
  }
  OPENSSL_cleanse(seed, sizeof seed);
  OPENSSL_cleanse(text, sizeof text);
  return ok ? 0 : TR_EMEMORY;
}
