/* SPDX-License-Identifier: MIT
 * A snapshot: one checksummed file of named records, written from front to back and read record by record.
 *
 * A record has a kind ("state", "mail", "timer"), a key ("greeter/main"), a part ("" or a shard's name), a version
 * number and a body. Names need not be unique: those with one kind and key stand in the order in which they were added
 * (an agent's mail, its shards).
 *
 * THE FORMAT, version 1. All numbers are little-endian; a checksum is CRC32C; nothing is aligned or padded.
 *
 *   beginning, 16   0 magic "\x89TRS\r\n\x1a\n"      8 u32 format version    12 u32 checksum of bytes 0–11
 *   record, 32 + …  0 "RECD"   4 u32 checksum of bytes 8–31 and the names   8 u32 the record's version
 *                  12 u32 checksum of the body   16 u64 length of the body
 *                  24 u16 length of the kind (not 0)   26 u16 of the key   28 u16 of the part   30 u16 0
 *                  32 kind, key, part (UTF-8), then the body
 *   end, 40         0 "TAIL"   4 u32 checksum of bytes 8–39   8 u64 records   16 u64 length of the file, with this
 *                  24 u64 length of all bodies   32 u32 chain   36 u32 0
 *
 * The chain is a checksum over the checksums at 12 of the beginning and at 4 of each record. As those cover the bodies'
 * checksums, the end vouches for the whole file though a reader has seen no body: a record that is missing, doubled,
 * moved or from another file shows at once, a damaged body when it is read. The counts stand at the end since the
 * writer does not know them sooner. The beginning has this shape in every version to come. */
#ifndef TR_STORE_SNAPSHOT_H
#define TR_STORE_SNAPSHOT_H

#include "base/buf.h"
#include "base/error.h"
#include "store/source.h"

#define TR_SNAPSHOT_VERSION 1
#define TR_SNAPSHOT_NAME_MAX UINT16_MAX /* bytes of a kind, of a key, of a part */
#define TR_SNAPSHOT_NONE SIZE_MAX       /* no such record */

typedef struct tr_record {
  tr_slice kind, key, part; /* UTF-8 */
  uint32_t version;         /* of what is in the body */
  uint64_t size;            /* of the body; what is given to the writer here does not count */
} tr_record;

typedef struct tr_snapshot tr_snapshot;
typedef struct tr_snapshot_reader tr_snapshot_reader;

/* ---- writing ---- */

/* Takes all of `bytes` or fails with a code of the table. */
typedef int (*tr_write_fn)(void *ud, tr_slice bytes, tr_error *error);
/* A tr_write_fn that appends to the tr_buf `ud`. */
int tr_snapshot_write_buf(void *ud, tr_slice bytes, tr_error *error);

#ifdef TR_HOSTILE
#define TR_SNAPSHOT_HELD 23
#else
#define TR_SNAPSHOT_HELD 16384
#endif

/* In the caller's storage; allocates nothing and needs no _fini. After a failed write every call returns its code. */
typedef struct tr_snapshot_writer {
  tr_write_fn write;
  void *ud;
  int err;
  uint64_t size, count, bodies; /* bytes so far, records, bytes of bodies */
  uint32_t chain;
  size_t held; /* bytes that wait in the buffer, so that small records do not become small writes */
  uint8_t buffer[TR_SNAPSHOT_HELD];
} tr_snapshot_writer;

int tr_snapshot_writer_begin(tr_snapshot_writer *writer, tr_write_fn write, void *ud, tr_error *error);
/* own: borrows during the call. err: TR_EINVALID where a name is too long, not UTF-8, or the kind is empty: then
 * nothing was written and the writer goes on. */
int tr_snapshot_writer_add(tr_snapshot_writer *writer, const tr_record *record, tr_slice body, tr_error *error);
/* Takes record i over from an older snapshot as it stands: its bytes are copied, its body is checked and not
 * understood. err: also those of tr_snapshot_read; then nothing was written and the writer goes on (its err is still
 * 0). */
int tr_snapshot_writer_take(tr_snapshot_writer *writer, tr_snapshot_reader *from, size_t i, tr_error *error);
/* Without it what was written is no snapshot. */
int tr_snapshot_writer_end(tr_snapshot_writer *writer, tr_error *error);

/* ---- reading ---- */

/* Opens a snapshot: checks it but for the bodies, and indexes its names; bodies are read when asked for. A file stays
 * open, so it may be replaced meanwhile (file.h) and still be read. `seed`: for the index, as everywhere.
 * own: `bytes` are borrowed until tr_snapshot_free.
 * err: TR_EDATA_LOSS naming what and where; TR_EINVALID: of a newer format, or not a regular file; TR_ENOT_FOUND;
 * TR_EIO; TR_EMEMORY. thr: looking is for any number at once, and so is reading by readers of their own. */
int tr_snapshot_new(tr_mem *mem, tr_slice bytes, uint64_t seed, tr_snapshot **out, tr_error *error);
int tr_snapshot_new_file(tr_mem *mem, const char *path, uint64_t seed, tr_snapshot **out, tr_error *error);
void tr_snapshot_free(tr_snapshot *snapshot); /* NULL is fine */

size_t tr_snapshot_count(const tr_snapshot *snapshot);
uint64_t tr_snapshot_size(const tr_snapshot *snapshot); /* bytes of the file */
/* Record i of tr_snapshot_count, in the order of writing. The names live as long as the snapshot. */
tr_record tr_snapshot_at(const tr_snapshot *snapshot, size_t i);
/* The first at or after `from` of this kind (empty: of any), or TR_SNAPSHOT_NONE. */
size_t tr_snapshot_next(const tr_snapshot *snapshot, tr_slice kind, size_t from);
/* The first record of this name, or TR_SNAPSHOT_NONE. The cost does not depend on the number of records. */
size_t tr_snapshot_find(const tr_snapshot *snapshot, tr_slice kind, tr_slice key, tr_slice part);
/* The same whatever its part; then the next with the kind and key of record i. */
size_t tr_snapshot_find_key(const tr_snapshot *snapshot, tr_slice kind, tr_slice key);
size_t tr_snapshot_next_key(const tr_snapshot *snapshot, size_t i);

/* Every body, read and checked: the first failure. thr: as that of its tr_mem. */
int tr_snapshot_verify(const tr_snapshot *snapshot, tr_error *error);

/* Reads bodies; in the caller's storage, of one thread, finished before its snapshot is freed. Going through the
 * records in order is cheapest. It holds a piece of the file: the body read last, or some small ones. */
struct tr_snapshot_reader {
  const tr_snapshot *snapshot;
  tr_window window;
};
void tr_snapshot_reader_init(tr_snapshot_reader *reader, const tr_snapshot *snapshot, tr_mem *mem);
void tr_snapshot_reader_fini(tr_snapshot_reader *reader);
/* The body of record i, checked. own: *body lives until the next read. err: TR_EDATA_LOSS (other records may be sound),
 * TR_EIO, TR_EMEMORY. */
int tr_snapshot_read(tr_snapshot_reader *reader, size_t i, tr_slice *body, tr_error *error);

#endif
