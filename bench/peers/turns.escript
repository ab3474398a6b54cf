#!/usr/bin/env escript
%% The rows of bench/runtime in Erlang/OTP: processes for agents, messages of a tag and a map of three fields; a call is a request and its
%% reply by reference, with a deadline. One scheduler, no busy waiting, so that CPU time is what the work costs.
%%! +S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none
-mode(compile).

body(I) -> #{a => I, b => <<"text">>, c => true}.

echo() ->
  receive {ask, From, Ref, #{a := A, b := B, c := C}} -> From ! {Ref, #{a => A, b => B, c => C}}, echo() end.

call(To, Body) ->
  Ref = make_ref(),
  To ! {ask, self(), Ref, Body},
  receive {Ref, Reply} -> Reply after 30000 -> exit(timeout) end.

calls(_, 0) -> ok;
calls(To, N) -> call(To, body(N)), calls(To, N - 1).

sink(0, Boss) -> Boss ! done;
sink(N, Boss) -> receive {note, _} -> sink(N - 1, Boss) end.

sends(_, 0) -> ok;
sends(To, N) ->
  To ! {note, body(N)},
  case N rem 50 of 0 -> erlang:yield(); _ -> ok end,
  sends(To, N - 1).

publish(_, 0) -> ok;
publish(Ears, N) -> B = body(N), [E ! {note, B} || E <- Ears], erlang:yield(), publish(Ears, N - 1).

leaf(State) -> receive {wake, Boss} -> Boss ! awake, leaf(State#{count => 1}); stop -> ok end.

spawns(0, All) -> All;
spawns(N, All) ->
  P = spawn(fun() -> leaf(#{count => 0}) end),
  P ! {wake, self()},
  receive awake -> ok end,
  spawns(N - 1, [P | All]).

timed(Operations, F) ->
  erlang:garbage_collect(),
  {C0, _} = statistics(runtime),
  T0 = erlang:monotonic_time(microsecond),
  F(),
  {C1, _} = statistics(runtime),
  T1 = erlang:monotonic_time(microsecond),
  io:format("{\"cpu_us\":~.6f,\"rate\":~.1f}~n", [(C1 - C0) * 1000 / Operations, Operations * 1.0e6 / (T1 - T0)]).

await(0) -> ok;
await(N) -> receive done -> await(N - 1) end.

idle(N) ->
  erlang:garbage_collect(),
  Before = erlang:memory(processes),
  All = spawns(N, []),
  erlang:garbage_collect(),
  io:format("{\"bytes\":~.1f}~n", [(erlang:memory(processes) - Before) / length(All)]).

run("call") ->
  To = spawn(fun echo/0),
  calls(To, 20000),
  timed(1000000, fun() -> calls(To, 1000000) end);
run("pairs") ->
  Boss = self(),
  timed(1000000, fun() ->
    [spawn(fun() -> To = spawn(fun echo/0), calls(To, 125000), Boss ! done end) || _ <- lists:seq(1, 8)],
    await(8)
  end);
run("send") ->
  Boss = self(),
  timed(2000000, fun() -> To = spawn(fun() -> sink(2000000, Boss) end), sends(To, 2000000), await(1) end);
run("publish") ->
  Boss = self(),
  Ears = [spawn(fun() -> sink(20000, Boss) end) || _ <- lists:seq(1, 100)],
  timed(2000000, fun() -> publish(Ears, 20000), await(100) end);
run("spawn") -> timed(200000, fun() -> spawns(200000, []) end);
run("idle-10k") -> idle(10000);
run("idle-100k") -> idle(100000);
run(_) -> ok.

main([Row]) -> run(Row).
