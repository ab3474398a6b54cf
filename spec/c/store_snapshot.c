/* SPDX-License-Identifier: MIT
 * What is written is read; names are found; records are taken over; the format stays as it is written down. */
#include <stdio.h>

#include "store_kit.h"

/* Made by another program from the text in snapshot.h. */
static const char golden[] =
  "895452530d0a1a0a01000000d097371c524543443c287d8501000000c23597cc0b0000000000000005000f000000000073746174"
  "65677265657465722f64656661756c747b22636f756e74223a337d5245434474a3af52020000008099f163070000000000000005"
  "000f00070000007374617465677265657465722f64656661756c74686973746f72795b312c322c335d52454344f0848c35000000"
  "0050a13e8a050000000000000004000f00000000006d61696c677265657465722f64656661756c74666972737452454344b51b33"
  "250000000000000000000000000000000004000f00000000006d61696c677265657465722f64656661756c745245434423bdff23"
  "ffffffff5ef682860400000000000000050000000000000074696d65725469636b5441494cee699b4c05000000000000004d0100"
  "00000000001b00000000000000b1da38f400000000";

static tr_snapshot *open_bytes(tr_buf *bytes) {
  tr_snapshot *snapshot;
  WORKS(tr_snapshot_new(check_mem(), tr_buf_view(bytes), 1, &snapshot, &error));
  return snapshot;
}

static void check_samples(const tr_snapshot *snapshot) {
  tr_snapshot_reader reader;
  tr_snapshot_reader_init(&reader, snapshot, check_mem());
  CHECK_INT(tr_snapshot_count(snapshot), ==, SAMPLES);
  for (size_t i = 0; i < SAMPLES; i++) {
    tr_record record = tr_snapshot_at(snapshot, i);
    tr_slice body;
    CHECK_SLICE(record.kind, samples[i].kind);
    CHECK_SLICE(record.key, samples[i].key);
    CHECK_SLICE(record.part, samples[i].part);
    CHECK_INT(record.version, ==, samples[i].version);
    CHECK_INT(record.size, ==, strlen(samples[i].body));
    WORKS(tr_snapshot_read(&reader, i, &body, &error));
    CHECK_SLICE(body, samples[i].body);
  }
  tr_snapshot_reader_fini(&reader);
}

CHECK_CASE(snapshot_has_the_bytes_of_the_format) {
  tr_buf bytes = small_snapshot();
  char hex[sizeof golden] = "";
  for (size_t i = 0; i < bytes.len && i < sizeof golden / 2; i++) snprintf(hex + 2 * i, 3, "%02x", bytes.data[i]);
  CHECK_STR(hex, golden);
  CHECK_INT(bytes.len, ==, sizeof golden / 2);
  tr_buf_fini(&bytes);
}

CHECK_CASE(snapshot_is_read_from_bytes_and_from_a_file) {
  tr_buf bytes = small_snapshot();
  const char *path = path_of("state");
  tr_snapshot *snapshot = open_bytes(&bytes);
  check_samples(snapshot);
  CHECK_INT(tr_snapshot_size(snapshot), ==, bytes.len);
  tr_snapshot_free(snapshot);
  write_plainly(path, tr_buf_view(&bytes));
  WORKS(tr_snapshot_new_file(check_mem(), path, 1, &snapshot, &error));
  check_samples(snapshot);
  tr_snapshot_free(snapshot);
  tr_snapshot_free(NULL);
  tr_buf_fini(&bytes);
  remove_folder();
}

