/* SPDX-License-Identifier: MIT
 * Members of JSON objects: of answers, and of what is asked. */
#include <string.h>

#include "cli/operate.h"

const char *cli_text(const troupe_value_t *map, const char *key) {
  const troupe_value_t *value = troupe_value_get(map, key);
  const char *found = value ? troupe_value_string(value, NULL) : NULL;
  return found ? found : "";
}

int64_t cli_number(const troupe_value_t *map, const char *key) {
  int64_t value = 0;
  const troupe_value_t *found = troupe_value_get(map, key);
  if (found) troupe_value_integer(found, &value);
  return value;
}

double cli_real(const troupe_value_t *map, const char *key) {
  double value = 0;
  const troupe_value_t *found = troupe_value_get(map, key);
  if (found) troupe_value_number(found, &value);
  return value;
}

size_t cli_count(const troupe_value_t *list) {
  return list && troupe_value_kind(list) == TROUPE_ARRAY ? troupe_value_length(list) : 0;
}

void cli_print_json(cli_operate *op, const troupe_value_t *value) { cli_put_json(op->rt, value); }

void cli_put_json(troupe_t *rt, const troupe_value_t *value) {
  size_t length;
  char *json = troupe_value_to_json(rt, value, &length);
  if (json) cli_put_json_shown(json, length);
  troupe_free_text(rt, json, length);
}

/* ---- what is asked ---- */

void cli_set(troupe_value_t *map, troupe_t *rt, const char *key, const char *text) {
  if (text) troupe_value_set(map, key, troupe_pack(rt, "s", text));
}

void cli_set_number(troupe_value_t *map, troupe_t *rt, const char *key, double number) {
  troupe_value_set(map, key, troupe_pack(rt, "F", number));
}

void cli_set_list(troupe_value_t *map, troupe_t *rt, const char *key, const char *words) {
  char word[512];
  troupe_value_t *list = words ? troupe_value_array(rt) : NULL;
  while (list && *words) {
    size_t n = strcspn(words, ",");
    if (n && n < sizeof word) {
      memcpy(word, words, n);
      word[n] = 0;
      troupe_value_push(list, troupe_pack(rt, "s", word));
    }
    words += n + (words[n] == ',');
  }
  if (list) troupe_value_set(map, key, list);
}

int cli_take_body(cli_operate *op, troupe_value_t *map) {
  size_t length;
  char *json = troupe_value_to_json(op->rt, map, &length);
  bool good = json && length < sizeof op->body;
  if (good) memcpy(op->body, json, length + 1);
  troupe_free_text(op->rt, json, length);
  troupe_value_free(map);
  return good ? CLI_OK : cli_fail(CLI_USAGE, op->verb->name, "what is asked is too long, or not UTF-8");
}
