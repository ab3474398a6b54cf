/* SPDX-License-Identifier: MIT
 * Fuzz target: any bytes as a snapshot. The first byte chooses:
 *   bit 0  checksums, chain and counts are mended first, so that what lies behind them is reached
 *   bit 1  the bytes are read from a file, not from memory
 * What can be opened is listed, looked up and read; what can be read is taken over into a new snapshot, which must open
 * and hold the same. The memory for it all is bounded by the size. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* One record at p: its tag and checksums as they should be. Returns its size. */
static size_t mend_record(uint8_t *p, size_t room, uint64_t *bodies, uint32_t *chain) {
  size_t names = HEAD_SIZE + tr_get16(p + HEAD_KIND) + tr_get16(p + HEAD_KEY) + tr_get16(p + HEAD_PART);
  if (names > room) return room;
  size_t body = (size_t)least(tr_get64(p + HEAD_BODY), room - names);
  if (room - names - body < HEAD_SIZE) body = room - names; /* the last one */
  tr_put32(p + HEAD_TAG, TAG_RECORD);
  tr_put64(p + HEAD_BODY, body);
  if (p[HEAD_VERSION] & 1) tr_put32(p + HEAD_BODY_CRC, tr_crc32c(0, tr_slice_make(p + names, body)));
  tr_put32(p + HEAD_CRC, tr_crc32c(0, tr_slice_make(p + HEAD_CHECKED, names - HEAD_CHECKED)));
  *chain = tr_chain(*chain, tr_get32(p + HEAD_CRC));
  *bodies += body;
  return names + body;
}

static void mend(uint8_t *p, size_t size) {
  if (size < BEGIN_SIZE + END_SIZE) return;
  memcpy(p, MAGIC.p, MAGIC.n);
  tr_put32(p + BEGIN_CRC, tr_crc32c(0, tr_slice_make(p, BEGIN_CRC)));
  uint32_t chain = tr_chain(0, tr_get32(p + BEGIN_CRC));
  uint64_t count = 0, bodies = 0;
  size_t at = BEGIN_SIZE;
  for (; size - END_SIZE - at >= HEAD_SIZE; count++) at += mend_record(p + at, size - END_SIZE - at, &bodies, &chain);
  uint8_t *end = p + size - END_SIZE;
  bool keep = end[END_SIZE - 1] & 1; /* the counts as they came */
  tr_put32(end + END_TAG, TAG_END);
  if (!keep) tr_put64(end + END_COUNT, count);
  if (!keep) tr_put64(end + END_BODIES, bodies);
  if (!keep) tr_put32(end + END_CHAIN, chain);
  tr_put64(end + END_TOTAL, size);
  tr_put32(end + END_CRC, tr_crc32c(0, tr_slice_make(end + END_CHECKED, END_SIZE - END_CHECKED)));
}

static int open_from(tr_mem *mem, tr_slice bytes, bool file, tr_snapshot **out, tr_error *error) {
  if (!file) return tr_snapshot_new(mem, bytes, 5, out, error);
  char path[] = "/dev/shm/troupe-fuzz-XXXXXX";
  int fd = mkstemp(path);
  if (fd < 0 || write(fd, bytes.p, bytes.n) != (ssize_t)bytes.n) abort();
  close(fd);
  int err = tr_snapshot_new_file(mem, path, 5, out, error);
  unlink(path);
  return err;
}

static void look_up(const tr_snapshot *s) {
  for (size_t i = 0; i < tr_snapshot_count(s); i++) {
    tr_record record = tr_snapshot_at(s, i);
    size_t found = tr_snapshot_find(s, record.kind, record.key, record.part);
    size_t key = tr_snapshot_find_key(s, record.kind, record.key), next = tr_snapshot_next_key(s, i);
    if (found > i || key > found || (next != TR_SNAPSHOT_NONE && next <= i)) abort();
    if (tr_snapshot_next(s, record.kind, i) != i) abort();
  }
}

/* Takes over what is sound; the number of records taken. */
static size_t take_over(tr_mem *mem, const tr_snapshot *s, tr_buf *out) {
  tr_snapshot_writer writer;
  tr_snapshot_reader reader;
  size_t taken = 0;
  tr_snapshot_reader_init(&reader, s, mem);
  if (tr_snapshot_writer_begin(&writer, tr_snapshot_write_buf, out, NULL)) abort();
  for (size_t i = 0; i < tr_snapshot_count(s); i++) {
    int err = tr_snapshot_writer_take(&writer, &reader, i, NULL);
    if ((err && err != TR_EDATA_LOSS) || writer.err) abort();
    taken += !err;
  }
  if (tr_snapshot_writer_end(&writer, NULL)) abort();
  if ((taken == tr_snapshot_count(s)) != (tr_snapshot_verify(s, NULL) == 0)) abort();
  tr_snapshot_reader_fini(&reader);
  return taken;
}

static void use(tr_mem *mem, const tr_snapshot *s) {
  tr_buf out;
  tr_snapshot *again;
  look_up(s);
  tr_buf_init(&out, mem);
  size_t taken = take_over(mem, s, &out);
  if (tr_snapshot_new(mem, tr_buf_view(&out), 6, &again, NULL) || tr_snapshot_verify(again, NULL)) abort();
  if (tr_snapshot_count(again) != taken) abort();
  if (taken == tr_snapshot_count(s) && out.len != tr_snapshot_size(s)) abort();
  tr_snapshot_free(again);
  tr_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  tr_mem mem;
  tr_error error;
  tr_snapshot *snapshot;
  tr_mem_init(&mem);
  tr_error_init(&error);
  uint8_t choice = data[0], *copy = malloc(size - 1 ? size - 1 : 1);
  memcpy(copy, data + 1, size - 1);
  if (choice & 1) mend(copy, size - 1);
  int err = open_from(&mem, tr_slice_make(copy, size - 1), choice & 2, &snapshot, &error);
  if ((err != 0) != (error.code != 0) || (err && err != TR_EDATA_LOSS && err != TR_EINVALID)) abort();
  if (mem.used > 4 * size + 4096) abort();
  if (!err) use(&mem, snapshot);
  tr_snapshot_free(snapshot);
  if (mem.used) abort();
  free(copy);
  return 0;
}