CHECK_CASE(snapshot_finds_names) {
  tr_buf bytes = small_snapshot();
  tr_snapshot *s = open_bytes(&bytes);
  tr_slice key = S("greeter/default");
  CHECK_INT(tr_snapshot_find(s, S("state"), key, S("")), ==, 0);
  CHECK_INT(tr_snapshot_find(s, S("state"), key, S("history")), ==, 1);
  CHECK_INT(tr_snapshot_find(s, S("mail"), key, S("")), ==, 2);
  CHECK_INT(tr_snapshot_find(s, S("timer"), S(""), S("")), ==, 4);
  CHECK_INT(tr_snapshot_find_key(s, S("state"), key), ==, 0);
  CHECK_INT(tr_snapshot_next_key(s, 0), ==, 1);
  CHECK(tr_snapshot_next_key(s, 1) == TR_SNAPSHOT_NONE);
  CHECK_INT(tr_snapshot_find_key(s, S("mail"), key), ==, 2);
  CHECK_INT(tr_snapshot_next_key(s, 2), ==, 3);
  CHECK(tr_snapshot_next_key(s, 3) == TR_SNAPSHOT_NONE);
  CHECK(tr_snapshot_find(s, S("state"), key, S("histor")) == TR_SNAPSHOT_NONE);
  CHECK(tr_snapshot_find(s, S("stategreeter"), S("/default"), S("")) == TR_SNAPSHOT_NONE);
  CHECK(tr_snapshot_find_key(s, S("state"), S("")) == TR_SNAPSHOT_NONE);
  CHECK(tr_snapshot_find_key(s, S(""), S("")) == TR_SNAPSHOT_NONE);
  tr_snapshot_free(s);
  tr_buf_fini(&bytes);
}

CHECK_CASE(snapshot_lists_by_kind) {
  tr_buf bytes = small_snapshot();
  tr_snapshot *s = open_bytes(&bytes);
  CHECK_INT(tr_snapshot_next(s, S("mail"), 0), ==, 2);
  CHECK_INT(tr_snapshot_next(s, S("mail"), 3), ==, 3);
  CHECK(tr_snapshot_next(s, S("mail"), 4) == TR_SNAPSHOT_NONE);
  CHECK_INT(tr_snapshot_next(s, S(""), 1), ==, 1);
  CHECK(tr_snapshot_next(s, S(""), 5) == TR_SNAPSHOT_NONE);
  CHECK(tr_snapshot_next(s, S("other"), 0) == TR_SNAPSHOT_NONE);
  tr_snapshot_free(s);
  tr_buf_fini(&bytes);
}

static void begin(tr_snapshot_writer *writer, tr_buf *out) {
  tr_buf_init(out, check_mem());
  WORKS(tr_snapshot_writer_begin(writer, tr_snapshot_write_buf, out, &error));
}

CHECK_CASE(snapshot_without_records) {
  tr_buf bytes;
  tr_snapshot_writer writer;
  begin(&writer, &bytes);
  WORKS(tr_snapshot_writer_end(&writer, &error));
  CHECK_INT(bytes.len, ==, 56);
  tr_snapshot *s = open_bytes(&bytes);
  CHECK_INT(tr_snapshot_count(s), ==, 0);
  CHECK(tr_snapshot_find(s, S("state"), S("a"), S("")) == TR_SNAPSHOT_NONE);
  CHECK(tr_snapshot_next(s, S(""), 0) == TR_SNAPSHOT_NONE);
  tr_snapshot_free(s);
  tr_buf_fini(&bytes);
}

