/* SPDX-License-Identifier: MIT
 * Lua's memory: small blocks from free lists by size, the rest from the core's tr_mem; counted, with an optional limit, and each block
 * charged to the agent that made it.
 *
 * A message is a few tables, so allocation is a fifth of its cost with malloc. Blocks up to SMALL_MAX bytes are rounded
 * up to 16 and kept in lists, carved from chunks that are given back when the state closes: a list costs two loads.
 * Under AddressSanitizer, and in the hostile build, every block is its own, so that errors show and each allocation can
 * be made to fail.
 *
 * In front of each block stand eight bytes that say whose it is: the number of an account. They are free for most (a table has 56 bytes,
 * a map of four fields 96), and without them a release would be credited to whoever happens to run the collector. A message's body has
 * an account of its own, a *parcel*, which hangs below the receiver's account from the moment it takes the body; so it is never the
 * sender who pays for what others keep. An agent that is gone leaves its account to what is left of its blocks; with the last of them the
 * account's number is free again. Next: limit.c, which says what happens to those who have too much. */
#include "script/internal.h"

#define CHUNK 16384u
#define BLOCK_MAX (SIZE_MAX / 8)
#define LARGE (256u << 10)
#define HEAD sizeof(tr_block_head)

#if defined(__SANITIZE_ADDRESS__) || defined(TR_HOSTILE)
#define SMALL_MAX 0u
#else
#define SMALL_MAX (16u * TR_SIZE_CLASSES)
#endif

typedef union tr_block_head { uint32_t owner; uint64_t align; } tr_block_head;
struct tr_free_block { tr_free_block *next; };
struct tr_chunk { tr_chunk *next; size_t used; _Alignas(16) char bytes[]; };

/* ---- accounts ---- */

static void account_free(tr_script *script, uint32_t id) {
  script->accounts[id].parent = script->account_first_free;
  script->account_first_free = id;
}

/* The number, or 0, the runtime's own account, where there is no memory for more of them. */
static uint32_t account_new(tr_script *script) {
  uint32_t id = script->account_first_free;
  if (id) {
    script->account_first_free = script->accounts[id].parent;
  } else if (script->accounts == script->no_accounts) {
    return 0; /* a state of somebody else's: he counts its memory, if anybody does */
  } else {
    if (script->account_count == script->account_cap) {
      uint32_t cap = script->account_cap * 2;
      void *grown = tr_realloc(script->mem, script->accounts, script->account_cap * sizeof *script->accounts,
                               cap * sizeof *script->accounts);
      if (!grown) return 0;
      script->accounts = grown;
      script->account_cap = cap;
    }
    id = script->account_count++;
  }
  script->accounts[id] = (tr_account){ 0 };
  return id;
}

void tr_accounts_init(tr_script *script) {
  script->accounts = script->no_accounts;
  script->memory_hard = SIZE_MAX;
}

bool tr_accounts_open(tr_script *script) {
  enum { FIRST = 64 };
  tr_account *accounts = tr_calloc(script->mem, FIRST, sizeof *accounts);
  if (!accounts) return false;
  script->accounts = accounts;
  script->account_cap = FIRST;
  script->account_count = TR_ACCOUNT_TRANSIT + 1;
  return true;
}

void tr_accounts_close(tr_script *script) {
  if (script->accounts == script->no_accounts) return;
  tr_free(script->mem, script->accounts, script->account_cap * sizeof *script->accounts);
}

uint32_t tr_account_new(tr_script *script) { return script->base_owner ? script->base_owner : account_new(script); }

/* Below `parent`: what is charged to it is charged there as well. */
static void hang(tr_script *script, uint32_t id, uint32_t parent) {
  tr_account *account = &script->accounts[id];
  if (account->parent) script->accounts[account->parent].used -= account->used;
  account->parent = parent;
  script->accounts[parent].used += account->used;
}

void tr_account_leave(tr_script *script, uint32_t id) {
  if (id == script->base_owner) return;
  if (script->accounts[id].used == 0 && id != script->owner) account_free(script, id);
  else hang(script, id, TR_ACCOUNT_TRANSIT);
}

uint32_t tr_parcel_begin(tr_script *script) {
  uint32_t id = account_new(script);
  if (id) script->accounts[id].parent = TR_ACCOUNT_TRANSIT;
  return id;
}

uint32_t tr_parcel_end(tr_script *script, uint32_t id) {
  if (id && script->accounts[id].used == 0) {
    account_free(script, id);
    return 0;
  }
  return id;
}

/* ---- long strings ---- */

static void make_heavy(tr_script *script, uint32_t id, uint8_t size) {
  tr_account *account = &script->accounts[id];
  if (size <= account->size) return;
  account->size = size;
  account->slow = 0;
  if (account->heavy < size) account->heavy = size;
  if (id != script->owner || !script->meter || !script->active || script->meter->heavy >= account->heavy) return;
  script->meter->heavy = account->heavy;
  tr_meter_alarm(script); /* the count that runs is too long now */
}

/* What is no string (a table's array, a stack) is not looked through by one instruction, but may
 * be copied by one: a sixteenth. */
