/* SPDX-License-Identifier: MIT
 * Maps, names, buffers, blobs and the allocator's front. */
#include <stdio.h>

#include "base/blob.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/log.h"
#include "base/map.h"
#include "base/names.h"
#include "base/text.h"
#include "check.h"

CHECK_CASE(a_hash_depends_on_every_byte_and_on_the_seed) {
  char text[64];
  memset(text, 'x', sizeof text);
  for (size_t n = 0; n < sizeof text; n++) {
    uint32_t hash = tr_hash(1, tr_slice_make(text, n));
    CHECK(hash != tr_hash(2, tr_slice_make(text, n)));
    CHECK(hash != tr_hash(1, tr_slice_make(text, n + 1)));
    for (size_t i = 0; i < n; i++) {
      text[i] = 'y';
      CHECK(hash != tr_hash(1, tr_slice_make(text, n)));
      text[i] = 'x';
    }
  }
}

CHECK_CASE(hashes_of_prefixes_equal_those_of_the_prefixes) {
  const char *text = "one.two.three.four.five.six.seven";
  tr_hasher hasher;
  tr_hasher_init(&hasher, 99);
  for (size_t n = 0; n <= strlen(text); n += n % 3 == 0 ? 1 : 2)
    CHECK_INT(tr_hasher_prefix(&hasher, text, n), ==, tr_hash(99, tr_slice_make(text, n)));
}

/* Against an array, with random puts and removes. */
CHECK_CASE(a_map_agrees_with_a_plain_array) {
  enum { KEYS = 200 };
  static char keys[KEYS][16];
  static int values[KEYS][2];
  int *model[KEYS] = { 0 };
  tr_map map;
  tr_random random;
  tr_random_init(&random, 1);
  tr_map_init(&map, check_mem(), 5);
  CHECK(tr_map_get(&map, tr_slice_of("k")) == NULL);
  CHECK(tr_map_remove(&map, tr_slice_of("k")) == NULL);
  for (int i = 0; i < KEYS; i++) snprintf(keys[i], sizeof keys[i], "k%d", i);
  for (int round = 0; round < 20000; round++) {
    int i = (int)(tr_random_next(&random) % KEYS);
    tr_slice key = tr_slice_of(keys[i]);
    void *old = &old;
    if (tr_random_next(&random) % 2) {
      int *value = &values[i][tr_random_next(&random) % 2];
      CHECK_INT(tr_map_put(&map, key, value, &old), ==, 0);
      CHECK(old == model[i]);
      model[i] = value;
    } else {
      CHECK(tr_map_remove(&map, key) == model[i]);
      model[i] = NULL;
    }
    int live = 0;
    for (int k = 0; k < KEYS; k++) live += model[k] != NULL;
    CHECK_INT(map.count, ==, live);
  }
  for (int i = 0; i < KEYS; i++) CHECK(tr_map_get(&map, tr_slice_of(keys[i])) == model[i]);
  CHECK_INT(map.cap, <=, 1024); /* tombstones do not make it grow */
  tr_map_fini(&map);
}

CHECK_CASE(a_map_may_lose_entries_while_it_is_walked) {
  static char keys[100][16];
  tr_map map;
  size_t at = 0, seen = 0;
  tr_slice key;
  void *value;
  tr_map_init(&map, check_mem(), 5);
  for (int i = 0; i < 100; i++) {
    snprintf(keys[i], sizeof keys[i], "k%d", i);
    CHECK_INT(tr_map_put(&map, tr_slice_of(keys[i]), keys[i], NULL), ==, 0);
  }
  while (tr_map_next(&map, &at, &key, &value)) {
    CHECK(key.p == value);
    CHECK(tr_map_remove(&map, key) == value);
    seen++;
  }
  CHECK_INT(seen, ==, 100);
  CHECK_INT(map.count, ==, 0);
  tr_map_fini(&map);
}

CHECK_CASE(a_map_without_memory_says_so_and_stays_whole) {
  CHECK_EACH_ALLOCATION_FAILS {
    static char keys[50][16];
    tr_map map;
    int put = 0;
    tr_map_init(&map, check_mem(), 5);
    for (int i = 0; i < 50; i++) {
      snprintf(keys[i], sizeof keys[i], "k%d", i);
      int err = tr_map_put(&map, tr_slice_of(keys[i]), keys[i], NULL);
      if (err) CHECK(err == TR_EMEMORY && check_mem_refused());
      put += !err;
      CHECK((tr_map_get(&map, tr_slice_of(keys[i])) != NULL) == !err);
    }
    CHECK_INT(map.count, ==, put);
    tr_map_fini(&map);
  }
}

CHECK_CASE(equal_names_are_one_and_unused_ones_go) {
  tr_names *names = tr_names_new(check_mem(), 3);
  tr_name *a = tr_name_new(names, tr_slice_of("alpha")), *b = tr_name_new(names, tr_slice_of("alpha"));
  tr_name *empty = tr_name_new(names, tr_slice_make(NULL, 0));
  CHECK(a == b);
  CHECK_INT(a->refs, ==, 2);
  CHECK(empty != a);
  CHECK(tr_name_find(names, tr_slice_of("alpha")) == a);
  CHECK(tr_name_find(names, tr_slice_of("beta")) == NULL);
  CHECK_INT(tr_names_count(names), ==, 2);
  tr_name_unref(a);
  CHECK(tr_name_find(names, tr_slice_of("alpha")) == a);
  tr_name_unref(b);
  CHECK(tr_name_find(names, tr_slice_of("alpha")) == NULL);
  tr_name_unref(empty);
  tr_name_unref(NULL);
  CHECK_INT(tr_names_count(names), ==, 0);
  tr_names_free(names);
}