CHECK_CASE(snapshot_names_have_bounds) {
  static char longest[TR_SNAPSHOT_NAME_MAX + 1];
  memset(longest, 'x', sizeof longest);
  tr_slice most = { longest, TR_SNAPSHOT_NAME_MAX }, more = { longest, TR_SNAPSHOT_NAME_MAX + 1 };
  tr_slice bad = S("\xff"), ok = S("a"), none = S("");
  tr_record all = { .kind = most, .key = most, .part = most }, few = { .kind = ok };
  tr_record wrong[] = { { .kind = none, .key = ok }, { .kind = more }, { .kind = ok, .key = more },
                        { .kind = ok, .part = more }, { .kind = bad }, { .kind = ok, .key = bad },
                        { .kind = ok, .part = bad } };
  const char *why[] = { "kind of a record is empty", "the kind", "the key", "the part", "kind of a record is not UTF-8",
                        "key of a record is not UTF-8", "part of a record is not UTF-8" };
  tr_buf bytes;
  tr_snapshot_writer writer;
  begin(&writer, &bytes);
  WORKS(tr_snapshot_writer_add(&writer, &all, ok, &error));
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    FAILS(TR_EINVALID, why[i], tr_snapshot_writer_add(&writer, &wrong[i], ok, &error));
  WORKS(tr_snapshot_writer_add(&writer, &few, none, &error));
  WORKS(tr_snapshot_writer_end(&writer, &error));
  CHECK_INT(tr_snapshot_writer_add(&writer, &few, none, NULL), ==, TR_EINVALID); /* it has ended */
  CHECK_INT(tr_snapshot_writer_end(&writer, NULL), ==, TR_EINVALID);
  const char *path = path_of("names");
  write_plainly(path, tr_buf_view(&bytes));
  tr_snapshot *s;
  WORKS(tr_snapshot_new_file(check_mem(), path, 1, &s, &error));
  CHECK_INT(tr_snapshot_find(s, most, most, most), ==, 0);
  CHECK_INT(tr_snapshot_find(s, ok, none, none), ==, 1);
  tr_snapshot_free(s);
  tr_buf_fini(&bytes);
  remove_folder();
}

/* ---- taking over ---- */

/* All of `old` but the mail, one state encoded anew. */
static tr_buf taken(const tr_snapshot *old) {
  tr_buf bytes;
  tr_snapshot_reader reader;
  tr_snapshot_writer writer;
  begin(&writer, &bytes);
  tr_snapshot_reader_init(&reader, old, check_mem());
  WORKS(tr_snapshot_writer_take(&writer, &reader, 0, &error));
  tr_record changed = tr_snapshot_at(old, 1);
  changed.version++;
  WORKS(tr_snapshot_writer_add(&writer, &changed, S("[4]"), &error));
  WORKS(tr_snapshot_writer_take(&writer, &reader, 4, &error));
  WORKS(tr_snapshot_writer_end(&writer, &error));
  tr_snapshot_reader_fini(&reader);
  return bytes;
}

static void check_taken(tr_buf *bytes) {
  tr_snapshot *s = open_bytes(bytes);
  tr_snapshot_reader reader;
  tr_slice body, key = S("greeter/default");
  tr_snapshot_reader_init(&reader, s, check_mem());
  CHECK_INT(tr_snapshot_count(s), ==, 3);
  WORKS(tr_snapshot_read(&reader, tr_snapshot_find(s, S("state"), key, S("")), &body, &error));
  CHECK_SLICE(body, "{\"count\":3}");
  WORKS(tr_snapshot_read(&reader, tr_snapshot_find(s, S("state"), key, S("history")), &body, &error));
  CHECK_SLICE(body, "[4]");
  CHECK_INT(tr_snapshot_at(s, 1).version, ==, 3);
  CHECK_INT(tr_snapshot_at(s, 2).version, ==, UINT32_MAX);
  tr_snapshot_reader_fini(&reader);
  tr_snapshot_free(s);
}

CHECK_CASE(snapshot_takes_records_over) {
  tr_buf old = small_snapshot();
  tr_snapshot *s = open_bytes(&old);
  tr_buf new = taken(s);
  check_taken(&new);
  tr_snapshot_free(s);
  tr_buf_fini(&new);
  const char *path = path_of("old");
  write_plainly(path, tr_buf_view(&old));
  WORKS(tr_snapshot_new_file(check_mem(), path, 1, &s, &error));
  new = taken(s);
  check_taken(&new);
  tr_snapshot_free(s);
  tr_buf_fini(&new);
  tr_buf_fini(&old);
  remove_folder();
}

