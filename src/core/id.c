/* SPDX-License-Identifier: MIT
 * The rules of ids, in one place: every text that becomes an agent id or a topic passes here once, where it enters the
 * runtime (a script's string, a message off the wire, the command line), and is trusted from then on.
 *
 * The character set is that of AutoGen's workers, which refuse (Python) or throw at (.NET) anything else. Its
 * largest part, "a letter or digit of any script", is core/letters.c. */
#include "core/id.h"

#include <stdint.h>
#include <stdio.h>

#include "base/text.h"
#include "core/letters.h"

static int length_check(const char *what, tr_slice text, tr_error *error) {
  if (text.n <= TR_ID_MAX) return 0;
  return tr_error_set(error, TR_EINVALID, "the %s has %zu bytes, at most %d are allowed", what, text.n, TR_ID_MAX);
}

/* A character as it is told: itself where it can be printed, else its number. */
static int refuse(const char *what, tr_slice text, size_t at, size_t end, int32_t c, const char *allowed,
                  tr_error *error) {
  int shown = (int)tr_utf8_cut(text, 64);
  if (!tr_utf8_valid(tr_slice_make(text.p, (size_t)shown))) shown = (int)tr_utf8_cut(tr_slice_make(text.p, at), 64); /* up to there it is */
  const char *more = (size_t)shown < text.n ? "…" : "";
  if (c < 0)
    return tr_error_set(error, TR_EINVALID, "the %s is not UTF-8: byte 0x%02X at %zu", what,
                        (unsigned)(uint8_t)text.p[at], at);
  if (c < 32 || c == 127)
    return tr_error_set(error, TR_EINVALID, "the %s has the character U+%04X at byte %zu: only %s are allowed", what,
                        (unsigned)c, at, allowed);
  return tr_error_set(error, TR_EINVALID, "the %s \"%.*s%s\" has the character \"%.*s\": only %s are allowed", what,
                      shown, text.p, more, (int)(end - at), text.p + at, allowed);
}

/* Nearly all types are plain letters: a look into a table for each (1: in any type, 2: in a topic's), since every event's topic is checked. */
#define EACH_LETTER(upper, lower) [upper] = 1, [lower] = 1
static const uint8_t plain[128] = {
  ['_'] = 1, ['-'] = 1, ['.'] = 1, [':'] = 2, ['='] = 2,
  ['0'] = 1, ['1'] = 1, ['2'] = 1, ['3'] = 1, ['4'] = 1, ['5'] = 1, ['6'] = 1, ['7'] = 1, ['8'] = 1, ['9'] = 1,
  EACH_LETTER('A', 'a'), EACH_LETTER('B', 'b'), EACH_LETTER('C', 'c'), EACH_LETTER('D', 'd'), EACH_LETTER('E', 'e'),
  EACH_LETTER('F', 'f'), EACH_LETTER('G', 'g'), EACH_LETTER('H', 'h'), EACH_LETTER('I', 'i'), EACH_LETTER('J', 'j'),
  EACH_LETTER('K', 'k'), EACH_LETTER('L', 'l'), EACH_LETTER('M', 'm'), EACH_LETTER('N', 'n'), EACH_LETTER('O', 'o'),
  EACH_LETTER('P', 'p'), EACH_LETTER('Q', 'q'), EACH_LETTER('R', 'r'), EACH_LETTER('S', 's'), EACH_LETTER('T', 't'),
  EACH_LETTER('U', 'u'), EACH_LETTER('V', 'v'), EACH_LETTER('W', 'w'), EACH_LETTER('X', 'x'), EACH_LETTER('Y', 'y'),
  EACH_LETTER('Z', 'z'),
};

static size_t plain_part(tr_slice type, size_t at, unsigned most) {
  for (; at < type.n; at++) {
    uint8_t c = (uint8_t)type.p[at];
    if (c >= 128 || plain[c] - 1u >= most) break;
  }
  return at;
}

static int type_check(const char *what, tr_slice type, unsigned most, const char *allowed, tr_error *error) {
  if (type.n == 0) return tr_error_set(error, TR_EINVALID, "the %s is empty", what);
  int err = length_check(what, type, error);
  if (err) return err;
  for (size_t at = 0; (at = plain_part(type, at, most)) < type.n;) {
    size_t start = at;
    int32_t c = tr_utf8_next(type, &at);
    if (c < 0x80 || !tr_letter_or_digit(c)) return refuse(what, type, start, at, c, allowed, error);
  }
  return 0;
}

int tr_agent_type_check(tr_slice type, tr_error *error) {
  return type_check("agent type", type, 1, "letters, digits, _ - .", error);
}

int tr_topic_type_check(tr_slice type, tr_error *error) {
  return type_check("topic type", type, 2, "letters, digits, _ - . : =", error);
}

static int free_check(const char *what, tr_slice text, tr_error *error) {
  int err = length_check(what, text, error);
  if (err) return err;
  for (size_t at = 0; at < text.n;) {
    size_t start = at;
    int32_t c = tr_utf8_next(text, &at);
    if (c < 0) return refuse(what, text, start, at, -1, "", error);
    if (c == 0) return tr_error_set(error, TR_EINVALID, "the %s has a zero byte at %zu", what, start); /* "type/key" is a C string in many places */
  }
  return 0;
}

int tr_key_check(tr_slice key, tr_error *error) { return free_check("agent key", key, error); }

static void split(tr_slice text, tr_slice default_part, tr_slice *first, tr_slice *second) {
  const char *slash = text.n ? memchr(text.p, '/', text.n) : NULL;
  *first = text;
  *second = default_part;
  if (!slash) return;
  first->n = (size_t)(slash - text.p);
  *second = tr_slice_make(slash + 1, text.n - first->n - 1);
}

int tr_agent_id_parse(tr_slice text, tr_slice default_part, tr_agent_id *out, tr_error *error) {
  split(text, default_part, &out->type, &out->key);
  int err = tr_agent_type_check(out->type, error);
  return err ? err : tr_key_check(out->key, error);
}

int tr_topic_id_parse(tr_slice text, tr_slice default_part, tr_topic_id *out, tr_error *error) {
  split(text, default_part, &out->type, &out->source);
  int err = tr_topic_type_check(out->type, error);
  return err ? err : free_check("topic source", out->source, error);
}