CHECK_CASE(names_outlive_their_table_and_take_it_along) {
  tr_names *names = tr_names_new(check_mem(), 3);
  tr_name *a = tr_name_new(names, tr_slice_of("alpha")), *b = tr_name_new(names, tr_slice_of("beta"));
  tr_names_free(names);
  tr_name_unref(a);
  CHECK_STR(b->text, "beta");
  tr_name_unref(b); /* nothing leaks: the case's end checks it */
}

CHECK_CASE(a_million_names_come_and_go_without_a_trace) {
  static tr_name *held[5000];
  tr_names *names = tr_names_new(check_mem(), 3);
  size_t before = check_mem()->used;
  for (int i = 0; i < 5000; i++) {
    char text[16];
    snprintf(text, sizeof text, "n%d", i);
    held[i] = tr_name_new(names, tr_slice_of(text));
  }
  for (int i = 0; i < 5000; i++) tr_name_unref(held[i]);
  CHECK_INT(check_mem()->used, <, before + 4096);
  tr_names_free(names);
}

CHECK_CASE(a_buffer_grows_and_remembers_that_it_could_not) {
  CHECK_EACH_ALLOCATION_FAILS {
    tr_buf buf;
    tr_buf_init(&buf, check_mem());
    for (int i = 0; i < 300; i++) tr_buf_byte(&buf, (uint8_t)i);
    tr_buf_text(&buf, "text");
    tr_buf_printf(&buf, "%s %d", "formatted", 12);
    CHECK(buf.failed == check_mem_refused());
    if (!buf.failed) {
      CHECK_INT(buf.len, ==, 300 + 4 + 12);
      CHECK_MEM(buf.data + 300, 16, "textformatted 12", 16);
      tr_buf_consume(&buf, 304);
      CHECK_SLICE(tr_buf_view(&buf), "formatted 12");
      tr_buf_consume(&buf, 1000);
      CHECK_INT(buf.len, ==, 0);
    } else {
      CHECK(!tr_buf_text(&buf, "more")); /* nothing after a hole */
      size_t held = buf.len;
      tr_buf_byte(&buf, 1);
      CHECK_INT(buf.len, ==, held);
      tr_buf_clear(&buf);
      CHECK(!buf.failed);
    }
    tr_buf_fini(&buf);
  }
}

CHECK_CASE(a_reservation_beyond_all_memory_fails_and_does_not_wrap_round) {
  tr_buf buf;
  tr_buf_init(&buf, check_mem());
  CHECK(tr_buf_text(&buf, "x"));
  CHECK(!tr_buf_reserve(&buf, SIZE_MAX - 1));
  CHECK(buf.failed);
  tr_buf_fini(&buf);
  CHECK(tr_calloc(check_mem(), SIZE_MAX / 2, 3) == NULL);
  CHECK(tr_strndup(check_mem(), "", SIZE_MAX) == NULL);
  CHECK(tr_blob_new(check_mem(), SIZE_MAX) == NULL);
}

CHECK_CASE(a_blob_lives_as_long_as_its_last_reference) {
  tr_blob *blob = tr_blob_copy(check_mem(), tr_slice_of("bytes"));
  tr_blob *again = tr_blob_ref(blob), *empty = tr_blob_new(check_mem(), 0);
  tr_blob_unref(blob);
  CHECK_SLICE(tr_blob_view(again), "bytes");
  tr_blob_unref(again);
  tr_blob_unref(empty);
  tr_blob_unref(NULL);
  CHECK_INT(check_mem_blocks(), ==, 0);
}

CHECK_CASE(the_allocator_counts_what_is_in_use) {
  tr_mem *mem = check_mem();
  void *none = tr_alloc(mem, 0), *some = tr_calloc(mem, 10, 10);
  CHECK_INT(mem->used, ==, 101); /* nothing counts as one byte */
  some = tr_realloc(mem, some, 100, 30);
  CHECK_INT(mem->used, ==, 31);
  some = tr_realloc(mem, some, 30, 60);
  CHECK_INT(mem->used, ==, 61);
  tr_free(mem, some, 60);
  tr_free(mem, none, 0);
  tr_free(mem, NULL, 7);
  CHECK_INT(mem->used, ==, 0);
}

static char logged[4096];
static void sink(void *ud, tr_log_level level, const char *event, const char *text) {
  snprintf(ud, sizeof logged, "%s %s %s", tr_log_level_name(level), event, text);
}

CHECK_CASE(a_log_line_is_one_line_and_only_made_when_wanted) {
  static char huge[5000];
  tr_log log = { TR_LOG_INFO, sink, logged };
  tr_log_write(&log, TR_LOG_INFO, "agent.made", "key=%s", "a\nb\tc\x7f");
  CHECK_STR(logged, "info agent.made key=a\\nb\\tc\\x7f");
  tr_log_write(&log, TR_LOG_DEBUG, "unwanted", "x");
  CHECK_STR(logged, "info agent.made key=a\\nb\\tc\\x7f");
  tr_log_write(NULL, TR_LOG_ERROR, "nobody", "x");
  memset(huge, 'x', sizeof huge - 1);
  tr_log_write(&log, TR_LOG_ERROR, "long", "%s", huge);
  CHECK_INT(strlen(logged), <, 2100);
  log.sink = NULL;
  tr_log_write(&log, TR_LOG_ERROR, "silent", "x");
}
