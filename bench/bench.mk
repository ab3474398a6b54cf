# How the load generator is built; the Makefile includes this, and bench/run uses it alone.
# It stands apart from the rest: no file of src/ goes into it.
BENCH_O     := $(patsubst bench/%.c,build/bench/%.o,$(wildcard bench/*.c))
BENCH_FLAGS := -std=c11 -O2 -g -D_GNU_SOURCE -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
               -Wpointer-arith -Wwrite-strings $(if $(WERROR),-Werror)

build/bench/load: $(BENCH_O)
	$(call say,LD)
	$(Q)$(CC) $(BENCH_SANITIZE) -o $@ $^ -luv -lnghttp2 -lssl -lcrypto

build/bench/%.o: bench/%.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BENCH_FLAGS) $(BENCH_SANITIZE) -MMD -MP -c -o $@ $<

-include $(BENCH_O:.o=.d)

# The runtime's rows: linked with the library as an embedding program would be.
BENCH_RUNTIME_O := $(patsubst bench/%.c,build/bench/%.o,$(wildcard bench/runtime/*.c))
build/bench/runtime/%.o: bench/runtime/%.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BENCH_FLAGS) -Iinclude -MMD -MP -c -o $@ $<
build/bench/turns: $(BENCH_RUNTIME_O) build/libtroupe.a
	$(call say,LD)
	$(Q)$(CC) -o $@ $^ $(WITH_LUA) $(LDLIBS)
-include $(BENCH_RUNTIME_O:.o=.d)
