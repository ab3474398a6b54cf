-- What AutoGen's peers do and need, point by point: N1 to N21 of docs/lessons.md §2, and the sections of docs/wire.md. Each is a test; the
-- table says by which cases of spec/c it is shown ("room: case, case"), and they are run here under its name. The same
-- with real peers: spec/interop/scenarios (dotnet.py on grpc-go, the others on AutoGen's Python).
local sh = require "spec.support.sh"
local process = require "spec.support.process"

local folder = (os.getenv("TROUPE_BUILD") or "build") .. "/spec/c_"

local shown = {
  { "N1: client-id on every call, and no call without it", [[
    host: a_call_without_client_id_is_refused_with_autogens_text, an_empty_client_id_is_a_client, the_last_of_two_client_ids_counts]] },
  { "N2: unary calls before the stream or after it, kept for a while", [[
    host: both_orders_of_stream_and_registration, events_before_the_first_stream_wait_for_it,
      what_was_registered_without_a_stream_is_kept_sixty_seconds]] },
  { "N3: one client on several TCP connections", [[
    host: several_clients_on_one_connection_and_one_on_several, dotnet_subscription_ids_are_kept_and_removed_by]] },
  { "N4: keep-alive pings every 20 s for ever, while floods are struck", [[
    host: pings_every_twenty_seconds_are_answered_for_ever, recorded_keepalive_pings_do_no_harm
    rpc: rpc_pings_are_answered, rpc_pings_every_ten_seconds_for_ever, rpc_bandwidth_probes_are_no_flood, rpc_flood_of_pings]] },
  { "N5: a repeated registration by the same client", [[
    host: a_plain_repeat_gets_autogens_text, a_retried_call_is_fine_for_its_own_client_only,
      after_reopening_its_stream_a_client_may_repeat_once, an_away_client_may_register_again_before_it_reopens]] },
  { "N6: a stream opened again without registering again", [[
    host: within_the_grace_a_client_finds_all_again, after_the_grace_all_is_forgotten]] },
  { "N7: streams end with an error, never with OK", [[
    host: a_drain_without_requests_ends_streams_with_unavailable, the_newest_stream_wins_and_the_oldest_ends_harmlessly]] },
  { "N8: bursts of streams of one client", [[
    host: dotnet_a_burst_of_streams_of_one_client_leaves_the_newest]] },
  { "N9: one bad message costs one stream, its open requests, and no registration", [[
    host: dotnet_an_exception_costs_its_open_requests_and_no_registration, callers_of_a_lost_stream_are_told_at_once]] },
  { "N10: a worker that does not read is bounded and holds up nobody", [[
    host: a_receiver_that_does_not_read_loses_events_and_holds_up_nobody, a_slow_worker_overloads_only_itself,
      answers_pass_the_bound_up_to_twice_then_the_stream_ends]] },
  { "N11: JSON events are never sent to a .NET worker", [[
    host: a_dotnet_worker_gets_only_events_it_can_take, a_dotnet_worker_is_known_before_its_stream, a_dotnet_worker_is_given_protobuf]] },
  { "N12: events without sender and spec_version", [[
    host: dotnet_an_event_without_a_sender_goes_as_it_came_to_its_publisher_too
    wire: wire_event_of_python_dotnet_and_others_is_read]] },
  { "N13: an event goes to its own sender's client too", [[
    host: an_event_goes_as_it_came_to_every_match_once, dotnet_an_event_without_a_sender_goes_as_it_came_to_its_publisher_too]] },
  { "N14: GUID request ids, Any payloads, no source, metadata", [[
    host: ids_of_any_length_are_restored, unknown_fields_and_metadata_pass_untouched, two_callers_with_one_id_get_their_own_answers]] },
  { "N15: no payload-less answer to a .NET caller; no answer at all is a timeout", [[
    host: error_answers_are_withheld_from_a_dotnet_caller, a_json_answer_of_a_local_agent_is_withheld_from_dotnet,
      no_answer_within_the_guards_time_is_a_timeout]] },
  { "N16: requests across languages where the types are known", [[
    host: a_dotnet_caller_is_answered_in_protobuf, agents_of_the_host_are_understood_by_dotnet, who_publishes_in_json_is_given_json]] },
  { "N17: ids that one side has and the other cannot take", [[
    host: a_dotnet_worker_is_not_asked_what_would_throw_it_off, odd_and_empty_texts_are_taken_as_autogen_takes_them]] },
  { "N18: GUID subscription ids, and the empty subscription", [[
    host: dotnet_subscription_ids_are_kept_and_removed_by, a_subscription_of_no_kind_is_invalid]] },
  { "N19: direct messages by the prefix TYPE:", [[
    host: dotnet_direct_messages_come_by_the_prefix_of_the_type
    worker: a_class_with_its_own_prefix_subscription_asks_for_it_once]] },
  -- N20 is below: it is the program's.
  { "N21: 4 MiB, and what is larger is refused alone", [[
    host: an_oversize_event_is_skipped_and_the_stream_lives, an_oversize_request_is_refused_alone,
      an_oversize_answer_is_an_error_to_its_caller
    rpc: rpc_a_message_at_the_limit_and_one_past_it, rpc_oversize_is_skipped_with_the_credit_flowing]] },

  { "wire.md §3: messages in any order of fields, unknown ones kept, strings UTF-8", [[
    wire: wire_walk_takes_fields_in_any_order_and_the_last_one, wire_golden_messages_equal_their_json,
      wire_walk_refuses_pieces_and_join_puts_them_together,
      wire_check_looks_into_what_is_nested, wire_splice_changes_nothing_but_the_id
    host: a_request_with_bad_text_in_it_is_answered_invalid, messages_in_pieces_are_joined]] },
  { "wire.md §4.1, §4.2: headers, frames, trailers", [[
    rpc: rpc_request_headers_arrive, rpc_messages_cut_at_every_place, rpc_many_messages_in_one_frame, rpc_trailers_only,
      rpc_percent_coding,
      rpc_a_request_may_end_with_trailers]] },
  { "wire.md §4.3: what a host tolerates", [[
    rpc: rpc_requests_that_are_not_grpc, rpc_unknown_compression_is_told_what_there_is, rpc_compression_flag_without_an_encoding,
      rpc_bad_framing_is_answered, rpc_other_requests_are_answered_at_their_end
    host: unknown_methods_are_unimplemented, a_unary_call_has_exactly_one_message, malformed_unary_calls_are_invalid]] },
  { "wire.md §4.4: what each client really sends", [[
    rpc: rpc_captures_whole, rpc_captures_in_pieces, rpc_no_streams_of_a_client_limit_nothing,
      rpc_raw_bytes_in_binary_metadata_are_left_out,
      rpc_small_windows_let_big_messages_through, rpc_goodbye_of_grpc_go
    host: a_recorded_python_worker, two_recorded_python_workers_on_one_connection, a_recorded_go_worker]] },
  { "wire.md §4.5: keep-alive and shutdown", [[
    rpc: rpc_server_goes_away_gracefully, rpc_goaway_closes_the_calls_above_its_last_stream
    host: an_idle_client_stays_for_ever_and_a_dead_one_does_not, a_drain_waits_for_open_requests_and_takes_no_new_ones
    worker: another_host_is_never_pinged]] },
  { "wire.md §4.6: codes", [[
    rpc: rpc_status_numbers, rpc_resets_become_statuses, rpc_timeouts, rpc_answers_that_are_not_grpc]] },
  { "wire.md §5: unary calls, with AutoGen's texts", [[
    host: registers_and_subscribes, get_subscriptions_lists_all_of_all_in_order, removing_an_unknown_subscription_is_not_found,
      a_subscription_may_come_before_the_type_and_from_another_client]] },
  { "wire.md §6, §7: events and bodies", [[
    wire: wire_event_is_what_a_python_worker_sends, wire_bodies_keep_their_format, wire_request_of_a_python_worker_is_read
    host: a_topic_that_breaks_the_rules_is_refused]] },
  { "wire.md §9: matching, order, big messages", [[
    host: order_is_kept_at_any_split_of_the_bytes, an_event_nobody_wants_goes_nowhere,
      the_size_is_checked_again_on_the_spliced_message]] },
  { "wire.md §10: streams that end", [[
    host: headers_come_at_once_and_versions_are_exchanged, a_half_closed_worker_goes_on_receiving, repeated_events_are_delivered_once,
      a_repeated_request_that_is_open_is_answered_by_its_first_coming, callers_of_a_broken_connection_are_told_at_once]] },
  { "wire.md §12: the control channel, and the holes of the real host", [[
    host: control_messages_go_to_their_destination_unchanged, the_control_channel_comes_and_goes_alone,
      an_unknown_agent_type_is_not_found_at_once,
      a_request_without_target_is_invalid, late_unknown_and_second_answers_are_dropped, a_type_of_an_away_client_goes_to_whoever_asks,
      reserved_topics_and_sources_are_not_for_clients_to_write]] },
  { "wire.md §15: health and reflection", [[
    host: a_probe_needs_no_client_id, who_watches_hears_of_the_end, reflection_lists_the_services_in_both_versions,
      reflection_gives_files_by_name_and_symbol_with_their_imports]] },
}

local function run(room, case)
  local status, out, err = sh { folder .. room, "--run", case }
  if status ~= 0 or not out:find("# end " .. case .. " ok", 1, true) then error(("%s: %s\n%s%s"):format(room, case, out, err), 0) end
end

describe("AutoGen's wire", function()
  for _, row in ipairs(shown) do
    it(row[1], function()
      local room
      for word, colon in row[2]:gmatch("([%w_]+)(:?)") do
        if colon == ":" then room = word else run(room, word) end
      end
    end)
  end

  it("N20: the host says its address as Python takes it, and as .NET does", function()
    local host = process.troupe { "host", "--listen", "127.0.0.1:0" }
    local _, address = host:wait_line("^listening (.*)$")
    local line = host:wait_line("listening", 10, "err")
    assert.truthy(line:find("python=" .. address .. " dotnet=http://" .. address, 1, true), line)
  end)
end)
