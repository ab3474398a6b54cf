# bench.mk: how the load generator is built. The Makefile includes it; `make bench` runs bench/run.
# It stands apart from the rest: no file of src/ goes into it.
BENCH_C     := $(wildcard bench/*.c)
BENCH_O     := $(BENCH_C:bench/%.c=build/bench/%.o)
BENCH_FLAGS := -std=c11 -O2 -g -D_GNU_SOURCE -Wall -Wextra -Wshadow -Wstrict-prototypes \
               -Wmissing-prototypes -Wpointer-arith -Wwrite-strings

build/bench/load: $(BENCH_O)
	$(CC) $(BENCH_LDFLAGS) -o $@ $^ -luv -lnghttp2

build/bench/%.o: bench/%.c
	@mkdir -p $(@D)
	$(CC) $(BENCH_FLAGS) $(BENCH_CFLAGS) -MMD -MP -c -o $@ $<

-include $(BENCH_O:.o=.d)
