/* A program that calls over five connections to a host: ./pool ADDRESS, where `troupe run examples/pool/shop.lua --listen ADDRESS` is.
 * Built and run by the tests; by hand: cc pool.c $(pkg-config --cflags --libs troupe) -o pool */
#include <stdio.h>

#include <troupe.h>

enum { CALLS = 20 };
typedef struct tally { troupe_t *rt; int answers, failed; int64_t sum; } tally;

static void on_price(void *ud, int status, const char *text, const char *type, const troupe_value_t *body) {
  tally *all = ud;
  int64_t total = 0;
  if (status) printf("failed: %s: %s\n", troupe_error_name(status), text);
  else troupe_value_integer(troupe_value_get(body, "total"), &total);
  all->failed += status != 0;
  all->sum += total;
  if (++all->answers == CALLS) troupe_stop(all->rt, 0);
  (void)type;
}

int main(int argc, char **argv) {
  tally all = { NULL, 0, 0, 0 };
  troupe_pool_t *pool;
  if (argc != 2 || troupe_new(&all.rt, NULL)) return 2;
  int err = troupe_pool_open(all.rt, &pool, argv[1], 5);
  if (!err) err = troupe_pool_publish(pool, "orders/today", "Order", troupe_pack(all.rt, "{s:i}", "n", 2), NULL);
  for (int n = 1; n <= CALLS && !err; n++)
    err = troupe_pool_call(pool, "shop/main", "Price", troupe_pack(all.rt, "{s:i}", "n", n), NULL, on_price, &all);
  if (err) fprintf(stderr, "pool: %s\n", troupe_error(all.rt));
  else troupe_run(all.rt);
  if (!err) printf("%d answers, all together %lld\n", all.answers, (long long)all.sum);
  troupe_free(all.rt); /* closes the pool, too */
  return err || all.failed ? 1 : 0;
}