CHECK_CASE(snapshot_does_not_take_a_damaged_record) {
  tr_buf old = small_snapshot(), bytes;
  tr_snapshot_writer writer;
  tr_snapshot *s = open_bytes(&old);
  tr_snapshot_reader reader;
  begin(&writer, &bytes);
  tr_snapshot_reader_init(&reader, s, check_mem());
  old.data[16 + 32 + 20] ^= 1; /* in the first body */
  FAILS(TR_EDATA_LOSS, "record 1 (state greeter/default)", tr_snapshot_writer_take(&writer, &reader, 0, &error));
  CHECK_INT(writer.err, ==, 0);
  WORKS(tr_snapshot_writer_take(&writer, &reader, 1, &error));
  WORKS(tr_snapshot_writer_end(&writer, &error));
  WORKS(read_all(tr_buf_view(&bytes), &error));
  tr_snapshot_reader_fini(&reader);
  tr_snapshot_free(s);
  tr_buf_fini(&bytes);
  tr_buf_fini(&old);
}

/* ---- large, and many ---- */

CHECK_CASE(snapshot_of_bodies_around_the_buffer_size_and_far_above) {
  size_t sizes[] = { TR_SNAPSHOT_HELD - 1, TR_SNAPSHOT_HELD, TR_SNAPSHOT_HELD + 1, 1, 0, 48u << 20, 3 };
  tr_buf bytes, big;
  tr_snapshot_writer writer;
  tr_buf_init(&big, check_mem());
  CHECK(tr_buf_reserve(&big, 48u << 20));
  for (size_t i = 0; i < 48u << 20; i++) big.data[i] = (uint8_t)(i * 31 >> 3);
  begin(&writer, &bytes);
  for (size_t i = 0; i < 7; i++) {
    tr_record record = { .kind = S("state"), .key = S("big/default") };
    WORKS(tr_snapshot_writer_add(&writer, &record, tr_slice_make(big.data + i, sizes[i] - (i == 5 ? i : 0)), &error));
  }
  WORKS(tr_snapshot_writer_end(&writer, &error));
  const char *path = path_of("big");
  WORKS(tr_file_replace(check_mem(), path, NULL, tr_buf_view(&bytes), &error));
  tr_buf_fini(&bytes);
  tr_snapshot *s;
  WORKS(tr_snapshot_new_file(check_mem(), path, 1, &s, &error));
  tr_snapshot_reader reader;
  tr_snapshot_reader_init(&reader, s, check_mem());
  size_t i = tr_snapshot_find_key(s, S("state"), S("big/default"));
  for (size_t k = 0; k < 7; k++, i = tr_snapshot_next_key(s, i)) {
    tr_slice body;
    CHECK_INT(i, ==, k);
    WORKS(tr_snapshot_read(&reader, i, &body, &error));
    CHECK(tr_slice_equal(body, tr_slice_make(big.data + k, sizes[k] - (k == 5 ? k : 0))));
  }
  CHECK(i == TR_SNAPSHOT_NONE);
  tr_snapshot_reader_fini(&reader);
  tr_snapshot_free(s);
  tr_buf_fini(&big);
  remove_folder();
}

#define MANY 100000

static void add_many(tr_snapshot_writer *writer) {
  for (int i = 0; i < MANY; i++) {
    char key[32], body[32];
    snprintf(key, sizeof key, "agent/%d", i);
    snprintf(body, sizeof body, "{\"n\":%d}", i);
    tr_record record = { .kind = S("state"), .key = S(key) };
    WORKS(tr_snapshot_writer_add(writer, &record, S(body), &error));
  }
}