static void weigh(tr_script *script, uint32_t owner, bool is_string, size_t size) {
  uint8_t log = 0;
  for (size_t most = is_string ? TR_HEAVY : (size_t)TR_HEAVY * 16; size > most && log < TR_HEAVY_MOST; most *= 2) log++;
  if (log) make_heavy(script, owner, log);
}

void tr_account_lighten(tr_account *account) {
  if (account->used >= (size_t)TR_HEAVY << (account->size - 1)) return;
  while (account->size && account->used < (size_t)TR_HEAVY << (account->size - 1)) account->size--;
  if (account->heavy > account->size) account->heavy = account->size;
  account->slow = 0;
}

void tr_parcel_take(tr_script *script, uint32_t id) {
  if (!id || !script->owner) return;
  hang(script, id, script->owner);
  if (script->accounts[id].size) make_heavy(script, script->owner, script->accounts[id].size);
}

static void charge_up(tr_script *script, uint32_t id, size_t size) {
  for (; id; id = script->accounts[id].parent) script->accounts[id].used += size;
}

static inline void charge(tr_script *script, uint32_t id, size_t size) {
  tr_account *account = &script->accounts[id];
  account->used += size;
  if (account->parent) charge_up(script, account->parent, size);
}

/* The last block of one that was left frees its number. */
static void release(tr_script *script, uint32_t id) {
  if (script->accounts[id].used == 0 && id != script->owner) account_free(script, id);
}

static inline void discharge(tr_script *script, uint32_t id, size_t size) {
  tr_account *account = &script->accounts[id];
  account->used -= size;
  for (uint32_t parent = account->parent; parent; parent = account->parent) {
    release(script, id);
    id = parent;
    account = &script->accounts[id];
    account->used -= size;
  }
}

uint32_t tr_account_charge(tr_script *script, size_t size) {
  charge(script, script->owner, size);
  return script->owner;
}

void tr_account_discharge(tr_script *script, uint32_t id, size_t size) { discharge(script, id, size); }

/* ---- blocks; sizes with their head ---- */

static size_t rounded(size_t size) { return size <= SMALL_MAX ? (size + 15u) & ~(size_t)15 : size; }

/* A new block from the newest chunk. What is left of a full chunk is lost: less than a block. */
static void *carve(tr_script *script, size_t size) {
  tr_chunk *chunk = script->chunks;
  if (!chunk || sizeof *chunk + chunk->used + size > CHUNK) {
    chunk = tr_alloc(script->mem, CHUNK);
    if (!chunk) return NULL;
    chunk->next = script->chunks;
    chunk->used = 0;
    script->chunks = chunk;
  }
  void *block = chunk->bytes + chunk->used;
  chunk->used += size;
  return block;
}

static void *take(tr_script *script, size_t size) {
  if (size > SMALL_MAX) return tr_alloc(script->mem, size);
  tr_free_block **list = &script->free_blocks[size / 16], *block = *list;
  if (!block) return carve(script, size);
  *list = block->next;
  return block;
}

static void give(tr_script *script, void *block, size_t size) {
  if (size > SMALL_MAX) {
    tr_free(script->mem, block, size);
    return;
  }
  tr_free_block **list = &script->free_blocks[size / 16];
  ((tr_free_block *)block)->next = *list;
  *list = block;
}

static void *resize(tr_script *script, void *old, size_t old_size, size_t new_size) {
  if (old_size > SMALL_MAX && new_size > SMALL_MAX) return tr_realloc(script->mem, old, old_size, new_size);
  void *block = take(script, new_size);
  if (!block) return NULL;
  memcpy(block, old, old_size < new_size ? old_size : new_size);
  give(script, old, old_size);
  return block;
}

/* Is there room for so much more? The agent that runs may have twice its limit, for a moment: the hook comes then. */
static bool may_grow(tr_script *script, uint32_t owner, size_t more) {
  size_t limit = script->options.memory_limit;
  if (limit && script->used + more > limit) {
    if (script->own) script->refused = more; /* as below: it is the limit of one agent */
    if (script->own) tr_meter_alarm(script);
    return false;
  }
  if (more >= LARGE && script->meter && script->active) { /* filling it takes long, in C: that counts, and is looked at soon */
    script->meter->used += more / 16;
    tr_meter_alarm(script);
  }
  if (script->meter && script->meter->most && script->used + more > script->meter->most) {
    script->refused = more;
    tr_meter_alarm(script);
    return false;
  }
  if (!owner || owner != script->owner || !script->active) return true;
  size_t used = script->accounts[owner].used + more;
  if (script->meter && script->meter->memory_at && used > script->meter->memory_at) tr_meter_alarm(script); /* it may be garbage */
  if (used <= script->memory_hard) return true;
  script->refused = more; /* Lua collects all, and asks once more; but not for string.rep */
  tr_meter_alarm(script);
  return false;
}

