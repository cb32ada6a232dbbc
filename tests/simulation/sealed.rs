//! The other scenarios again, with a transport on both ends of every connection; and clients that
//! break the rules of a transport.

use sluicegate_protocols::testing::over_tls;
use sluicegate_protocols::tls::Version;
use sluicegate_reactor::Listen;
use sluicegate_reactor::testing::simulation::End;
use sluicegate_reactor::testing::{Records, Simulation, through};

use crate::echo::Echo;
use crate::noise;
use crate::watched::Watched;

/// Runs scenarios of other modules through [`Records`] and over TLS.
macro_rules! sealed {
    ($($(#[$cfg:meta])? $module:ident { $($scenario:ident)* })*) => {
        mod records {
            $($(#[$cfg])? mod $module {
                $(#[test]
                fn $scenario() {
                    crate::sealed::through_records(crate::$module::$scenario);
                })*
            })*
        }

        mod tls {
            $($(#[$cfg])? mod $module {
                $(#[test]
                fn $scenario() {
                    crate::sealed::through_tls(crate::$module::$scenario);
                })*
            })*
        }
    };
}

fn through_records(scenario: fn()) {
    through(Records::factory(), Records::factory(), scenario);
    // The kernel opens and seals the records of the reactors.
    through(Records::offloaded(), Records::offloaded(), scenario);
}

fn through_tls(scenario: fn()) {
    over_tls(&[Version::Tls12, Version::Tls13], scenario);
}

sealed! {
    chat {
        members_miss_nothing_and_hear_it_in_the_same_order
        a_member_who_does_not_keep_up_is_told_so_and_other_rooms_are_not_heard
    }
    client {
        every_body_arrives_whole_however_the_network_delivers_it
        every_exchange_ends_once_whatever_fails
        every_exchange_with_a_wild_origin_ends_once
    }
    #[cfg(target_os = "linux")]
    cold_files {
        while_a_disk_does_nothing_all_others_are_answered
        files_that_leave_the_memory_and_change_while_they_are_read_are_exact_or_cut
    }
    connect {
        a_relay_loses_nothing_and_carries_the_end_across
        when_one_end_breaks_the_other_is_cut_and_what_it_got_is_right
    }
    deferred {
        answers_that_are_put_off_are_exact_and_in_order
        a_reactor_that_stops_answers_what_was_put_off_and_says_that_it_is_the_last
    }
    drain {
        what_was_promised_before_the_end_arrives_or_its_connection_is_reset
    }
    echo {
        everybody_gets_back_what_they_have_sent_and_nothing_else
        one_who_does_not_read_holds_back_little_and_nobody_else
    }
    exact {
        each_message_comes_in_one_piece_and_is_answered_once
    }
    exchanges {
        bodies_and_responses_of_all_kinds_are_exact_and_in_order
        a_reactor_that_stops_leaves_no_response_that_only_looks_whole
    }
    forward {
        every_request_is_forwarded_and_answered_exactly
        whatever_fails_no_response_is_another_or_looks_complete
        a_proxy_that_stops_leaves_no_response_that_only_looks_complete
    }
    hand_over {
        what_follows_the_name_goes_to_the_next_handler_and_nothing_is_lost_between
    }
    hello {
        each_request_is_answered_once_and_in_full
    }
    http {
        pipelined_requests_are_answered_exactly_and_in_order
        the_last_answer_arrives_whole_though_its_client_goes_on_sending
        files_that_change_while_they_are_sent_are_exact_or_cut
    }
    lines {
        row_03_each_line_is_answered_once_and_in_order_and_blocks_are_exact
    }
    memcached {
        row_08_each_client_hears_the_answers_to_its_pipeline_in_order
        row_08_a_key_that_clients_of_both_reactors_count_is_linearizable
        row_08_a_flush_and_statistics_reach_both_reactors
        row_12_a_client_that_does_not_read_holds_up_nobody
    }
    messages {
        each_job_comes_back_to_who_has_sent_it_in_order
    }
    parts {
        each_message_is_passed_on_whole_and_answered_in_order
        when_targets_are_lost_each_message_is_answered_all_the_same
    }
    proxy {
        proxies_lose_nothing_and_carry_ends_across_whichever_way_bytes_move
        when_anything_breaks_what_arrives_is_right_and_nothing_is_left
    }
    rates {
        nothing_is_lost_and_nothing_too_fast_while_calls_fail
    }
    receive_file {
        files_are_there_as_they_were_sent_or_not_at_all
        a_peer_that_leaves_or_a_directory_that_is_removed_leaves_no_part_of_a_file
    }
    redis {
        row_23_each_command_is_answered_once_and_in_order
        messages_reach_a_subscriber_whole_and_in_order
    }
    resumed_uploads {
        an_upload_that_is_interrupted_again_and_again_comes_out_whole
        an_upload_that_is_interrupted_while_everything_goes_wrong_leaves_no_gaps
    }
    uploads {
        files_that_are_put_are_there_when_it_is_said
        files_that_are_cut_off_are_not_there
    }
    websocket {
        every_message_comes_back_and_every_websocket_is_closed_cleanly
        every_websocket_ends_once_and_no_message_is_changed_whatever_fails
    }
    whims {
        whatever_a_service_does_responses_are_exact_and_in_order
        a_service_that_is_stopped_leaves_no_response_that_only_looks_whole
    }
}

/// A record of [`Records`].
fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = (payload.len() as u16).to_be_bytes();
    [kind, high, low].into_iter().chain(payload.iter().map(|byte| !byte)).collect()
}

#[test]
fn clients_that_break_the_rules_of_a_transport_are_cut_and_others_are_served() {
    const ADDRESS: &str = "10.0.0.1:7";
    Simulation::new().run(|sim| {
        sim.reactor(|reactor| {
            let echo = reactor.register(Watched::new(Echo));
            let listen = Listen { transport: Some(Records::factory()), ..Listen::default() };
            reactor.listen(ADDRESS, &listen, echo).expect("the address is free");
        });
        let (greeting, data) = (record(b'g', b"hello"), record(b'd', &noise(3000)));
        let mut broken = Vec::new();
        for _ in 0..1 + sim.below(6) {
            let bytes = match sim.below(5) {
                // Stays in its handshake.
                0 => greeting[..sim.below(8)].to_vec(),
                // Sends data too early.
                1 => data.clone(),
                // Sends a record twice.
                2 => [&greeting[..], &greeting].concat(),
                // Loses a byte, so that the next record begins in the wrong place.
                3 => [&greeting[..], &data[..10], &data[11..], &data].concat(),
                _ => {
                    let bytes = noise([10, 3000, 60_000][sim.below(3)]);
                    let client = sim.client(ADDRESS).through(Records::factory());
                    client.sends(&bytes).finishes().expects(&bytes);
                    continue;
                }
            };
            broken.push(sim.client(ADDRESS).sends(bytes));
        }
        sim.run();
        assert_eq!(sim.reactors()[0].connections(), 0, "all were cut");
        for client in broken {
            assert!(matches!(client.end(), End::Finished | End::Reset), "{client:?}");
        }
    });
}