CHECK_CASE(snapshot_of_many_small_records) {
  const char *path = path_of("many");
  tr_file *file;
  tr_snapshot_writer writer;
  tr_snapshot *s;
  tr_snapshot_reader reader;
  WORKS(tr_file_new(check_mem(), path, NULL, &file, &error));
  size_t used = check_mem()->used;
  WORKS(tr_snapshot_writer_begin(&writer, tr_file_write, file, &error));
  add_many(&writer);
  WORKS(tr_snapshot_writer_end(&writer, &error));
  CHECK_INT(check_mem()->used, ==, used); /* writing holds nothing */
  WORKS(tr_file_commit(file, &error));
  tr_file_free(file);
  WORKS(tr_snapshot_new_file(check_mem(), path, 1, &s, &error));
  CHECK_INT(tr_snapshot_count(s), ==, MANY);
  CHECK_INT(check_mem()->used, <, 100 * MANY);
  tr_snapshot_reader_init(&reader, s, check_mem());
  for (int i = 0; i < MANY; i += 7) {
    char key[32], body[32];
    tr_slice found;
    snprintf(key, sizeof key, "agent/%d", i);
    snprintf(body, sizeof body, "{\"n\":%d}", i);
    CHECK_INT(tr_snapshot_find(s, S("state"), S(key), S("")), ==, i);
    WORKS(tr_snapshot_read(&reader, (size_t)i, &found, &error));
    CHECK_SLICE(found, body);
  }
  tr_snapshot_reader_fini(&reader);
  tr_snapshot_free(s);
  remove_folder();
}

/* The piece of the file that a reader keeps: forward, backward, twice, far and near. */
CHECK_CASE(snapshot_is_read_in_any_order) {
  const char *path = path_of("state");
  static char text[70000];
  tr_buf bytes;
  tr_snapshot_writer writer;
  begin(&writer, &bytes);
  for (size_t i = 0; i < 200; i++) {
    tr_record record = { .kind = S("state"), .key = S("a/b") };
    memset(text, (int)i, sizeof text);
    WORKS(tr_snapshot_writer_add(&writer, &record, tr_slice_make(text, i % 40 ? i * 7 : i * 350), &error));
  }
  WORKS(tr_snapshot_writer_end(&writer, &error));
  write_plainly(path, tr_buf_view(&bytes));
  tr_snapshot *s;
  tr_snapshot_reader reader;
  WORKS(tr_snapshot_new_file(check_mem(), path, 1, &s, &error));
  tr_snapshot_reader_init(&reader, s, check_mem());
  for (size_t step = 0; step < 200; step++)
    for (size_t i = 0, k = 0; k < 50; k++, i = (i + step) % 200) {
      tr_slice body;
      WORKS(tr_snapshot_read(&reader, i, &body, &error));
      memset(text, (int)i, body.n);
      CHECK_INT(body.n, ==, i % 40 ? i * 7 : i * 350);
      CHECK(tr_slice_equal(body, tr_slice_make(text, body.n)));
    }
  tr_snapshot_reader_fini(&reader);
  tr_snapshot_free(s);
  tr_buf_fini(&bytes);
  remove_folder();
}

/* One agent with so many shards, and so much mail: finding one costs no walk along the others. */
CHECK_CASE(snapshot_of_many_shards_of_one_agent) {
  tr_buf bytes;
  tr_snapshot_writer writer;
  begin(&writer, &bytes);
  for (int i = 0; i < MANY; i++) {
    char part[32];
    snprintf(part, sizeof part, "%d", i);
    tr_record shard = { .kind = S("state"), .key = S("a/b"), .part = S(part) };
    tr_record mail = { .kind = S("mail"), .key = S("a/b") };
    WORKS(tr_snapshot_writer_add(&writer, &shard, S(""), &error));
    WORKS(tr_snapshot_writer_add(&writer, &mail, S(""), &error));
  }
  WORKS(tr_snapshot_writer_end(&writer, &error));
  tr_snapshot *s = open_bytes(&bytes);
  size_t count = 0, last = 0;
  for (int i = 0; i < MANY; i++) {
    char part[32];
    snprintf(part, sizeof part, "%d", i);
    CHECK_INT(tr_snapshot_find(s, S("state"), S("a/b"), S(part)), ==, 2 * i);
  }
  for (size_t i = tr_snapshot_find_key(s, S("mail"), S("a/b")); i != TR_SNAPSHOT_NONE; i = tr_snapshot_next_key(s, i)) {
    CHECK(count == 0 || i > last);
    last = i;
    count++;
  }
  CHECK_INT(count, ==, MANY);
  tr_snapshot_free(s);
  tr_buf_fini(&bytes);
}
