/* SPDX-License-Identifier: MIT
 * Damage: whatever is cut, flipped, added, moved or made up is noticed and named, and reading goes nowhere else. */
#include <fcntl.h>
#include <unistd.h>

#include "store/format.h"
#include "store_kit.h"

static void noticed(tr_slice bytes, size_t at) {
  tr_error error;
  tr_error_init(&error);
  int err = read_all(bytes, &error);
  if (err != TR_EDATA_LOSS || error.code != err || !strstr(error.text, "is damaged at byte "))
    CHECK_FAIL("at %zu: %d \"%s\"", at, err, error.text);
}

static void noticed_in_file(const char *path, size_t at) {
  tr_error error;
  tr_error_init(&error);
  int err = read_all_of_file(path, &error);
  if (err != TR_EDATA_LOSS || error.code != err || !strstr(error.text, "damaged is damaged at byte "))
    CHECK_FAIL("at %zu: %d \"%s\"", at, err, error.text);
}

CHECK_CASE(damage_a_cut_at_every_byte) {
  tr_buf whole = small_snapshot();
  const char *path = path_of("damaged");
  write_plainly(path, tr_buf_view(&whole));
  WORKS(read_all(tr_buf_view(&whole), &error));
  WORKS(read_all_of_file(path, &error));
  for (size_t n = whole.len; n-- > 0;) {
    CHECK_INT(truncate(path, (off_t)n), ==, 0);
    noticed_in_file(path, n);
    tr_buf cut; /* a block of its own, so that a read beyond its end shows */
    tr_buf_init(&cut, check_mem());
    tr_buf_append(&cut, whole.data, n);
    noticed(tr_buf_view(&cut), n);
    if (n) noticed(tr_slice_make(whole.data + n, whole.len - n), n); /* and at its front */
    tr_buf_fini(&cut);
  }
  tr_buf_fini(&whole);
  remove_folder();
}

CHECK_CASE(damage_a_bit_flipped_at_every_bit) {
  tr_buf whole = small_snapshot();
  const char *path = path_of("damaged");
  write_plainly(path, tr_buf_view(&whole));
  int fd = open(path, O_WRONLY);
  CHECK(fd >= 0);
  for (size_t bit = 0; bit < 8 * whole.len; bit++) {
    uint8_t *byte = &whole.data[bit / 8];
    *byte ^= (uint8_t)(1 << bit % 8);
    CHECK_INT(pwrite(fd, byte, 1, (off_t)(bit / 8)), ==, 1);
    noticed(tr_buf_view(&whole), bit);
    noticed_in_file(path, bit);
    *byte ^= (uint8_t)(1 << bit % 8);
    CHECK_INT(pwrite(fd, byte, 1, (off_t)(bit / 8)), ==, 1);
  }
  close(fd);
  WORKS(read_all(tr_buf_view(&whole), &error));
  WORKS(read_all_of_file(path, &error));
  tr_buf_fini(&whole);
  remove_folder();
}

CHECK_CASE(damage_a_byte_added_or_lost_anywhere) {
  tr_buf whole = small_snapshot();
  for (size_t at = 0; at <= whole.len; at++) {
    tr_buf other;
    tr_buf_init(&other, check_mem());
    tr_buf_append(&other, whole.data, at);
    tr_buf_byte(&other, at ? whole.data[at - 1] : 0);
    tr_buf_append(&other, whole.data + at, whole.len - at);
    noticed(tr_buf_view(&other), at);
    tr_buf_clear(&other);
    tr_buf_append(&other, whole.data, at);
    if (at < whole.len) tr_buf_append(&other, whole.data + at + 1, whole.len - at - 1);
    if (at < whole.len) noticed(tr_buf_view(&other), at);
    tr_buf_fini(&other);
  }
  tr_buf_fini(&whole);
}

CHECK_CASE(damage_a_page_of_zeroes_anywhere) {
  tr_buf whole = small_snapshot();
  for (size_t at = 0; at < whole.len; at++)
    for (size_t n = 4; n <= 256; n *= 2) {
      tr_buf other;
      tr_buf_init(&other, check_mem());
      tr_buf_append(&other, whole.data, whole.len);
      memset(other.data + at, 0, whole.len - at < n ? whole.len - at : n);
      if (!tr_slice_equal(tr_buf_view(&other), tr_buf_view(&whole))) noticed(tr_buf_view(&other), at);
      tr_buf_fini(&other);
    }
  tr_buf_fini(&whole);
}

