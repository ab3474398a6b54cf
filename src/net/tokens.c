/* SPDX-License-Identifier: MIT
 * See tokens.h. What is compared are hashes, so neither the length of a token nor how much of it is right can be told from the time
 * that an answer takes; and all entries are looked at, so which one it is cannot either. */
#include "net/tokens.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>

#define HASH 32

typedef struct entry { uint8_t hash[HASH]; char name[TR_TOKEN_NAME_MAX + 1]; } entry;

struct tr_tokens { tr_mem *mem; entry *entries; size_t count, cap; };

static bool hash_of(tr_slice token, uint8_t out[HASH]) {
  return EVP_Digest(token.n ? token.p : "", token.n, out, NULL, EVP_sha256(), NULL) == 1;
}

bool tr_token_check(tr_slice token, const char *what, tr_error *error) {
  bool plain = true;
  for (size_t i = 0; i < token.n && plain; i++) plain = token.p[i] > ' ' && token.p[i] < 127;
  if (token.n < TR_TOKEN_LEAST || token.n > TR_TOKEN_MOST)
    tr_error_set(error, TR_EINVALID, "%s: a token has %d to %d characters, this one %zu (openssl rand -hex 32 makes one)", what, TR_TOKEN_LEAST,
                 TR_TOKEN_MOST, token.n);
  else if (!plain) tr_error_set(error, TR_EINVALID, "%s: a token is printable ASCII without spaces", what);
  else return true;
  return false;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool read_hex(tr_slice text, uint8_t out[HASH]) {
  if (text.n != 2 * HASH) return false;
  for (size_t i = 0; i < HASH; i++) {
    int high = hex_digit(text.p[2 * i]), low = hex_digit(text.p[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = (uint8_t)(high << 4 | low);
  }
  return true;
}

/* The next word of a line, without the blanks around it. */
static tr_slice next_word(tr_slice *line) {
  while (line->n && (*line->p == ' ' || *line->p == '\t')) line->p++, line->n--;
  tr_slice word = { line->p, 0 };
  while (word.n < line->n && line->p[word.n] != ' ' && line->p[word.n] != '\t') word.n++;
  line->p += word.n;
  line->n -= word.n;
  return word;
}

static bool good_name(tr_slice name) {
  static const char others[] = "._-@/";
  for (size_t i = 0; i < name.n; i++) {
    char c = name.p[i];
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || memchr(others, c, sizeof others - 1))) return false;
  }
  return name.n > 0 && name.n <= TR_TOKEN_NAME_MAX;
}

static entry *new_entry(tr_tokens *tokens) {
  if (tokens->count == tokens->cap) {
    size_t cap = tokens->cap ? tokens->cap * 2 : 8;
    entry *entries = tr_realloc(tokens->mem, tokens->entries, tokens->cap * sizeof *entries, cap * sizeof *entries);
    if (!entries) return NULL;
    tokens->entries = entries;
    tokens->cap = cap;
  }
  return &tokens->entries[tokens->count++];
}

static int add_line(tr_tokens *tokens, tr_slice line, const char *where, tr_error *error) {
  static const tr_slice hashed = TR_SLICE_LITERAL("sha256:");
  tr_slice name = next_word(&line), token = next_word(&line);
  if (name.n == 0 || *name.p == '#') return 0;
  if (!good_name(name)) return tr_error_set(error, TR_EINVALID, "%s: a name is 1 to %d of letters, digits and ._-@/", where, TR_TOKEN_NAME_MAX);
  if (token.n == 0 || next_word(&line).n) return tr_error_set(error, TR_EINVALID, "%s: a line is NAME TOKEN, or NAME sha256:HEX", where);
  if (tokens->count == TR_TOKENS_MAX) return tr_error_set(error, TR_EINVALID, "%s: more than %d tokens", where, TR_TOKENS_MAX);
  entry *at = new_entry(tokens);
  if (!at) return tr_error_set(error, TR_EMEMORY, "out of memory");
  snprintf(at->name, sizeof at->name, "%.*s", TR_SLICE_ARG(name));
  if (tr_slice_starts(token, hashed)) {
    if (read_hex(tr_slice_make(token.p + hashed.n, token.n - hashed.n), at->hash)) return 0;
    return tr_error_set(error, TR_EINVALID, "%s: sha256: wants 64 hexadecimal digits", where);
  }
  if (!tr_token_check(token, where, error)) return TR_EINVALID;
  return hash_of(token, at->hash) ? 0 : tr_error_set(error, TR_EMEMORY, "out of memory");
}

int tr_tokens_parse(tr_mem *mem, tr_slice text, const char *file, tr_tokens **out, tr_error *error) {
  tr_tokens *tokens = TR_NEW(mem, tr_tokens);
  int rc = tokens ? 0 : tr_error_set(error, TR_EMEMORY, "out of memory");
  *out = NULL;
  if (tokens) tokens->mem = mem;
  for (size_t number = 1; rc == 0 && text.n; number++) {
    const char *end = memchr(text.p, '\n', text.n);
    tr_slice line = { text.p, end ? (size_t)(end - text.p) : text.n };
    text.p += line.n + (end != NULL);
    text.n -= line.n + (end != NULL);
    if (line.n && line.p[line.n - 1] == '\r') line.n--;
    char where[300];
    snprintf(where, sizeof where, "%.250s:%zu", file, number);
    rc = add_line(tokens, line, where, error);
  }
  if (rc) tr_tokens_free(tokens);
  else *out = tokens;
  return rc;
}

void tr_tokens_free(tr_tokens *tokens) {
  if (!tokens) return;
  if (tokens->entries) OPENSSL_cleanse(tokens->entries, tokens->cap * sizeof *tokens->entries);
  tr_free(tokens->mem, tokens->entries, tokens->cap * sizeof *tokens->entries);
  TR_DELETE(tokens->mem, tokens);
}

const char *tr_tokens_find(const tr_tokens *tokens, tr_slice token) {
  uint8_t hash[HASH];
  const char *name = NULL;
  if (token.n > TR_TOKEN_MOST || !hash_of(token, hash)) return NULL;
  for (size_t i = 0; i < tokens->count; i++)
    if (CRYPTO_memcmp(tokens->entries[i].hash, hash, HASH) == 0) name = tokens->entries[i].name;
  return name;
}