/* ---- stacks ----
 * Lua looks for what is to be called in a loop in C: a __call that is no function has a __call, which … Each round takes a slot of the
 * stack and moves all that is above, so a ring of them would keep everybody for minutes, until the stack is full. It shows as a stack that
 * doubles again and again with no instruction in between (once is what the hook itself may need behind a call with many results): from
 * (n + 5) slots to (2 n + 5), which no table does, in a new block; then the old one is freed. So that there is not so much room to begin
 * with, a stack may not be longer than STACK_MOST. */

enum { SLOT = 16, STACK_SPARE = 5 * SLOT, STACK_NOTICED = 4096 * SLOT, STACK_LONG = 65536 * SLOT, STACK_MOST = 81920 * SLOT + STACK_SPARE };

static bool may_be_stack(tr_script *script, size_t size) {
  tr_meter *meter = script->meter;
  if (size < STACK_NOTICED || !meter || !script->active) return true;
  tr_meter_alarm(script);
  bool doubled = meter->stack && size == 2 * meter->stack - STACK_SPARE;
  if (doubled && (meter->doubled == 2 || size > STACK_LONG)) {
    meter->depth = TR_DEPTH_ENDLESS;
    return false;
  }
  meter->doubled = doubled ? meter->doubled + 1 : 0;
  meter->stack = size;
  return true;
}

/* A block of this size is given up: was it a stack that has just doubled? */
static void was_stack(tr_script *script, size_t size) {
  tr_meter *meter = script->meter;
  if (size >= STACK_NOTICED && meter && meter->stack > STACK_MOST && meter->stack == 2 * size - STACK_SPARE) meter->depth = TR_DEPTH_TOO_MUCH;
}

/* There is none: whatever catches that, the hook comes next, and puts `owner` right. */
static void *refuse(tr_script *script) {
  tr_meter_alarm(script);
  return NULL;
}

/* All but the short way: what is large, what changes its size, what memory there is none for. */
static __attribute__((noinline)) void *allocate_slowly(tr_script *script, void *ptr, size_t old_size, size_t new_size) {
  if (new_size > BLOCK_MAX) return refuse(script);
  if (!ptr && !old_size && !may_be_stack(script, new_size)) return NULL;
  if (ptr && !new_size) was_stack(script, old_size);
  tr_block_head *old = ptr ? (tr_block_head *)ptr - 1 : NULL;
  size_t kind = old_size; /* without a block, Lua puts the kind of object there */
  old_size = ptr ? rounded(old_size + HEAD) : 0;
  new_size = new_size ? rounded(new_size + HEAD) : 0;
  uint32_t owner = old ? old->owner : script->owner;
  if (new_size == 0) {
    if (!old) return NULL;
    give(script, old, old_size);
    script->used -= old_size;
    discharge(script, owner, old_size);
    return NULL;
  }
  if (old_size == new_size) return ptr;
  if (new_size > old_size && !may_grow(script, owner, new_size - old_size)) return NULL;
  if (new_size > TR_HEAVY && new_size > old_size) weigh(script, owner, !old && kind == LUA_TSTRING, new_size);
  tr_block_head *block = old ? resize(script, old, old_size, new_size) : take(script, new_size);
  if (!block) return refuse(script);
  script->used = script->used - old_size + new_size;
  if (!old) block->owner = owner;
  if (new_size < old_size) {
    discharge(script, owner, old_size - new_size); /* the collector does it: no sign of room */
    return block + 1;
  }
  charge(script, owner, new_size - old_size);
  if (script->refused == new_size - old_size) script->refused = 0; /* asking once more helped; else the hook will see it */
  return block + 1;
}

/* Nearly all calls make or give up a small block, twice a table: those two ways are short (6 % of a call and its reply). */
void *tr_script_allocate(void *ud, void *ptr, size_t old_size, size_t new_size) {
  tr_script *script = ud;
  if (!ptr && new_size && new_size + HEAD <= SMALL_MAX && !script->options.memory_limit) {
    size_t size = (new_size + HEAD + 15u) & ~(size_t)15;
    void *block = script->free_blocks[size / 16];
    if (block) {
      script->free_blocks[size / 16] = ((tr_free_block *)block)->next;
      script->used += size;
      charge(script, script->owner, size);
      ((tr_block_head *)block)->owner = script->owner;
      return (tr_block_head *)block + 1;
    }
  } else if (!ptr && !new_size) {
    return NULL; /* an empty array of a table: as often as the others */
  } else if (ptr && new_size == 0 && old_size + HEAD <= SMALL_MAX) {
    size_t size = (old_size + HEAD + 15u) & ~(size_t)15;
    tr_block_head *head = (tr_block_head *)ptr - 1;
    discharge(script, head->owner, size);
    tr_free_block *block = (tr_free_block *)(void *)head;
    block->next = script->free_blocks[size / 16];
    script->free_blocks[size / 16] = block;
    script->used -= size;
    return NULL;
  }
  return allocate_slowly(script, ptr, old_size, new_size);
}

void tr_script_free_chunks(tr_script *script) {
  while (script->chunks) {
    tr_chunk *next = script->chunks->next;
    tr_free(script->mem, script->chunks, CHUNK);
    script->chunks = next;
  }
}