/* Where the records begin; the last is where the end does. */
static void starts(const tr_buf *whole, size_t at[SAMPLES + 1]) {
  size_t i = 0;
  for (at[0] = BEGIN_SIZE; i < SAMPLES; i++) {
    const uint8_t *head = whole->data + at[i];
    at[i + 1] = at[i] + HEAD_SIZE + tr_get16(head + HEAD_KIND) + tr_get16(head + HEAD_KEY) +
                tr_get16(head + HEAD_PART) + (size_t)tr_get64(head + HEAD_BODY);
  }
}

/* The snapshot with these records of `whole` (indices, ended by -1) and an end that fits their number and sizes. */
static void arranged(const tr_buf *whole, const int *which, bool mend) {
  size_t at[SAMPLES + 1];
  uint8_t end[END_SIZE];
  tr_buf other;
  uint64_t count = 0, bodies = 0;
  starts(whole, at);
  tr_buf_init(&other, check_mem());
  tr_buf_append(&other, whole->data, BEGIN_SIZE);
  for (; *which >= 0; which++, count++) {
    tr_buf_append(&other, whole->data + at[*which], at[*which + 1] - at[*which]);
    bodies += tr_get64(whole->data + at[*which] + HEAD_BODY);
  }
  memcpy(end, whole->data + at[SAMPLES], END_SIZE);
  if (mend) {
    tr_put64(end + END_COUNT, count);
    tr_put64(end + END_TOTAL, other.len + END_SIZE);
    tr_put64(end + END_BODIES, bodies);
    tr_put32(end + END_CRC, tr_crc32c(0, tr_slice_make(end + END_CHECKED, END_SIZE - END_CHECKED)));
  }
  tr_buf_append(&other, end, END_SIZE);
  noticed(tr_buf_view(&other), count);
  tr_buf_fini(&other);
}

/* Each record is sound, and so are the counts: it is the chain that tells. */
CHECK_CASE(damage_records_moved_doubled_or_missing) {
  tr_buf whole = small_snapshot();
  static const int orders[][SAMPLES + 2] = { { 1, 0, 2, 3, 4, -1 }, { 0, 1, 3, 2, 4, -1 }, { 0, 1, 2, 3, -1 },
                                             { 1, 2, 3, 4, -1 }, { 0, 1, 2, 3, 4, 4, -1 }, { 0, 0, 2, 3, 4, -1 },
                                             { -1 } };
  for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
    arranged(&whole, orders[i], false);
    arranged(&whole, orders[i], true);
  }
  tr_buf_fini(&whole);
}

CHECK_CASE(damage_of_one_body_leaves_the_others) {
  tr_buf whole = small_snapshot();
  size_t at[SAMPLES + 1];
  tr_snapshot *s;
  tr_snapshot_reader reader;
  starts(&whole, at);
  whole.data[at[2] - 1] ^= 0x10; /* the last byte of the second body */
  WORKS(tr_snapshot_new(check_mem(), tr_buf_view(&whole), 1, &s, &error));
  tr_snapshot_reader_init(&reader, s, check_mem());
  for (size_t i = 0; i < SAMPLES; i++) {
    tr_slice body;
    if (i != 1) WORKS(tr_snapshot_read(&reader, i, &body, &error));
    else
      FAILS(TR_EDATA_LOSS, "the 7 bytes of record 2 (state greeter/default history)",
            tr_snapshot_read(&reader, i, &body, &error));
  }
  FAILS(TR_EDATA_LOSS, "record 2", tr_snapshot_verify(s, &error));
  tr_snapshot_reader_fini(&reader);
  tr_snapshot_free(s);
  tr_buf_fini(&whole);
}

static void seal_beginning(tr_buf *whole) {
  tr_put32(whole->data + BEGIN_CRC, tr_crc32c(0, tr_slice_make(whole->data, BEGIN_CRC)));
}

