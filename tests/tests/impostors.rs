//! Somebody else answers at the address of a host: whoever dials it is answered with garbage, with what servers said at other
//! times, with nothing, or hears half a greeting. That costs time, and nobody is led astray by it.

#![forbid(unsafe_code)]

use ostrakon_core::event::{Event, Fault};
use ostrakon_tests::sim::net::Guise;
use ostrakon_tests::sim::{World, voters};

/// Whoever hears of a server that does not show that it knows the key says so.
fn doubts(event: &Event) -> bool {
    matches!(event, Event::Fault(Fault::Unproven(_)))
}

fn fences(world: &World) -> u64 {
    world.check.counts.fences
}

/// A client comes anew, and dials an impostor in the place of the server: it is not mounted before it reaches the server itself.
fn a_client_is_not_led_astray(guise: Guise) {
    voters(3).clients(2).seeds(6).play(|world| {
        let server = world.expect_server();
        world.expect_connected_all();
        let (ballot, client) = (world.serves(server), 3);
        world.impersonate(server, guise);
        world.crash(client);
        world.restart(client);
        world.run_for(20_000);
        assert!(!world.is_connected(client), "nobody has shown it the key");
        assert!(world.is_connected(4), "a connection that stood is not touched");
        if guise != Guise::Mute {
            assert!(world.told(client, doubts) > 0, "and it says what is wrong");
        }
        world.unmask(server);
        world.expect_connected(client);
        assert_eq!(world.serves(server), ballot, "nobody took over because of that");
        assert_eq!(fences(world), 0);
    });
}

#[test]
fn a_client_that_is_answered_with_garbage_waits_for_the_server() {
    a_client_is_not_led_astray(Guise::Babbler);
}

#[test]
fn a_client_that_is_answered_with_an_old_greeting_waits_for_the_server() {
    a_client_is_not_led_astray(Guise::Parrot);
}

#[test]
fn a_client_that_is_never_greeted_waits_for_the_server() {
    a_client_is_not_led_astray(Guise::Mute);
}

#[test]
fn a_client_that_is_cut_off_in_the_middle_of_the_greeting_waits_for_the_server() {
    a_client_is_not_led_astray(Guise::Quitter);
}

/// The server dies, and somebody takes its address: the voters that come back to it elect another one all the same.
#[test]
fn an_impostor_at_the_address_of_a_dead_server_holds_nobody_up() {
    for guise in Guise::ALL {
        voters(3).clients(1).seeds(3).play(|world| {
            let first = world.expect_server();
            world.expect_connected_all();
            world.power_off(first);
            world.impersonate(first, guise);
            world.expect_another_server_than(first);
            world.expect_connected_all();
        });
    }
}

/// The server lives, and everybody who lost the connection to it finds an impostor in its place: it is as one whom nobody can reach.
#[test]
fn a_leader_behind_an_impostor_does_not_hold_off_the_others() {
    for guise in Guise::ALL {
        voters(3).clients(1).seeds(3).play(|world| {
            let first = world.expect_server();
            world.expect_connected_all();
            world.impersonate(first, guise);
            world.reset_connections_of(first);
            world.expect_another_server_than(first);
            world.expect_connected_all();
            world.unmask(first);
            world.run_for(10_000);
            world.expect_connected_all();
        });
    }
}