CHECK_CASE(damage_is_not_what_a_newer_format_is) {
  tr_buf whole = small_snapshot();
  tr_put32(whole.data + BEGIN_VERSION, 2);
  FAILS(TR_EDATA_LOSS, "its beginning", read_all(tr_buf_view(&whole), &error));
  seal_beginning(&whole);
  FAILS(TR_EINVALID, "the snapshot is a snapshot of format 2; this version reads format 1 (a newer version is needed)",
        read_all(tr_buf_view(&whole), &error));
  FAILS(TR_EINVALID, "format 2", read_all(tr_slice_make(whole.data, BEGIN_SIZE), &error)); /* whatever follows */
  tr_put32(whole.data + BEGIN_VERSION, 0);
  seal_beginning(&whole);
  FAILS(TR_EINVALID, "format 0", read_all(tr_buf_view(&whole), &error));
  tr_buf_fini(&whole);
}

static void seal_end(tr_buf *whole) {
  uint8_t *end = whole->data + whole->len - END_SIZE;
  tr_put32(end + END_CRC, tr_crc32c(0, tr_slice_make(end + END_CHECKED, END_SIZE - END_CHECKED)));
}

/* Somebody who can compute checksums: counts beyond all bounds cost no memory. */
CHECK_CASE(damage_made_up_counts) {
  static const uint64_t wild[] = { 0, 1, 6, 7, 1000, 100000, UINT32_MAX, UINT64_MAX / 32, UINT64_MAX };
  static const size_t places[] = { END_COUNT, END_BODIES, END_TOTAL };
  tr_buf whole = small_snapshot();
  for (size_t p = 0; p < 3; p++)
    for (size_t i = 0; i < sizeof wild / sizeof *wild; i++) {
      uint8_t *place = whole.data + whole.len - END_SIZE + places[p];
      uint64_t before = tr_get64(place);
      tr_put64(place, wild[i]);
      seal_end(&whole);
      noticed(tr_buf_view(&whole), i);
      tr_put64(place, before);
    }
  seal_end(&whole);
  WORKS(read_all(tr_buf_view(&whole), &error));
  tr_buf_fini(&whole);
}

CHECK_CASE(damage_made_up_lengths) {
  static const uint64_t wild[] = { 0, 12, 333, UINT32_MAX, UINT64_MAX - 100, UINT64_MAX };
  tr_buf whole = small_snapshot();
  uint8_t *head = whole.data + BEGIN_SIZE;
  size_t names = HEAD_SIZE + strlen("stategreeter/default");
  for (size_t i = 0; i < sizeof wild / sizeof *wild; i++) {
    tr_put64(head + HEAD_BODY, wild[i]);
    tr_put32(head + HEAD_CRC, tr_crc32c(0, tr_slice_make(head + HEAD_CHECKED, names - HEAD_CHECKED)));
    noticed(tr_buf_view(&whole), i);
  }
  tr_buf_fini(&whole);
}

CHECK_CASE(damage_names_that_are_not_utf8) {
  tr_buf whole = small_snapshot();
  uint8_t *head = whole.data + BEGIN_SIZE;
  size_t names = HEAD_SIZE + strlen("stategreeter/default");
  head[HEAD_SIZE + 7] = 0xC0;
  tr_put32(head + HEAD_CRC, tr_crc32c(0, tr_slice_make(head + HEAD_CHECKED, names - HEAD_CHECKED)));
  FAILS(TR_EDATA_LOSS, "damaged at byte 16: the head of record 1", read_all(tr_buf_view(&whole), &error));
  tr_buf_fini(&whole);
}

CHECK_CASE(damage_a_file_cut_while_it_is_open) {
  tr_buf whole = small_snapshot();
  tr_snapshot_reader reader;
  const char *path = path_of("damaged");
  tr_snapshot *s;
  tr_slice body;
  write_plainly(path, tr_buf_view(&whole));
  WORKS(tr_snapshot_new_file(check_mem(), path, 1, &s, &error));
  size_t at[SAMPLES + 1];
  starts(&whole, at);
  CHECK_INT(truncate(path, (off_t)at[1] + 5), ==, 0);
  tr_snapshot_reader_init(&reader, s, check_mem());
  WORKS(tr_snapshot_read(&reader, 0, &body, &error)); /* though reading ahead meets the cut */
  FAILS(TR_EDATA_LOSS, "cut while", tr_snapshot_read(&reader, 1, &body, &error));
  FAILS(TR_EDATA_LOSS, "cut while", tr_snapshot_verify(s, &error));
  tr_snapshot_reader_fini(&reader);
  tr_snapshot_free(s);
  tr_buf_fini(&whole);
  remove_folder();
}
